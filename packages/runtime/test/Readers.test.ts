/**
 * Readers that join, stall and disconnect. Interleavings of readers and tasks are tested with fibers that yield after few
 * operations.
 */
import { assert, describe, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { size } from "@perennial/domain/EventPayload"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import { zero } from "@perennial/domain/Usage"
import { Deferred, Effect, Exit, Fiber, Latch, PubSub, Ref, Scheduler, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Hubs } from "../src/internal/log/hub.ts"
import { counting, message, text } from "./support/agents.ts"
import {
  blocking,
  checkCapacity,
  checkEnded,
  joinInTime,
  readOn,
  settle,
  stepping,
  storedLog,
  untilEnded
} from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

describe("readers of one task (P3, P6)", () => {
  it.effect(
    "of 1,000 readers, those that stay get all events, and those that disconnect leave nothing behind",
    () =>
      Effect.gen(function*() {
        const both = yield* shared
        const { line, manager } = yield* startProcess(both, [counting(300)])
        line.after = () => Effect.yieldNow
        const { id } = yield* manager.start({ message: "x" })
        const readers = yield* Effect.forEach(
          Array.from({ length: 1_000 }, (_, i) => i),
          (i) =>
            Effect.forkChild(Effect.gen(function*() {
              const events = yield* manager.events(id)
              return yield* Stream.runCollect(i % 2 === 0 ? events : Stream.take(events, i % 50))
            }))
        )
        for (const [i, reader] of readers.entries()) if (i % 7 === 1) yield* Fiber.interrupt(reader)
        yield* untilEnded(both, id)
        const log = yield* storedLog(both, id)
        for (const [i, reader] of readers.entries()) {
          if (i % 7 === 1) continue
          const seen = yield* Fiber.join(reader)
          assert.deepStrictEqual(
            seen.map(({ seq }) => seq),
            log.slice(0, i % 2 === 0 ? log.length : i % 50).map(({ seq }) => seq)
          )
        }
        // Without a reader the process does not compare last seqs any more.
        yield* settle
        const before = line.names.filter((name) => name === "lastSeqs").length
        yield* TestClock.adjust("20 seconds")
        assert.strictEqual(line.names.filter((name) => name === "lastSeqs").length, before)
      }),
    120_000
  )

  it.effect("a reader at the terminal event ends, also before that event is published", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const { line, manager } = yield* startProcess(both, [counting(1)])
      const stored = Deferred.makeUnsafe<void>()
      const go = Latch.makeUnsafe(false)
      line.after = () =>
        line.names.at(-1) === "finish" ? Effect.andThen(Deferred.succeed(stored, undefined), go.await) : Effect.void
      const { id } = yield* manager.start({ message: "x" })
      const first = yield* Effect.forkChild(Stream.runCollect(yield* manager.events(id)))
      yield* Deferred.await(stored)
      const { lastSeq } = yield* both.backend.get(id)
      const late = yield* Effect.forEach([1, 2, 3], () =>
        Effect.forkChild(Effect.flatMap(manager.events(id, { after: lastSeq }), Stream.runCollect)))
      yield* settle
      yield* go.open
      for (const reader of late) {
        assert.deepStrictEqual(yield* Fiber.join(reader), [])
      }
      assert.strictEqual((yield* Fiber.join(first)).length, lastSeq)
    }))

  it.effect("a live reader gets large and small events whole and in order", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const sizes = [10, 200_000, 10, 70_000, 70_000, 10]
      const agent = make("large", (_, emit) =>
        Effect.gen(function*() {
          for (const size of sizes) {
            yield* emit([text("x".repeat(size))])
            yield* Effect.yieldNow
          }
          yield* emit([message("done")])
          return { usage: zero }
        }))
      const { manager } = yield* startProcess(both, [agent])
      const { id } = yield* manager.start({ message: "x" })
      const events = yield* Stream.runCollect(yield* manager.events(id))
      assert.deepStrictEqual(events, yield* storedLog(both, id))
      assert.deepStrictEqual(
        events.flatMap(({ event }) => event.type === "text" ? [event.content.length] : []),
        sizes
      )
    }))

  it.effect("P6: the events that a hub holds for stalled readers are bounded in bytes", () =>
    Effect.gen(function*() {
      const hubs = new Hubs(() => {})
      const hub = hubs.own(TaskId.make("t1"), 0)
      const stalled = yield* (yield* hubs.attach(TaskId.make("t1"))).subscribe
      for (let seq = 1; seq <= 100; seq++) {
        const content = "x".repeat(seq % 2 === 0 ? 60_000 : 200_000)
        yield* hub.publish([{
          seq,
          at: 0,
          event: { type: "text", taskId: TaskId.make("t1"), conversationId: ConversationId.make("c1"), content }
        }])
      }
      const held = (yield* PubSub.takeAll(stalled)).flatMap((signal) => signal === "readLog" ? [] : signal)
      assert.isAbove(held.length, 0)
      assert.isAtMost(held.reduce((sum, { event }) => sum + size(event), 0), 4 * 1024 * 1024)
    }).pipe(Effect.scoped))

  it.effect("P3: two readers on another process, one of them later, both get events without a hint", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const release = Latch.makeUnsafe(false)
      const agent = make("waits", (_, emit) =>
        Effect.gen(function*() {
          yield* emit([text("a ")])
          yield* release.await
          yield* emit([message("b")])
          return { usage: zero }
        }))
      const a = yield* startProcess(both, [agent])
      const b = yield* startProcess(both, [agent])
      const { id } = yield* a.manager.start({ message: "x" })
      yield* settle
      const first = yield* Effect.forkChild(readOn(b.manager, id))
      yield* settle
      yield* release.open
      yield* settle
      const second = yield* Effect.forkChild(readOn(b.manager, id))
      yield* settle
      yield* TestClock.adjust("12 seconds")
      assert.deepStrictEqual(yield* Fiber.join(first), yield* Fiber.join(second))
    }))
})

it.effect("P3: readers on the old owner's process get the new owner's events, also while the old agent does not end", () =>
  Effect.gen(function*() {
    const both = yield* shared
    const agent = make("clings", ({ task }, emit) =>
      Effect.gen(function*() {
        yield* emit([message(`attempt ${task.attempt}`)])
        if (task.attempt === 1) return yield* Effect.onInterrupt(Effect.never, () => Effect.never)
        return { usage: zero }
      }))
    const a = yield* startProcess(both, [agent])
    const { id } = yield* a.manager.start({ message: "x" })
    const reader = yield* Effect.forkChild(readOn(a.manager, id))
    yield* settle
    // The lease runs out after 9 seconds. Finalizers have 10 seconds.
    a.line.before = () => a.line.names.at(-1) === "heartbeat" ? Effect.never : Effect.void
    yield* startProcess(both, [agent])
    for (let seconds = 0; seconds < 16; seconds++) {
      yield* settle
      yield* TestClock.adjust("1 second")
    }
    yield* settle
    const seen = reader.pollUnsafe()
    yield* joinInTime(yield* Effect.forkChild(a.terminate))
    assert.deepStrictEqual(seen, Exit.succeed(yield* checkEnded(both, id)))
  }))

describe("interleavings (P2, P3, P4, P11)", () => {
  for (const operations of [3, 4, 5, 7, 11, 13, 17]) {
    it.effect(
      `fibers yield after every ${operations} operations: no event or place is lost, and nothing hangs`,
      () =>
        Effect.gen(function*() {
          const both = yield* shared
          const block = { release: Latch.makeUnsafe(false), active: Ref.makeUnsafe(0) }
          const process = yield* startProcess(both, [stepping, blocking(block.release, block.active)], { capacity: 3 })
          const other = yield* startProcess(both, [stepping], { capacity: 3 })
          const tasks = yield* Effect.forEach(
            Array.from({ length: 9 }, (_, i) => i),
            (i) => (i % 3 === 0 ? other : process).manager.start({ message: `${i}` }),
            { concurrency: "unbounded" }
          )
          const readers = yield* Effect.forEach(
            tasks,
            ({ id }) =>
              Effect.forEach([process, process, other, other], ({ manager }) => Effect.forkChild(readOn(manager, id)))
          )
          const cancelled = yield* Effect.forEach(
            tasks.slice(0, 3),
            ({ id }) => Effect.forkChild(process.manager.cancel(id))
          )
          for (const { id } of tasks) yield* untilEnded(both, id)
          yield* settle
          yield* TestClock.adjust("12 seconds")
          for (const [i, { id }] of tasks.entries()) {
            const log = yield* checkEnded(both, id)
            for (const reader of readers[i] ?? []) assert.deepStrictEqual(yield* Fiber.join(reader), log)
          }
          for (const fiber of cancelled) yield* Fiber.join(fiber)
          yield* checkCapacity(process.manager, both, block, 3)
          yield* process.terminate
          yield* other.terminate
        }).pipe(Effect.provideService(Scheduler.MaxOpsBeforeYield, operations)),
      120_000
    )
  }
})
