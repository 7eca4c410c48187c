/**
 * A Messages API on a real socket: it checks requests like the real one, answers from a script, fails on request and
 * remembers what it was asked. Wire format from the types of `@anthropic-ai/sdk` 1.12.
 */
import type Anthropic from "@anthropic-ai/sdk"
import { Context, Data, Deferred, Effect, FiberSet, Layer, Queue } from "effect"
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http"
import { problemOf, textOf } from "./anthropicRules.ts"
import { type StreamReply, streamReply, wholeReply } from "./anthropicWire.ts"

export type { Step, StreamReply } from "./anthropicWire.ts"

export interface HttpReply {
  readonly status: number
  readonly body: unknown
  readonly headers?: Readonly<Record<string, string>>
  /** The answer never comes, or the connection is reset in place of it. */
  readonly instead?: "hang" | "reset"
}

export type Reply = StreamReply | HttpReply

export interface RecordedRequest {
  /** The header `request-id` of the answer: `req_1`, `req_2`, ... */
  readonly id: string
  readonly headers: IncomingHttpHeaders
  /** Accepted by `problemOf`, unless it was answered with 400. */
  readonly body: Anthropic.MessageCreateParams
  /** `aborted`: the client went away before the end. */
  readonly end: Effect.Effect<"sent" | "aborted">
}

export const errorReply = (
  status: number,
  type: string,
  message: string,
  headers: Readonly<Record<string, string>> = {}
): HttpReply => ({ status, headers, body: { type: "error", error: { type, message } } })

export const rateLimited = (retryAfterSeconds: number): HttpReply =>
  errorReply(429, "rate_limit_error", "This request would exceed your rate limit.", {
    "retry-after": String(retryAfterSeconds)
  })
export const overloaded = errorReply(529, "overloaded_error", "Overloaded")
export const unauthorized = errorReply(401, "authentication_error", "invalid x-api-key")

export class FakeAnthropic extends Context.Service<FakeAnthropic, {
  readonly url: string
  /** Answers, taken in order. */
  readonly push: (...replies: ReadonlyArray<Reply>) => Effect.Effect<void>
  /** Answers when none is left; without it such a request gets a 500. */
  readonly otherwise: (reply: (request: RecordedRequest) => Reply) => Effect.Effect<void>
  /** The last 1,000. */
  readonly requests: Effect.Effect<ReadonlyArray<RecordedRequest>>
  /** The next request that arrives, each once. */
  readonly nextRequest: Effect.Effect<RecordedRequest>
}>()("@perennial/test/support/fakeAnthropic") {
  static readonly layerPort = (port: number) => Layer.effect(this, Effect.suspend(() => make(port)))

  /** On a free port. */
  static readonly layer = this.layerPort(0)
}

const readBody = (request: IncomingMessage) =>
  Effect.callback<Buffer>((resume) => {
    const chunks: Array<Buffer> = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => resume(Effect.sync(() => Buffer.concat(chunks))))
  })

const maxBodyBytes = 32 * 1024 * 1024

const tooLarge = errorReply(413, "request_too_large", "Request exceeds the maximum size")

const sendJson = (response: ServerResponse, reply: HttpReply, requestId: string) => {
  if (reply.instead === "reset") response.socket?.resetAndDestroy()
  if (reply.instead !== undefined) return
  response.writeHead(reply.status, { "content-type": "application/json", "request-id": requestId, ...reply.headers })
  response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body))
}

/** The text of an answer, as it comes back when it was paused. */
const pausedText = (reply: StreamReply): string =>
  reply.steps.map((step) => "text" in step ? step.text.join("") : "").join("")

/** What a paused answer continues: the request ends with it. */
const lastAssistantText = ({ messages }: Anthropic.MessageCreateParams): string => {
  const last = messages.at(-1)
  return last?.role === "assistant" && Array.isArray(last.content) ? textOf(last.content) : ""
}

const kept = 1_000

class ListenError extends Data.TaggedError("ListenError")<{ readonly message: string }> {}

const make = Effect.fnUntraced(function*(port: number) {
  const replies: Array<Reply> = []
  const requests: Array<RecordedRequest> = []
  const arrivals = yield* Queue.sliding<RecordedRequest>(kept)
  /** The texts of paused answers, with what led up to them. */
  const paused = new Set<string>()
  let count = 0
  let otherwise: ((request: RecordedRequest) => Reply) | undefined

  const answer = Effect.fnUntraced(function*(request: IncomingMessage, response: ServerResponse) {
    const id = `req_${++count}`
    if (request.url?.split("?")[0] !== "/v1/messages" || request.method !== "POST") {
      return sendJson(response, errorReply(404, "not_found_error", "Not found"), id)
    }
    if (request.headers.authorization === undefined && request.headers["x-api-key"] === undefined) {
      return sendJson(response, unauthorized, id)
    }
    if (request.headers["anthropic-version"] === undefined) {
      return sendJson(response, errorReply(400, "invalid_request_error", "anthropic-version: header is required"), id)
    }
    const end = yield* Deferred.make<"sent" | "aborted">()
    response.on("close", () => {
      Deferred.doneUnsafe(end, Effect.succeed(response.writableFinished ? "sent" : "aborted"))
    })
    const bytes = yield* readBody(request)
    if (bytes.length > maxBodyBytes) return sendJson(response, tooLarge, id)
    const body: Anthropic.MessageCreateParams = JSON.parse(bytes.toString())
    const recorded: RecordedRequest = { id, headers: request.headers, body, end: Deferred.await(end) }
    requests.push(recorded)
    if (requests.length > kept) requests.shift()
    yield* Queue.offer(arrivals, recorded)
    const problem = problemOf(body, paused)
    if (problem !== undefined) return sendJson(response, errorReply(400, "invalid_request_error", problem), id)
    const reply = replies.shift() ?? otherwise?.(recorded) ??
      errorReply(500, "api_error", "the script has no reply left")
    if ("status" in reply) return sendJson(response, reply, id)
    if (reply.stopReason === "pause_turn") paused.add(lastAssistantText(body) + pausedText(reply))
    if (body.stream === true) return yield* streamReply(response, reply, body, id)
    return sendJson(response, { status: 200, body: yield* wholeReply(reply, body, id) }, id)
  })

  const fork = yield* FiberSet.makeRuntime()
  const server = createServer((request, response) => {
    const fiber = fork(answer(request, response))
    response.on("close", () => fiber.interruptUnsafe())
  })
  yield* Effect.acquireRelease(
    Effect.callback<void, ListenError>((resume) => {
      server.once("error", ({ message }) => resume(new ListenError({ message })))
      server.listen(port, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  const address = server.address()
  const listening = typeof address === "object" && address !== null ? address.port : 0
  return FakeAnthropic.of({
    url: `http://127.0.0.1:${listening}`,
    push: (...more) => Effect.sync(() => void replies.push(...more)),
    otherwise: (reply) =>
      Effect.sync(() => {
        otherwise = reply
      }),
    requests: Effect.sync(() => requests.slice()),
    nextRequest: Queue.take(arrivals)
  })
})
