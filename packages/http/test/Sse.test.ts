import { assert, describe, it } from "@effect/vitest"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import { StreamLost } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import * as Sse from "@perennial/http/Sse"
import type { Wire } from "@perennial/http/Wire"
import {
  Array,
  type Cause,
  Context,
  Effect,
  Exit,
  Fiber,
  Latch,
  Layer,
  Logger,
  Queue,
  Ref,
  Scheduler,
  Scope,
  Stream
} from "effect"
import { TestClock } from "effect/testing"

const taskId = TaskId.make("t1")
const stored = (seq: number, content = `${seq}`): StoredEvent => ({
  seq,
  at: 0,
  event: { type: "text", taskId, conversationId: ConversationId.make("c1"), content }
})
const terminal = (seq: number): StoredEvent => ({
  seq,
  at: 0,
  event: { type: "cancelled", taskId, conversationId: ConversationId.make("c1") }
})
const settle = Effect.repeat(Effect.yieldNow, { times: 50 })
const frame = (seq: number) =>
  `id: ${seq}\ndata: {"type":"text","taskId":"t1","conversationId":"c1","content":"${seq}","at":0}\n\n`

/** The chunks that a connection writes. */
const open = Effect.fnUntraced(function*(events: Stream.Stream<StoredEvent, StreamLost>, expiresAt?: number) {
  const streams = yield* Sse.EventStreams
  const body = streams.response(events, { expiresAt }).body
  assert(body._tag === "Stream")
  return Stream.orDie(body.stream)
})

const collect = Effect.fnUntraced(function*(events: Stream.Stream<StoredEvent, StreamLost>, expiresAt?: number) {
  const written = yield* Ref.make<ReadonlyArray<string>>([])
  const decoder = new TextDecoder()
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(
      yield* open(events, expiresAt),
      (bytes) => Ref.update(written, (all) => [...all, decoder.decode(bytes)])
    )
  )
  return { written: Ref.get(written), fiber }
})

const layer = Sse.layer({ heartbeat: "15 seconds", retry: "2 seconds" })

describe("a stream", () => {
  it.effect("sends its opening at once, and ends when its source ends", () =>
    Effect.gen(function*() {
      const { fiber, written } = yield* collect(Stream.make(stored(1), stored(2)))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* written, [": ok\n\n", frame(1) + frame(2)])
      assert.strictEqual(yield* (yield* Sse.EventStreams).open, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("SCENARIO 13: an idle stream gets a comment every heartbeat and loses no event", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const later = Stream.fromEffect(Effect.as(gate.await, stored(2)))
      const { fiber, written } = yield* collect(Stream.concat(Stream.make(stored(1)), later))
      yield* TestClock.adjust("31 seconds")
      assert.strictEqual(yield* (yield* Sse.EventStreams).open, 1)
      yield* gate.open
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* written, [": ok\n\n", frame(1), ": ping\n\n", ": ping\n\n", frame(2)])
    }).pipe(Effect.provide(layer)))

  it.effect("P12: ends with the credential of its reader; an idle stream ends at the next heartbeat", () =>
    Effect.gen(function*() {
      const gate = yield* Latch.make()
      const later = Stream.fromEffect(Effect.as(gate.await, stored(2)))
      const idle = yield* collect(Stream.concat(Stream.make(stored(1)), Stream.never), 20_000)
      const busy = yield* collect(Stream.concat(Stream.make(stored(1)), later), 20_000)
      yield* TestClock.adjust("20 seconds")
      yield* gate.open
      yield* Fiber.join(busy.fiber)
      yield* TestClock.adjust("10 seconds")
      yield* Fiber.join(idle.fiber)
      const written = [": ok\n\n", frame(1), ": ping\n\n", "retry: 2000\n\n"]
      assert.deepStrictEqual(yield* busy.written, written)
      assert.deepStrictEqual(yield* idle.written, written)
      assert.strictEqual(yield* (yield* Sse.EventStreams).open, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("ends with a retry hint when its source fails", () =>
    Effect.gen(function*() {
      const lost = Stream.fail(new StreamLost({ taskId, after: 1, reason: "secret" }))
      const { fiber, written } = yield* collect(Stream.concat(Stream.make(stored(1)), lost))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* written, [": ok\n\n", frame(1), "retry: 2000\n\n"])
    }).pipe(Effect.provide(layer)))

  it.effect("ends with a retry hint when its source dies of a bug", () =>
    Effect.gen(function*() {
      const { fiber, written } = yield* collect(Stream.die(new Error("secret")))
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* written, [": ok\n\n", "retry: 2000\n\n"])
    }).pipe(Effect.provide(layer)))

  it.effect("SCENARIO 16: when the reader disconnects, the source ends and the stream no longer counts as open", () =>
    Effect.gen(function*() {
      const ended = yield* Latch.make()
      const source = Stream.ensuring(Stream.concat(Stream.make(stored(1)), Stream.never), ended.open)
      const { fiber } = yield* collect(source)
      yield* TestClock.adjust("1 second")
      const streams = yield* Sse.EventStreams
      assert.strictEqual(yield* streams.open, 1)
      yield* Fiber.interrupt(fiber)
      yield* ended.await
      assert.strictEqual(yield* streams.open, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("P6: the source waits while the reader stalls", () =>
    Effect.gen(function*() {
      const pulled = yield* Ref.make(0)
      const source = Stream.fromEffectRepeat(Effect.map(Ref.updateAndGet(pulled, (n) => n + 1), (n) => stored(n)))
      const first = yield* Latch.make()
      const stalled = yield* Effect.forkChild(
        Stream.runForEach(Stream.drop(yield* open(source), 1), () => Effect.andThen(first.open, Effect.never))
      )
      yield* first.await
      yield* TestClock.adjust("1 hour")
      assert.isAtMost(yield* Ref.get(pulled), 2)
      yield* Fiber.interrupt(stalled)
    }).pipe(Effect.provide(layer)))
})

describe("coalescing", () => {
  it.effect("delays events that follow each other closely, but no event after a pause and no terminal event", () =>
    Effect.gen(function*() {
      const queue = yield* Queue.unbounded<StoredEvent, Cause.Done>()
      const { fiber, written } = yield* collect(Stream.fromQueue(queue))
      yield* TestClock.adjust("1 second")
      yield* Queue.offer(queue, stored(1))
      yield* settle
      assert.deepStrictEqual(yield* written, [": ok\n\n", frame(1)])
      yield* Queue.offer(queue, stored(2))
      yield* settle
      yield* Queue.offer(queue, stored(3))
      yield* settle
      assert.strictEqual((yield* written).length, 2)
      yield* TestClock.adjust("5 millis")
      assert.deepStrictEqual((yield* written).slice(2), [frame(2) + frame(3)])
      yield* TestClock.adjust("1 second")
      yield* Queue.offer(queue, terminal(4))
      yield* settle
      assert.strictEqual((yield* written).length, 4)
      yield* Queue.end(queue)
      yield* Fiber.join(fiber)
    }).pipe(Effect.provide(Sse.layer({ coalesce: "5 millis" }))))
})

describe("a wire", () => {
  it.effect("defines headers, opening, heartbeats, events and goodbye of a stream", () =>
    Effect.gen(function*() {
      const utf8 = new TextEncoder()
      const wire: Wire = {
        headers: { "x-protocol": "other" },
        opening: (retryMillis) => utf8.encode(`begin ${retryMillis};`),
        heartbeat: utf8.encode("beat;"),
        goodbye: (retryMillis) => utf8.encode(`end ${retryMillis};`),
        encode: (events) => utf8.encode(`${events.map(({ seq }) => seq).join(" ")};`)
      }
      const streams = yield* Sse.EventStreams
      const response = streams.response(Stream.concat(Stream.make(stored(1), stored(2)), Stream.never), {
        wire,
        headers: { location: "/tasks/t1" }
      })
      assert.deepInclude(response.headers, {
        "content-type": "text/event-stream",
        "cache-control": "no-cache, no-transform",
        "x-protocol": "other",
        location: "/tasks/t1"
      })
      assert(response.body._tag === "Stream")
      const fiber = yield* Effect.forkChild(Stream.mkString(Stream.decodeText(Stream.orDie(response.body.stream))))
      yield* TestClock.adjust("15 seconds")
      yield* streams.drain
      assert.strictEqual(yield* Fiber.join(fiber), "begin 2000;1 2;beat;end 2000;")
    }).pipe(Effect.provide(layer)))
})

describe("the bound on open streams", () => {
  const bounded = Sse.layer({ maxStreams: 2, retry: "2 seconds" })
  const waiting = Stream.concat(Stream.make(stored(1)), Stream.never)

  it.effect("is logged once for any number of refused readers, and again only after half of the streams have ended", () =>
    Effect.gen(function*() {
      const warnings: Array<unknown> = []
      const logger = Logger.make(({ logLevel, message }) => {
        if (logLevel === "Warn") warnings.push(message)
      })
      yield* Effect.gen(function*() {
        const streams = yield* Sse.EventStreams
        yield* streams.admit
        const first = yield* collect(waiting)
        const second = yield* collect(waiting)
        yield* settle
        for (let i = 0; i < 3; i++) {
          const refused = yield* Effect.flip(streams.admit)
          assert.deepStrictEqual([refused._tag, refused.limit], ["TooManyStreams", 2])
        }
        assert.strictEqual(warnings.length, 1)
        assert.include(String(warnings[0]), "maxStreams")
        yield* Fiber.interrupt(first.fiber)
        yield* streams.admit
        const third = yield* collect(waiting)
        yield* settle
        yield* Effect.flip(streams.admit)
        assert.strictEqual(warnings.length, 2)
        yield* Fiber.interruptAll([second.fiber, third.fiber])
      }).pipe(Effect.provide([bounded, Logger.layer([logger])]))
    }))

  it.effect("holds for concurrent admissions: a stream above the bound ends at once with a retry hint", () =>
    Effect.gen(function*() {
      const streams = yield* Sse.EventStreams
      yield* Effect.replicateEffect(streams.admit, 3)
      const readers = yield* Effect.replicateEffect(collect(waiting), 3)
      yield* settle
      assert.strictEqual(yield* streams.open, 2)
      const written = yield* Effect.forEach(readers, (reader) => reader.written)
      assert.deepStrictEqual(written, [[": ok\n\n", frame(1)], [": ok\n\n", frame(1)], [": ok\n\n", "retry: 2000\n\n"]])
      yield* Fiber.interruptAll(readers.map(({ fiber }) => fiber))
      assert.strictEqual(yield* streams.open, 0)
    }).pipe(Effect.provide(bounded)))
})

describe("drain", () => {
  it.effect("does not wait for a stream that coalesces, also when the scope of its timer has closed", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const context = yield* Layer.buildWithScope(Sse.layer({ coalesce: "5 millis" }), scope)
      const { fiber, written } = yield* Effect.provide(
        collect(Stream.concat(Stream.make(stored(1)), Stream.never)),
        context
      )
      yield* settle
      yield* Context.get(context, Sse.EventStreams).drain
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(yield* written, [": ok\n\n", frame(1), "retry: 1000\n\n"])
    }))

  it.effect("ends open streams and later streams with a retry hint", () =>
    Effect.gen(function*() {
      const streams = yield* Sse.EventStreams
      const idle = yield* collect(Stream.concat(Stream.make(stored(1)), Stream.never))
      yield* TestClock.adjust("1 second")
      yield* streams.drain
      yield* Fiber.join(idle.fiber)
      assert.deepStrictEqual(yield* idle.written, [": ok\n\n", frame(1), "retry: 2000\n\n"])
      const late = yield* collect(Stream.make(stored(1)))
      yield* Fiber.join(late.fiber)
      assert.deepStrictEqual(yield* late.written, [": ok\n\n", "retry: 2000\n\n"])
      assert.isTrue(yield* streams.draining)
      assert.strictEqual(yield* streams.open, 0)
    }).pipe(Effect.provide(layer)))

  it.effect("happens when the scope of the server closes", () =>
    Effect.gen(function*() {
      const streams = yield* Sse.EventStreams
      yield* Effect.scoped(Layer.build(Sse.layerDrain))
      assert.isTrue(yield* streams.draining)
    }).pipe(Effect.provide(layer)))
})

describe("interleavings", () => {
  for (let operations = 3; operations <= 60; operations++) {
    it.effect(`fibers yield after every ${operations} operations: no event waits for the next heartbeat`, () =>
      Effect.gen(function*() {
        const seqs = Array.range(1, 40)
        // Each event takes longer to arrive than the event before.
        const events = Stream.fromIterable(seqs).pipe(
          Stream.rechunk(1),
          Stream.mapEffect((seq) => Effect.as(Effect.repeat(Effect.void, { times: seq }), stored(seq)))
        )
        const { fiber, written } = yield* collect(events)
        yield* Effect.repeat(Effect.yieldNow, { times: 5_000 })
        assert.isDefined(fiber.pollUnsafe())
        assert.strictEqual((yield* written).join(""), [": ok\n\n", ...seqs.map(frame)].join(""))
      }).pipe(Effect.provide(layer), Effect.provideService(Scheduler.MaxOpsBeforeYield, operations)))

    it.effect(`fibers yield after every ${operations} operations: a drain at any moment ends the stream`, () =>
      Effect.gen(function*() {
        for (let moment = 1; moment <= 20; moment++) {
          yield* Effect.gen(function*() {
            const { fiber } = yield* collect(Stream.concat(Stream.make(stored(1)), Stream.never))
            yield* Effect.repeat(Effect.yieldNow, { times: moment })
            yield* (yield* Sse.EventStreams).drain
            yield* settle
            assert.isDefined(fiber.pollUnsafe())
          }).pipe(Effect.provide(layer))
        }
      }).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, operations)))
  }
})

describe("encoding", () => {
  const bytesOf = (events: Stream.Stream<StoredEvent>) =>
    Effect.flatMap(open(events), (body) => Stream.runCollect(Stream.drop(body, 1)))

  it.effect("readers of one batch share one buffer, and readers of one event share it also in different arrays", () =>
    Effect.gen(function*() {
      const batch = [stored(1), stored(2), stored(3)] as const
      const one = stored(4)
      const source = () => Stream.concat(Stream.fromArray(batch), Stream.make(one))
      const [a, b] = [yield* bytesOf(source()), yield* bytesOf(source())]
      assert.strictEqual(a.length, 2)
      assert.strictEqual(a[0], b[0])
      assert.strictEqual(a[1], b[1])
    }).pipe(Effect.provide(layer)))

  it.effect("line breaks and unknown events are sent unchanged", () =>
    Effect.gen(function*() {
      const raw = { type: "future", taskId: "t1", conversationId: "c1", at: "\u2028\r\n" }
      const source = Stream.make<[StoredEvent, StoredEvent]>(
        { seq: 1, at: 0, event: { type: "unknown", raw } },
        stored(2, "a\r\nb\rc")
      )
      const [bytes] = yield* bytesOf(source)
      const [first, second, rest] = new TextDecoder().decode(bytes).split("\n\n")
      assert.deepStrictEqual(JSON.parse(first?.split("\ndata: ")[1] ?? ""), { ...raw, at: 0 })
      assert.strictEqual(JSON.parse(second?.split("\ndata: ")[1] ?? "").content, "a\r\nb\rc")
      assert.strictEqual(rest, "")
    }).pipe(Effect.provide(layer)))
})
