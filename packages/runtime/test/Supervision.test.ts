import { assert, describe, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { cancelKey } from "@perennial/domain/Intent"
import { zero } from "@perennial/domain/Usage"
import type { Wake } from "@perennial/domain/Wake"
import { Duration, Effect, Fiber, Latch, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { message, text } from "./support/agents.ts"
import { checkEnded, readOn, settle, stepping, untilEnded } from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

describe("intents (P7)", () => {
  it.effect("a cancel is read later if the first read of the intents fails", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const go = Latch.makeUnsafe(false)
      const agent = make("talks", (_, emit) =>
        Effect.gen(function*() {
          yield* emit([text("a ")])
          yield* go.await
          yield* emit([text("b ")])
          return yield* Effect.never
        }))
      const a = yield* startProcess(both, [agent])
      const b = yield* startProcess(both, [stepping])
      const { id } = yield* a.manager.start({ message: "x" })
      yield* settle
      const cancelling = yield* Effect.forkChild(b.manager.cancel(id))
      yield* settle
      // The next commit tells the owner that there is an intent. The read of the intent then fails.
      const calls = a.line.calls
      a.line.fault = (call) => call === calls + 2 ? "refused" : undefined
      yield* go.open
      yield* settle
      assert.strictEqual(a.line.names[calls + 1], "intents")
      yield* untilEnded(both, id, 10)
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* Fiber.join(cancelling)).status, "cancelled")
    }))

  it.effect("failing reads of intents are repeated for all tasks of a process", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const agent = make("waits", () => Effect.never)
      const a = yield* startProcess(both, [agent])
      const b = yield* startProcess(both, [agent])
      const first = yield* a.manager.start({ message: "x" })
      const second = yield* a.manager.start({ message: "x" })
      yield* settle
      a.line.fault = () => a.line.names.at(-1) === "intents" ? "refused" : undefined
      const cancelling = yield* Effect.forkChild(b.manager.cancel(first.id))
      const other = yield* Effect.forkChild(b.manager.cancel(second.id))
      yield* settle
      yield* TestClock.adjust("4 seconds")
      yield* settle
      a.line.restore()
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual((yield* Fiber.join(cancelling)).status, "cancelled")
      assert.strictEqual((yield* Fiber.join(other)).status, "cancelled")
    }))
})

describe("finalizers and tasks that do not end (P8)", () => {
  it.effect("SIGTERM: finalizers that never end do not prevent the end of the process, and the task is handed over", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const agent = make("clings", ({ task }) =>
        task.attempt > 1
          ? Effect.succeed({ usage: zero })
          : Effect.never.pipe(Effect.onInterrupt(() => Effect.never)))
      const a = yield* startProcess(both, [agent], { cancelGrace: Duration.seconds(10) })
      const { id } = yield* a.manager.start({ message: "x" })
      yield* settle
      const ending = yield* Effect.forkChild(a.terminate)
      yield* settle
      yield* TestClock.adjust("11 seconds")
      yield* Fiber.join(ending)
      const row = yield* both.backend.unowned({ limit: 10 })
      assert.deepStrictEqual(row.map(({ taskId }) => taskId), [id])
      yield* startProcess(both, [agent])
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
    }))

  it.effect("a task ends with an error if the store refuses its event in each attempt", () =>
    Effect.gen(function*() {
      const both = yield* shared
      let entered = 0
      const agent = make("poison", (_, emit) =>
        Effect.gen(function*() {
          entered++
          yield* emit([text("poison")])
          return { usage: zero }
        }))
      const { backend, store } = both
      const picky = {
        store,
        backend: {
          ...backend,
          append: (batch: Parameters<typeof backend.append>[0]) =>
            batch.some(({ events }) => events.some(({ event }) => event.type === "text"))
              ? Effect.die("unstorable")
              : backend.append(batch)
        }
      }
      const { manager } = yield* startProcess(picky, [agent])
      const { id } = yield* manager.start({ message: "x" })
      const task = yield* untilEnded(both, id, 120)
      assert.strictEqual(task.status, "error")
      assert.isAtMost(entered, 4)
      yield* checkEnded(both, id)
    }))
})

describe("a store that never answers", () => {
  it.effect("P9: an owner that cannot renew its lease stops its tasks when the lease has run out", () =>
    Effect.gen(function*() {
      const both = yield* shared
      let interrupted = 0
      const agent = make("waits", ({ task }) =>
        task.attempt > 1
          ? Effect.succeed({ usage: zero })
          : Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)))
      const a = yield* startProcess(both, [agent])
      const { id } = yield* a.manager.start({ message: "x" })
      yield* settle
      a.line.before = () => a.line.names.at(-1) === "heartbeat" ? Effect.never : Effect.void
      yield* TestClock.adjust("8900 millis")
      yield* settle
      assert.strictEqual(interrupted, 0)
      yield* TestClock.adjust("100 millis")
      yield* settle
      assert.strictEqual(interrupted, 1)
      const b = yield* startProcess(both, [agent])
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
      yield* checkEnded(both, id)
      // The old owner can reach the store again, and executes tasks like any other process.
      a.line.before = () => Effect.void
      yield* TestClock.adjust("20 seconds")
      yield* settle
      yield* b.terminate
      const next = yield* a.manager.start({ message: "y" })
      yield* settle
      assert.strictEqual((yield* both.backend.get(next.id)).status, "running")
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* both.backend.get(next.id)).attempt, 1)
    }))

  it.effect("P8: without another process, the task goes on in its process when the store is back, also if its writes hang", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const go = Latch.makeUnsafe(false)
      const agent = make("writes", ({ task }, emit) =>
        Effect.gen(function*() {
          if (task.attempt === 1) yield* go.await
          yield* emit([message("written")])
          return { usage: zero }
        }))
      const { line, manager } = yield* startProcess(both, [agent])
      const { id } = yield* manager.start({ message: "x" })
      yield* settle
      const back = Latch.makeUnsafe(false)
      line.before = () => back.await
      yield* go.open
      for (let i = 0; i < 30; i++) {
        yield* settle
        yield* TestClock.adjust("1 second")
      }
      yield* back.open
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
      yield* checkEnded(both, id)
    }))
})

it.effect("P7: a slow search for tasks without an owner does not delay a cancel", () =>
  Effect.gen(function*() {
    const both = yield* shared
    const hints = yield* Queue.unbounded<Wake>()
    const backend = { ...both.backend, wakes: Stream.fromQueue(hints) }
    const a = yield* startProcess({ ...both, backend }, [make("waits", () => Effect.never)])
    const { id } = yield* a.manager.start({ message: "x" })
    yield* settle
    const answer = Latch.makeUnsafe(false)
    a.line.before = () => a.line.names.at(-1) === "unowned" ? answer.await : Effect.void
    yield* both.backend.putIntent(id, { key: cancelKey, value: {} })
    yield* Queue.offerAll(hints, [{ kind: "head", taskId: id }, { kind: "all" }, { kind: "intent", taskId: id }])
    yield* settle
    assert.strictEqual((yield* both.backend.get(id)).status, "cancelled")
    yield* answer.open
  }))

it.effect("P8: a slow release of one task delays no renewal of the lease", () =>
  Effect.gen(function*() {
    const both = yield* shared
    let interrupted = 0
    const agent = make("waits", () => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)))
    const a = yield* startProcess(both, [agent])
    yield* a.manager.start({ message: "x" })
    yield* settle
    // The store records the claim, and its answer is lost: the process owns the task and does not execute it.
    a.line.fault = () => a.line.names.at(-1) === "claim" ? "unanswered" : undefined
    const stray = yield* a.manager.start({ message: "y" })
    yield* settle
    a.line.restore()
    const answer = Latch.makeUnsafe(false)
    a.line.before = () => a.line.names.at(-1) === "release" ? answer.await : Effect.void
    const renewals = () => a.line.names.filter((name) => name === "heartbeat").length
    const before = renewals()
    for (let i = 0; i < 10; i++) {
      yield* TestClock.adjust("3 seconds")
      yield* settle
    }
    assert.strictEqual(renewals() - before, 10)
    assert.strictEqual(interrupted, 0)
    yield* answer.open
    yield* settle
    yield* TestClock.adjust("3 seconds")
    yield* settle
    assert.strictEqual((yield* both.backend.get(stray.id)).attempt, 2)
  }))

it.effect("P8: claims that the store answers slowly do not hide other tasks without an owner", () =>
  Effect.gen(function*() {
    const both = yield* shared
    const mine = make("mine", () => Effect.never)
    const other = make("other", () => Effect.never)
    const a = yield* startProcess(both, [mine, other], { capacity: 4 })
    const b = yield* startProcess(both, [other])
    const answer = Latch.makeUnsafe(false)
    a.line.before = () =>
      a.line.names.at(-1) === "claim" && a.line.names.filter((name) => name === "claim").length <= 3
        ? answer.await
        : Effect.void
    for (let i = 0; i < 3; i++) yield* a.manager.start({ message: "x", agentId: "mine" })
    // It is behind the others in the order of the store.
    const { id } = yield* b.manager.start({ message: "x", agentId: "other" })
    yield* settle
    b.line.cut()
    for (let i = 0; i < 12; i++) {
      yield* TestClock.adjust("1 second")
      yield* settle
    }
    const { attempt } = yield* both.backend.get(id)
    yield* answer.open
    yield* settle
    assert.strictEqual(attempt, 2)
  }))

describe("background fibers survive failures of the store", () => {
  it.effect("reading the logs of other processes is repeated after a bug of the store", () =>
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
      const reader = yield* Effect.forkChild(Stream.runCollect(yield* b.manager.events(id)))
      yield* settle
      const seen = { lastSeqs: 0, events: 0 }
      b.line.fault = () => {
        const name = b.line.names.at(-1)
        return (name === "lastSeqs" && ++seen.lastSeqs === 1) || (name === "events" && ++seen.events === 1)
          ? "dies"
          : undefined
      }
      yield* release.open
      yield* settle
      for (let i = 0; i < 4; i++) {
        yield* TestClock.adjust("6 seconds")
        yield* settle
      }
      assert.strictEqual((yield* Fiber.join(reader)).length, 5)
      assert.isAbove(seen.events, 1)
    }))

  it.effect("the stream of hints is opened again after it ends or fails", () =>
    Effect.gen(function*() {
      const both = yield* shared
      let asked = 0
      const backend = {
        ...both.backend,
        wakes: Stream.suspend(() => {
          asked++
          return asked === 1 ? Stream.die("bug") : asked === 2 ? Stream.empty : Stream.never
        })
      }
      yield* startProcess({ ...both, backend }, [stepping])
      yield* settle
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(asked, 3)
    }))

  it.effect("P8: many hints about tasks without an owner cause one query, without waiting for the next sweep", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const hints = yield* Queue.unbounded<Wake>()
      const backend = { ...both.backend, wakes: Stream.fromQueue(hints) }
      const a = yield* startProcess(both, [make("waits", () => Effect.never)])
      const b = yield* startProcess({ ...both, backend }, [stepping, make("waits", () => Effect.never)])
      // The first sweep of the process ends before there are tasks.
      yield* settle
      const tasks = yield* Effect.replicateEffect(a.manager.start({ message: "x" }), 100)
      yield* settle
      yield* a.terminate
      const asked = () => b.line.names.filter((name) => name === "unowned").length
      const before = asked()
      yield* Queue.offerAll(hints, tasks.map(({ id }): Wake => ({ kind: "head", taskId: id })))
      yield* settle
      assert.isAtLeast(asked() - before, 1)
      assert.isAtMost(asked() - before, 2)
      for (const { id } of tasks) assert.strictEqual((yield* both.backend.get(id)).attempt, 2)
    }))

  it.effect("a failing commit of one task does not affect other tasks", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const { backend } = both
      const begun = Latch.makeUnsafe(false)
      const malformed = make("malformed", (_, emit) =>
        Effect.andThen(
          begun.await,
          // Untyped code can emit such an event.
          emit([JSON.parse(`{"type":"message","message":{"role":"assistant"},"usage":{}}`)])
        ).pipe(Effect.as({ usage: zero })))
      const good = make("good", (_, emit) =>
        Effect.andThen(begun.await, emit([text("ok")])).pipe(Effect.as({ usage: zero })))
      const slow = { ...both, backend: { ...backend, commitWindow: Duration.millis(5) } }
      const { manager } = yield* startProcess(slow, [malformed, good])
      yield* manager.start({ message: "x" })
      const others = yield* Effect.replicateEffect(manager.start({ message: "x", agentId: good.agentId }), 3)
      yield* settle
      yield* TestClock.adjust("10 millis")
      yield* settle
      yield* begun.open
      for (const { id } of others) {
        assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
        assert.isFalse((yield* checkEnded(both, id)).some(({ event }) =>
          event.type === "resumed"
        ))
      }
    }))
})

it.effect("P6: busy logs do not delay readers of another log", () =>
  Effect.gen(function*() {
    const both = yield* shared
    const stop = Latch.makeUnsafe(false)
    const busy = make("busy", (_, emit) =>
      Effect.raceFirst(Effect.forever(emit([text("x")])), stop.await).pipe(Effect.as({ usage: zero })))
    const quick = make("quick", (_, emit) =>
      Effect.as(emit([message("ok")]), { usage: zero }))
    const a = yield* startProcess(both, [busy, quick])
    const b = yield* startProcess(both, [busy, quick])
    const loud = yield* Effect.replicateEffect(a.manager.start({ message: "x" }), 8)
    for (const { id } of loud) yield* Effect.forkChild(readOn(b.manager, id))
    yield* settle
    const { id } = yield* a.manager.start({ message: "x", agentId: quick.agentId })
    const reader = yield* Effect.forkChild(readOn(b.manager, id))
    yield* settle
    yield* TestClock.adjust("6 seconds")
    yield* settle
    const exit = reader.pollUnsafe()
    yield* stop.open
    assert.isDefined(exit)
  }))
