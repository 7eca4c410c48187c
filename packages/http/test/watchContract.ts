/**
 * The suites for a reader of events: `watch` of the typed client, and `EventReader`.
 */
import { assert, describe, it } from "@effect/vitest"
import { TaskId } from "@perennial/domain/Ids"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import { Context, type Duration, Effect, Fiber, Latch, Layer, Queue, type Scope, Stream } from "effect"
import { type Limit, makeCuttingProxy } from "./cuttingProxy.ts"
import { serve } from "./nodeServer.ts"
import { type Echo, layerMemory, makeEcho } from "./support.ts"

type Numbered = Pick<TaskEvent.StoredEvent, "seq" | "event">

export type Watch = (
  id: TaskId,
  options?: { readonly after?: number | undefined }
) => Stream.Stream<Numbered, { readonly _tag: string }>

/** Makes a reader for the server on a port. It reconnects after some milliseconds. */
export type AtPort = (port: number) => Effect.Effect<Watch, never, Scope.Scope>

/** A reader with a clock that tests control. */
export interface Timed {
  /** Makes a reader. The test answers its requests. */
  readonly over: (
    answer: (lastEventId: string | undefined) => Effect.Effect<Response>
  ) => Effect.Effect<Watch, never, Scope.Scope>
  /** Moves the clock on. */
  readonly advance: (duration: Duration.Input) => Effect.Effect<void>
}

const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
const seqs = (events: ReadonlyArray<Numbered>) => events.map(({ seq }) => seq)

const served = Effect.fnUntraced(function*(echo: Echo = makeEcho()) {
  const context = yield* Effect.orDie(Layer.build(layerMemory(echo)))
  const layer = Layer.succeedContext(context)
  return { ...yield* serve(layer), layer, manager: Context.get(context, TaskManager) }
})

const start = (manager: TaskManager["Service"], message: string) => manager.start({ message })

const bytes = (...limits: ReadonlyArray<number>): Limit => (n) => limits[n % limits.length] ?? 0

/** A limit at the end of the k-th event. The opening comment comes before the first event. */
const events = (k: number): Limit => (_, text) => {
  let end = text.indexOf("\n\n")
  for (let i = 0; i < k && end !== -1; i++) end = text.indexOf("\n\n", end + 2)
  return end === -1 ? text.length + 1 : end + 2
}

const fields = { ack: { messageId: "t1/1" }, text: { content: "a" }, done: { usage: zero } }

const frame = (seq: number, type: keyof typeof fields = "text") =>
  `id: ${seq}\ndata: ${JSON.stringify({ taskId: "t1", conversationId: "c1", type, ...fields[type] })}\n\n`

/** A stream that sends these texts, and then stays open and sends nothing more. */
const silentAfter = (...texts: ReadonlyArray<string>) =>
  new Response(
    new ReadableStream<Uint8Array>({
      start: (controller) => {
        for (const text of texts) controller.enqueue(new TextEncoder().encode(text))
      }
    }),
    { headers: { "content-type": "text/event-stream" } }
  )

const ending = (...texts: ReadonlyArray<string>) =>
  new Response(texts.join(""), { headers: { "content-type": "text/event-stream" } })

const problem = (status: number, fields: object) =>
  Response.json({ status, title: "t", detail: "d", ...fields }, {
    status,
    headers: { "content-type": "application/problem+json" }
  })

const id = TaskId.make("t1")

/** A server that gives these answers one after the other. `asked` has the cursor of each request. */
const answered = Effect.fnUntraced(function*(
  reader: Timed,
  ...answers: ReadonlyArray<() => Response | Effect.Effect<Response>>
) {
  const asked: Array<string | undefined> = []
  const watch = yield* reader.over((lastEventId) => {
    const answer = answers[asked.length]
    asked.push(lastEventId)
    if (answer === undefined) return Effect.die(new Error("asked too often"))
    const response = answer()
    return Effect.isEffect(response) ? response : Effect.succeed(response)
  })
  return { asked, watch }
})

const settle = Effect.promise(() => new Promise((resolve) => setImmediate(resolve))).pipe(
  Effect.repeat({ times: 20 })
)

export const overSockets = (name: string, atPort: AtPort) =>
  describe(`${name}: over sockets`, () => {
    it.live("SCENARIO 3, P3: a reader gets every event once, in order, wherever its connections are cut", () =>
      Effect.gen(function*() {
        const { manager, port } = yield* served()
        const direct = yield* atPort(port)
        const task = yield* start(manager, "30x1")
        const all = yield* Stream.runCollect(direct(task.id))
        assert.deepStrictEqual(seqs(all), upTo(34))
        const limits = [...[1, 2, 7, 33].map(events), bytes(450), bytes(451, 20, 1_000), bytes(1_001, 0, 997)]
        yield* Effect.forEach(limits, (limit) =>
          Effect.gen(function*() {
            const proxy = yield* makeCuttingProxy(port, limit)
            const watch = yield* atPort(proxy.port)
            const cut = yield* Stream.runCollect(watch(task.id))
            assert.deepStrictEqual(cut, all)
            assert.isAbove(proxy.connections(), 1)
          }), { concurrency: "unbounded", discard: true })
      }))

    it.live("SCENARIO 4: the reader keeps its cursor if a connection is cut before its first event", () =>
      Effect.gen(function*() {
        const { manager, port } = yield* served()
        const direct = yield* atPort(port)
        const task = yield* start(manager, "10x1")
        yield* Stream.runDrain(direct(task.id))
        // The first response has some events. The next three have at most the opening comment.
        const proxy = yield* makeCuttingProxy(port, (n) => [700, 6, 1, 6][n] ?? Number.POSITIVE_INFINITY)
        const events = yield* Stream.runCollect((yield* atPort(proxy.port))(task.id))
        assert.deepStrictEqual(seqs(events), upTo(14))
        assert.strictEqual(proxy.connections(), 5)
      }))

    it.live("SCENARIO 5: with a cursor at the terminal event the reader ends at once", () =>
      Effect.gen(function*() {
        const { manager, port } = yield* served()
        const watch = yield* atPort(port)
        const task = yield* start(manager, "a")
        const events = yield* Stream.runCollect(watch(task.id))
        const last = events.at(-1)
        assert.isTrue(last !== undefined && TaskEvent.isTerminal(last.event))
        assert.deepStrictEqual(yield* Stream.runCollect(watch(task.id, { after: last?.seq })), [])
      }))

    it.live("SCENARIO 6: there is no gap and no repetition between old and live events", () =>
      Effect.gen(function*() {
        const { manager, port } = yield* served()
        const watch = yield* atPort(port)
        const task = yield* start(manager, "500x2")
        const readers = yield* Effect.forEach(upTo(10), () => Stream.runCollect(watch(task.id)), {
          concurrency: "unbounded"
        })
        for (const events of readers) assert.deepStrictEqual(seqs(events), upTo(1004))
      }))

    it.live("SCENARIO 7: a reader that joins before the first event waits for it", () =>
      Effect.gen(function*() {
        const echo = makeEcho()
        const { manager, port } = yield* served(echo)
        const watch = yield* atPort(port)
        const task = yield* start(manager, "hold a")
        const arrived = yield* Queue.unbounded<number>()
        const reading = yield* Effect.forkChild(
          Stream.runForEach(watch(task.id), ({ seq }) => Queue.offer(arrived, seq))
        )
        assert.deepStrictEqual([yield* Queue.take(arrived), yield* Queue.take(arrived)], [1, 2])
        yield* echo.gate.open
        yield* Fiber.join(reading)
        assert.deepStrictEqual(yield* Queue.takeAll(arrived), [3, 4, 5, 6])
      }))

    it.live("SCENARIO 9, 10: an unknown task and a cursor beyond the log are typed errors at once", () =>
      Effect.gen(function*() {
        const { manager, port } = yield* served()
        const watch = yield* atPort(port)
        const task = yield* start(manager, "hold")
        const ahead = yield* Effect.flip(Stream.runDrain(watch(task.id, { after: 99 })))
        assert.strictEqual(ahead._tag, "CursorAhead")
        const unknown = yield* Effect.flip(Stream.runDrain(watch(TaskId.make("none"))))
        assert.strictEqual(unknown._tag, "TaskNotFound")
      }))

    it.live("a reader continues after the server was drained and restarted", () =>
      Effect.gen(function*() {
        const echo = makeEcho()
        const first = yield* served(echo)
        const watch = yield* atPort(first.port)
        const task = yield* start(first.manager, "5x1 hold 4x1")
        const reached = yield* Latch.make()
        const reading = yield* Effect.forkChild(
          watch(task.id).pipe(
            Stream.tap(({ seq }) => seq === 7 ? reached.open : Effect.void),
            Stream.runCollect
          )
        )
        yield* reached.await
        yield* first.close
        yield* serve(first.layer, { port: first.port })
        yield* echo.gate.open
        assert.deepStrictEqual(seqs(yield* Fiber.join(reading)), upTo(14))
      }))
  })

export const overTime = (name: string, reader: Timed) =>
  // These tests run one after the other, because the clock may be the clock of the process.
  describe(`${name}: over time`, { concurrent: false }, () => {
    it.effect("P3: a reader reconnects from its cursor if a connection is silent for two heartbeats", () =>
      Effect.gen(function*() {
        const { asked, watch } = yield* answered(
          reader,
          () => silentAfter(":\n\n", frame(1, "ack"), frame(2)),
          () => ending(frame(2), frame(3), frame(4, "done"))
        )
        const reading = yield* Effect.forkChild(Stream.runCollect(watch(id)))
        yield* settle
        yield* reader.advance("29 seconds")
        yield* settle
        assert.strictEqual(asked.length, 1)
        yield* reader.advance("2 seconds")
        yield* settle
        const events = yield* Fiber.join(reading)
        assert.deepStrictEqual(events.map(({ seq }) => seq), [1, 2, 3, 4])
        assert.deepStrictEqual(asked, [undefined, "2"])
      }))

    it.effect("a reader repeats a request that is not answered within two heartbeats", () =>
      Effect.gen(function*() {
        const { asked, watch } = yield* answered(reader, () => Effect.never, () => ending(frame(1, "done")))
        const reading = yield* Effect.forkChild(Stream.runCollect(watch(id)))
        yield* settle
        yield* reader.advance("31 seconds")
        yield* settle
        assert.strictEqual((yield* Fiber.join(reading)).length, 1)
        assert.strictEqual(asked.length, 2)
      }))

    it.effect("a reader keeps an idle connection with heartbeats, and its own stalling does not count as silence", () =>
      Effect.gen(function*() {
        const stall = yield* Latch.make()
        let beat = () => {}
        let end = () => {}
        const { asked, watch } = yield* answered(reader, () =>
          new Response(
            new ReadableStream<Uint8Array>({
              start: (controller) => {
                const say = (text: string) => controller.enqueue(new TextEncoder().encode(text))
                beat = () => say(": ping\n\n")
                end = () => {
                  say(frame(2, "done"))
                  controller.close()
                }
                say(frame(1, "ack"))
              }
            }),
            { headers: { "content-type": "text/event-stream" } }
          ))
        const reading = yield* Effect.forkChild(
          watch(id).pipe(
            Stream.tap(({ seq }) => seq === 1 ? stall.await : Effect.void),
            Stream.runCollect
          )
        )
        yield* settle
        yield* reader.advance("5 minutes")
        yield* stall.open
        for (let i = 0; i < 20; i++) {
          yield* settle
          yield* reader.advance("15 seconds")
          beat()
        }
        yield* settle
        end()
        assert.strictEqual((yield* Fiber.join(reading)).length, 2)
        assert.strictEqual(asked.length, 1)
      }))

    it.effect("a reader repeats a request that is answered 408, 425, 429, 5xx or by another server", () =>
      Effect.gen(function*() {
        const { asked, watch } = yield* answered(
          reader,
          ...[408, 425, 429, 500, 502, 503, 504].map((status) => () => new Response("<html>", { status })),
          () => problem(503, { type: "urn:perennial:problem:unavailable" }),
          () => ending(frame(1, "done"))
        )
        const reading = yield* Effect.forkChild(Stream.runCollect(watch(id)))
        for (let i = 0; i < 10; i++) {
          yield* settle
          yield* reader.advance("15 seconds")
        }
        assert.strictEqual((yield* Fiber.join(reading)).length, 1)
        assert.strictEqual(asked.length, 9)
      }))

    it.effect("a reader waits for the seconds of `Retry-After`", () =>
      Effect.gen(function*() {
        const { asked, watch } = yield* answered(
          reader,
          () => new Response("<html>", { status: 429, headers: { "retry-after": "20" } }),
          () => ending(frame(1, "done"))
        )
        const reading = yield* Effect.forkChild(Stream.runCollect(watch(id)))
        yield* settle
        yield* reader.advance("19 seconds")
        yield* settle
        assert.strictEqual(asked.length, 1)
        yield* reader.advance("2 seconds")
        yield* settle
        assert.strictEqual((yield* Fiber.join(reading)).length, 1)
      }))

    it.effect("every other refusal ends the reader with a typed error", () =>
      Effect.gen(function*() {
        const gone = { type: "urn:perennial:problem:events-expired", taskId: "t1" }
        const { watch } = yield* answered(reader, () => problem(410, gone), () => new Response("no", { status: 418 }))
        assert.strictEqual((yield* Effect.flip(Stream.runDrain(watch(id))))._tag, "EventsExpired")
        yield* Effect.flip(Stream.runDrain(watch(id)))
      }))

    it.effect("204 ends the reader without an event", () =>
      Effect.gen(function*() {
        const { watch } = yield* answered(reader, () => new Response(null, { status: 204 }))
        assert.deepStrictEqual(yield* Stream.runCollect(watch(id, { after: 7 })), [])
      }))
  })
