/** The server of a fake model API. What is particular to one API is its `Wire`. */
// @effect-diagnostics nodeBuiltinImport:off
import { Deferred, Effect, Option, Queue, Schema, type Scope } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Answer, Failure, FakeApi, HttpReply, ListenError, RecordedRequest, Reply } from "../../FakeReply.ts"
import { listen, readBody } from "./listen.ts"
import { type Step, writeSteps } from "./writer.ts"

/** A request that an API has accepted: how its answer is written. */
export interface Exchange {
  readonly streamed: boolean
  readonly steps: (answer: Answer) => ReadonlyArray<Step>
  readonly whole: (answer: Answer) => unknown
}

export interface Wire<Body> {
  /** Why a request is refused before its body is read. */
  readonly refusalOf: (request: { readonly path: string; readonly request: IncomingMessage }) => HttpReply | undefined
  /** Decodes a body and checks the rules of the API. */
  readonly accept: (path: string, body: unknown) => { readonly body: Body; readonly exchange: Exchange | HttpReply }
  readonly failure: (failure: Failure, streamed: boolean) => HttpReply
}

const parseJson = Schema.decodeOption(Schema.fromJsonString(Schema.Unknown))

const sendJson = (response: ServerResponse, reply: HttpReply) => {
  if (reply.instead === "reset") response.socket?.resetAndDestroy()
  if (reply.instead !== undefined) return
  response.writeHead(reply.status, { "content-type": "application/json", ...reply.headers })
  response.end(typeof reply.body === "string" ? reply.body : JSON.stringify(reply.body))
}

const kept = 1_000

/** Starts a server on 127.0.0.1, which ends with the scope. */
export const make = Effect.fnUntraced(function*<Body>(options: {
  readonly api: string
  readonly port: number
  readonly wire: Wire<Body>
}): Effect.fn.Return<FakeApi<Body>, ListenError, Scope.Scope> {
  const { wire } = options
  const replies: Array<Reply> = []
  const requests: Array<RecordedRequest<Body>> = []
  const arrivals = yield* Queue.sliding<RecordedRequest<Body>>(kept)
  let otherwise: ((request: RecordedRequest<Body>) => Reply) | undefined

  const answer = Effect.fnUntraced(function*(request: IncomingMessage, response: ServerResponse) {
    const path = request.url ?? ""
    const refusal = wire.refusalOf({ path, request })
    if (refusal !== undefined) return sendJson(response, refusal)
    const end = yield* Deferred.make<"sent" | "aborted">()
    response.on("close", () => {
      Deferred.doneUnsafe(end, Effect.succeed(response.writableFinished ? "sent" : "aborted"))
    })
    const json = parseJson((yield* readBody(request)).toString())
    const accepted = wire.accept(path, Option.getOrUndefined(json))
    const recorded: RecordedRequest<Body> = {
      path,
      headers: request.headers,
      body: accepted.body,
      end: Deferred.await(end)
    }
    requests.push(recorded)
    if (requests.length > kept) requests.shift()
    yield* Queue.offer(arrivals, recorded)
    const { exchange } = accepted
    if ("status" in exchange) return sendJson(response, exchange)
    const reply = replies.shift() ?? otherwise?.(recorded) ?? { failure: "internal" }
    if ("failure" in reply) return sendJson(response, wire.failure(reply, exchange.streamed))
    if ("status" in reply) return sendJson(response, reply)
    return exchange.streamed
      ? yield* writeSteps(response, exchange.steps(reply))
      : sendJson(response, { status: 200, body: exchange.whole(reply) })
  })

  const url = yield* listen({ api: options.api, port: options.port, answer })
  return {
    url,
    push: (...more) => Effect.sync(() => void replies.push(...more)),
    otherwise: (reply) =>
      Effect.sync(() => {
        otherwise = reply
      }),
    requests: Effect.sync(() => requests.slice()),
    nextRequest: Queue.take(arrivals)
  }
})
