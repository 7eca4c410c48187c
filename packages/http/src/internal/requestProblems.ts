/**
 * Problems for what happens around a handler: a request that does not decode, a body that is too large, a bug.
 */
import { ByteSize, Cause, Effect, Layer, SchemaIssue } from "effect"
import { HttpIncomingMessage, HttpRouter, HttpServerError, HttpServerRequest } from "effect/http"
import { HttpApiError } from "effect/http-api"
import { InternalError, InvalidRequest, PayloadTooLarge, RequestProblems } from "../Problems.ts"
import { withSent } from "./shown.ts"

const formatIssues = SchemaIssue.makeFormatterStandardSchemaV1()

const segment = (part: PropertyKey | { readonly key: PropertyKey }): string | number => {
  const key = typeof part === "object" ? part.key : part
  return typeof key === "number" ? key : String(key)
}

/** What came in a part of the request, as far as it can be read. Headers may hold secrets: they are not shown. */
const sentIn = Effect.fnUntraced(function*(kind: HttpApiError.HttpApiSchemaError["kind"]) {
  switch (kind) {
    case "Params":
      return (yield* HttpRouter.RouteContext).params
    case "Query":
      return yield* HttpServerRequest.ParsedSearchParams
    case "Payload": {
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
  return sent === undefined ? "Expected a JSON object, got no body" : withSent("Expected a JSON object", sent, [])
}

const invalidRequest = Effect.fnUntraced(function*(error: HttpApiError.HttpApiSchemaError) {
  const sent = yield* sentIn(error.kind)
  const slot = error.kind.toLowerCase()
  const errors = formatIssues(error.cause.issue).issues.map((issue) => {
    const path = (issue.path ?? []).map(segment)
    return {
      path: [slot, ...path],
      message: path.length === 0 ? wholeBody(issue.message, sent) : withSent(issue.message, sent, path)
    }
  })
  const detail = errors.map((e) => `${e.path.join(".")}: ${e.message}`).join("; ")
  return yield* new InvalidRequest({ errors, detail })
})

const isBodyTooLarge = (defect: unknown): boolean =>
  HttpServerError.isHttpServerError(defect) && defect.reason._tag === "RequestParseError" &&
  defect.reason.reason === "BodyTooLarge"

const isResponse = (error: HttpApiError.HttpApiSchemaError): boolean =>
  error.kind === "Body" || error.kind === "ResponseHeaders"

/** Where every defect ends: logged here, and not a word of it goes out (P12). */
const bug = (cause: Cause.Cause<unknown>) =>
  Effect.andThen(Effect.logError("A request failed by a bug.", cause), Effect.fail(new InternalError()))

export const layerRequestProblems: Layer.Layer<RequestProblems> = Layer.effect(
  RequestProblems,
  Effect.gen(function*() {
    const limit = yield* HttpIncomingMessage.MaxBodySize
    const limitBytes = limit === undefined ? Number.MAX_SAFE_INTEGER : ByteSize.toNumberUnsafe(limit)
    const tooLarge = Effect.fail(
      new PayloadTooLarge({ limitBytes, detail: `The body of a request may have at most ${limitBytes} bytes.` })
    )

    const onFailure = <E>(
      cause: Cause.Cause<E>
    ): Effect.Effect<never, E | InvalidRequest | PayloadTooLarge | InternalError, HttpRouter.Provided> => {
      for (const reason of cause.reasons) {
        const error: unknown = reason._tag === "Fail" ? reason.error : reason._tag === "Die" ? reason.defect : undefined
        if (isBodyTooLarge(error)) return tooLarge
        if (HttpApiError.HttpApiSchemaError.is(error)) {
          return isResponse(error) ? bug(cause) : invalidRequest(error)
        }
      }
      return Cause.hasDies(cause) ? bug(cause) : Effect.failCause(cause)
    }
    return (handler) => Effect.catchCause(handler, onFailure)
  })
)
