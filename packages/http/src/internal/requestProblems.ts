/**
 * Problems for failures around a handler: a malformed request, a body that is too large or of another media type, a bug.
 */
import { ByteSize, Cause, Duration, Effect, Layer, Predicate } from "effect"
import {
  HttpIncomingMessage,
  HttpRouter,
  HttpServerError,
  HttpServerRequest,
  type HttpServerResponse
} from "effect/http"
import { HttpApiError, HttpApiMiddleware } from "effect/http-api"
import {
  type Forbidden,
  InternalError,
  InvalidRequest,
  PayloadTooLarge,
  RequestProblems,
  type Unauthorized,
  Unavailable,
  UnsupportedMediaType
} from "../Problems.ts"
import { describeSent } from "./describeSent.ts"
import { ResponseTimeout } from "./responseTimeout.ts"

/** One part of the request, as far as it can be read. Headers are not shown, because they may contain secrets. */
const sentIn = Effect.fnUntraced(function*(part: string | number | undefined) {
  switch (part) {
    case "params":
      return (yield* HttpRouter.RouteContext).params
    case "query":
      return yield* HttpServerRequest.ParsedSearchParams
    case "payload": {
      const { json } = yield* HttpServerRequest.HttpServerRequest
      return yield* Effect.orElseSucceed(json, () => undefined)
    }
    default:
      return undefined
  }
})

/** The name of a schema says nothing to a client. */
const wholeBody = (message: string, sent: unknown): string => {
  if (!message.startsWith("Expected ") || message === "Expected a valid JSON body") return message
  return sent === undefined ? "Expected a JSON object, got no body" : describeSent("Expected a JSON object", sent, [])
}

/** Adds to each issue what was sent. All issues of one request are about the same part. */
const invalidRequest = Effect.fnUntraced(function*(issues: ReadonlyArray<typeof HttpApiError.ProblemIssue.Type>) {
  const sent = yield* sentIn(issues[0]?.path[0])
  const errors = issues.map(({ message, path }) => {
    const [, ...inside] = path
    return { path, message: inside.length === 0 ? wholeBody(message, sent) : describeSent(message, sent, inside) }
  })
  const detail = errors.map((e) => `${e.path.join(".")}: ${e.message}`).join("; ")
  return yield* new InvalidRequest({ errors, detail })
})

const isBodyTooLarge = (defect: unknown): boolean =>
  HttpServerError.isHttpServerError(defect) && defect.reason._tag === "RequestParseError" &&
  defect.reason.reason === "BodyTooLarge"

/** A response that its own schema refuses is a bug of the server. */
const isResponseError = (error: unknown): boolean =>
  HttpApiError.HttpApiSchemaError.is(error) && (error.kind === "Body" || error.kind === "ResponseHeaders")

const unsupported = Effect.fail(
  new UnsupportedMediaType({ detail: "Send the body as `content-type: application/json`." })
)

// `HttpApiBuilder` answers a body of another media type itself, in plain text.
const onSuccess = (response: HttpServerResponse.HttpServerResponse) =>
  response.status === 415 ? unsupported : Effect.succeed(response)

/** Every defect ends here: it is logged, and the response does not mention its cause (P12). */
const bug = (cause: Cause.Cause<unknown>) =>
  Effect.andThen(Effect.logError("A request failed by a bug.", cause), Effect.fail(new InternalError()))

/** The query of a URL may contain a token. */
const pathOf = (url: string): string => url.replace(/\?.*/s, "").slice(0, 200)

/** Somebody without the right to make the request: an expired token, a page of another site, or an attack. */
const logRefusal = ({ _tag, detail = "" }: Unauthorized | Forbidden) =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    ({ method, url }) => Effect.logInfo(`${method} ${pathOf(url)} is refused: ${_tag}. ${detail}`)
  )

/** A dependency does not answer: a store, or a check of the application. */
const tooLate = (timeout: Duration.Duration) =>
  Effect.gen(function*() {
    const { method, url } = yield* HttpServerRequest.HttpServerRequest
    const after = Duration.format(timeout)
    yield* Effect.logWarning(`${method} ${pathOf(url)} had no answer after ${after}. It is interrupted.`)
    return yield* new Unavailable({
      detail: `There was no answer within ${after}. Try again; starts are safe to repeat with the same idempotency key.`
    })
  })

const isRefusal = (error: unknown): error is Unauthorized | Forbidden =>
  Predicate.isTagged(error, "Unauthorized") || Predicate.isTagged(error, "Forbidden")

export const layerRequestProblems: Layer.Layer<RequestProblems> = Layer.effect(
  RequestProblems,
  Effect.gen(function*() {
    const withIssues = yield* HttpApiMiddleware.ProblemDetails
    const limit = yield* HttpIncomingMessage.MaxBodySize
    const timeout = yield* ResponseTimeout
    const limitBytes = limit === undefined ? Number.MAX_SAFE_INTEGER : ByteSize.toNumberUnsafe(limit)
    const tooLarge = Effect.fail(
      new PayloadTooLarge({ limitBytes, detail: `The body of a request may have at most ${limitBytes} bytes.` })
    )

    const onFailure = <E>(
      cause: Cause.Cause<E>
    ): Effect.Effect<never, E | PayloadTooLarge | InternalError, HttpServerRequest.HttpServerRequest> => {
      for (const reason of cause.reasons) {
        const error: unknown = reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : undefined
        if (isBodyTooLarge(error)) return tooLarge
        if (isRefusal(error)) return Effect.andThen(logRefusal(error), Effect.failCause(cause))
      }
      return Cause.hasDies(cause) ? bug(cause) : Effect.failCause(cause)
    }
    return (handler, options) =>
      withIssues(Effect.catchIf(handler, isResponseError, Effect.die), options).pipe(
        Effect.catchTags({
          BadRequestProblem: ({ errors = [] }) => invalidRequest(errors),
          InternalServerErrorProblem: Effect.die
        }),
        Effect.matchCauseEffect({ onSuccess, onFailure }),
        Effect.timeoutOrElse({ duration: timeout, orElse: () => tooLate(timeout) })
      )
  })
).pipe(Layer.provide(HttpApiMiddleware.layerProblemDetails({ includeDetails: true })))
