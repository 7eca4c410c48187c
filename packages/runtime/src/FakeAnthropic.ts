/**
 * A fake of Anthropic's Messages API for tests: a server on a real socket, for the real SDK. It answers from a script, fails
 * on request, records its requests, and refuses the requests that the real API refuses. It needs Node.js.
 *
 * Wire format and rules are from the types and comments of `@anthropic-ai/sdk` 1.12 and the API's documentation; they were
 * not verified against the real API. `docs/testing.md` has a recipe.
 *
 * @since 0.1.0
 */
// @effect-diagnostics nodeBuiltinImport:off
import type Anthropic from "@anthropic-ai/sdk"
import { Context, Deferred, Effect, Layer, Option, Queue, Schema, type Scope } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { ListenError } from "./FakeReply.ts"
import {
  errorReply,
  type HttpReply,
  type Reply,
  type StreamReply,
  unauthorized
} from "./internal/anthropic/fakeReply.ts"
import * as Rules from "./internal/anthropic/fakeRules.ts"
import { issuedBy } from "./internal/anthropic/fakeServerTools.ts"
import { streamReply, wholeReply } from "./internal/anthropic/fakeWire.ts"
import { listen, readBody } from "./internal/fakeApi/listen.ts"

/**
 * Answers and error replies.
 *
 * @since 0.1.0
 * @category replies
 */
export {
  type Action,
  errorReply,
  type HttpReply,
  overloaded,
  type Quirk,
  rateLimited,
  type Reply,
  type StreamReply,
  unauthorized
} from "./internal/anthropic/fakeReply.ts"

/**
 * A request as it arrived.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordedRequest {
  /** The header `request-id` of the answer: `req_1`, `req_2`, ... */
  readonly id: string
  readonly headers: Readonly<Record<string, string | ReadonlyArray<string> | undefined>>
  /** Of this type, unless the request was answered with 400. */
  readonly body: Anthropic.MessageCreateParams
  /** `aborted`: the client closed the connection before the end of the answer. */
  readonly end: Effect.Effect<"sent" | "aborted">
}

/**
 * Why the API would answer 400 to this body. Undefined if the API would accept the body.
 *
 * **When to use** To check the requests of another client, or a history.
 *
 * @since 0.1.0
 * @category accessors
 */
export const problemOf = (body: unknown): string | undefined => Rules.problemOf(body)

/**
 * Where the server listens.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** On 127.0.0.1; a free one by default. */
  readonly port?: number | undefined
}

/**
 * A running server, and its script.
 *
 * @since 0.1.0
 * @category services
 */
export class FakeAnthropic extends Context.Service<FakeAnthropic, {
  /** The `baseUrl` for `AnthropicModel`. Any key is accepted. */
  readonly url: string
  /** Answers, taken in order. */
  readonly push: (...replies: ReadonlyArray<Reply>) => Effect.Effect<void>
  /** Answers when no scripted answer is left. Without it such a request is answered 500. */
  readonly otherwise: (reply: (request: RecordedRequest) => Reply) => Effect.Effect<void>
  /** The last 1,000. */
  readonly requests: Effect.Effect<ReadonlyArray<RecordedRequest>>
  /** The next request that arrives, each once. */
  readonly nextRequest: Effect.Effect<RecordedRequest>
}>()("@perennial/runtime/FakeAnthropic") {
  /** A server that ends with the scope of the layer. */
  static readonly layerWith = (options: Options): Layer.Layer<FakeAnthropic, ListenError> =>
    Layer.effect(this, Effect.suspend(() => make(options)))

  /** On a free port. */
  static readonly layer: Layer.Layer<FakeAnthropic, ListenError> = this.layerWith({})
}

const parseJson = Schema.decodeOption(Schema.fromJsonString(Schema.Unknown))

const maxBodyBytes = 32 * 1024 * 1024

const invalid = (message: string) => errorReply(400, "invalid_request_error", message)
const tooLarge = errorReply(413, "request_too_large", "Request exceeds the maximum size")

/** Why a request is refused before its body is read. */
const refusalOf = ({ headers, method, url }: IncomingMessage): HttpReply | undefined => {
  if (url?.split("?")[0] !== "/v1/messages" || method !== "POST") return errorReply(404, "not_found_error", "Not found")
  if (headers.authorization === undefined && headers["x-api-key"] === undefined) return unauthorized
  return headers["anthropic-version"] === undefined ? invalid("anthropic-version: header is required") : undefined
}

const sendJson = (response: ServerResponse, reply: HttpReply, requestId: string) => {
  if (reply.instead === "reset") response.socket?.resetAndDestroy()
  if (reply.instead !== undefined) return
  response.writeHead(reply.status, { "content-type": "application/json", "request-id": requestId, ...reply.headers })
  response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body))
}

/** The text of an answer, as the client sends it back after a pause. */
const pausedText = (reply: StreamReply): string =>
  reply.actions.map((action) => "text" in action ? action.text.join("") : "").join("")

/** What a paused answer continues: the request ends with it. */
const lastAssistantText = ({ messages }: Anthropic.MessageCreateParams): string => {
  const last = messages.at(-1)
  return last?.role === "assistant" && Array.isArray(last.content) ? Rules.textOf(last.content) : ""
}

const signaturesOf = (reply: StreamReply): ReadonlyArray<string> =>
  reply.actions.flatMap((action) => {
    if ("thinking" in action) return [action.signature]
    return "redactedThinking" in action ? [action.redactedThinking] : []
  })

const kept = 1_000

/**
 * Starts a server, which ends with the scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(
  { port = 0 }: Options = {}
): Effect.fn.Return<FakeAnthropic["Service"], ListenError, Scope.Scope> {
  const replies: Array<Reply> = []
  const requests: Array<RecordedRequest> = []
  const arrivals = yield* Queue.sliding<RecordedRequest>(kept)
  /** The texts of paused answers, with what led up to them. */
  const paused = new Set<string>()
  const signedBy = new Map<string, string>()
  const serverTools = new Set<string>()
  let count = 0
  let otherwise: ((request: RecordedRequest) => Reply) | undefined

  const answer = Effect.fnUntraced(function*(request: IncomingMessage, response: ServerResponse) {
    const id = `req_${++count}`
    const refused = refusalOf(request)
    if (refused !== undefined) return sendJson(response, refused, id)
    const end = yield* Deferred.make<"sent" | "aborted">()
    response.on("close", () => {
      Deferred.doneUnsafe(end, Effect.succeed(response.writableFinished ? "sent" : "aborted"))
    })
    const bytes = yield* readBody(request)
    if (bytes.length > maxBodyBytes) return sendJson(response, tooLarge, id)
    const json = parseJson(bytes.toString())
    if (Option.isNone(json)) return sendJson(response, invalid("The request body is not valid JSON"), id)
    const body = json.value as Anthropic.MessageCreateParams
    const recorded: RecordedRequest = { id, headers: request.headers, body, end: Deferred.await(end) }
    requests.push(recorded)
    if (requests.length > kept) requests.shift()
    yield* Queue.offer(arrivals, recorded)
    const problem = Rules.problemOf(body, { paused, signedBy, serverTools })
    if (problem !== undefined) return sendJson(response, invalid(problem), id)
    const reply = replies.shift() ?? otherwise?.(recorded) ??
      errorReply(500, "api_error", "the script has no reply left")
    if ("status" in reply) return sendJson(response, reply, id)
    for (const signature of signaturesOf(reply)) signedBy.set(signature, body.model)
    for (const issued of reply.actions.flatMap(issuedBy)) serverTools.add(issued)
    if (reply.stopReason === "pause_turn") paused.add(lastAssistantText(body) + pausedText(reply))
    if (body.stream === true && reply.quirks?.includes("in-one-piece") !== true) {
      return yield* streamReply(response, reply, body, id)
    }
    return sendJson(response, { status: 200, body: yield* wholeReply(reply, body, id) }, id)
  })

  const url = yield* listen({ port, answer, api: "Anthropic" })
  return FakeAnthropic.of({
    url,
    push: (...more) => Effect.sync(() => void replies.push(...more)),
    otherwise: (reply) =>
      Effect.sync(() => {
        otherwise = reply
      }),
    requests: Effect.sync(() => requests.slice()),
    nextRequest: Queue.take(arrivals)
  })
})
