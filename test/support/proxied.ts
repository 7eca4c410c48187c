/** A server behind a proxy, a task that waits in the middle of its events, and readers of the task. */
import { assert } from "@effect/vitest"
import { read } from "@perennial/http/EventReader"
import { Deferred, Effect, Fiber, type Scope } from "effect"
import { makeManager, serve } from "../../packages/http/test/nodeServer.ts"
import { makeEcho, post } from "../../packages/http/test/support.ts"

/** A program in front of a server. A test may kill it and start it again. */
export interface Proxy {
  readonly address: string
  readonly kill: Effect.Effect<void>
  readonly start: Effect.Effect<void>
}

export type Start = (target: number, line?: string) => Effect.Effect<Proxy, never, Scope.Scope>

/** Starts the proxy in front of a server, and a task that waits for the gate of `echo` after its first word. */
export const make = Effect.fnUntraced(function*(start: Start, line?: string) {
  const echo = makeEcho()
  const server = yield* serve(yield* makeManager(echo))
  const proxy = yield* start(server.port, line)
  const started = yield* Effect.promise(() => fetch(`${proxy.address}/tasks`, post({ message: "one hold two 20x50" })))
  assert.strictEqual(started.status, 201)
  return { echo, proxy, events: `${proxy.address}${started.headers.get("location")}/events` }
})

/** Reads all events. `first` is done when the first word has arrived. */
const follow = Effect.fnUntraced(function*(events: string) {
  const first = yield* Deferred.make<void>()
  const reader = yield* Effect.forkScoped(Effect.promise(async (signal) => {
    const seqs: Array<number> = []
    for await (const { event, seq } of read(events, { signal })) {
      seqs.push(seq)
      if (event.type === "text" && event.content === "one") Deferred.doneUnsafe(first, Effect.void)
    }
    return seqs
  }))
  return { first: Deferred.await(first), all: Fiber.join(reader) }
})

/** `ack`, `started`, three words, 1,000 words, `message` and `done`. */
const everySeq = Array.from({ length: 1_007 }, (_, i) => i + 1)

/** The task does not go on before its first word has passed the proxy. */
export const arrivesAtOnce = (start: Start, line?: string) =>
  Effect.gen(function*() {
    const { echo, events } = yield* make(start, line)
    const reader = yield* follow(events)
    yield* reader.first
    yield* echo.gate.open
    assert.deepStrictEqual(yield* reader.all, everySeq)
  })

/** The proxy is killed in the middle of a stream, and started again. */
export const survivesTheProxy = (start: Start) =>
  Effect.gen(function*() {
    const { echo, events, proxy } = yield* make(start)
    const reader = yield* follow(events)
    yield* reader.first
    yield* proxy.kill
    yield* echo.gate.open
    yield* proxy.start
    assert.deepStrictEqual(yield* reader.all, everySeq)
  })

/** The largest file of a message. */
export const acceptsFiles = (start: Start) =>
  Effect.gen(function*() {
    const { proxy } = yield* make(start)
    const data = Buffer.alloc(5 * 1024 * 1024).toString("base64")
    const message = { role: "user", content: [{ type: "file", mediaType: "image/png", data }] }
    const answer = yield* Effect.promise(() => fetch(`${proxy.address}/tasks`, post({ message })))
    assert.strictEqual(answer.status, 201)
  })
