/**
 * A process is ready while its store accepts the renewals of its lease.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Agent from "@perennial/domain/Agent"
import * as Usage from "@perennial/domain/Usage"
import { Effect, Fiber, Latch, Logger } from "effect"
import { TestClock } from "effect/testing"
import { shared, startProcess } from "./support/processes.ts"

const agent = Agent.make("agent", () => Effect.succeed({ usage: Usage.zero }))

/** Leases that cannot be renewed are logged. */
const silent = Effect.provide(Logger.layer([]))

describe("Readiness", () => {
  it.effect("fails while the store refuses writes, and is there again with the next write", () =>
    Effect.gen(function*() {
      const { line, ready } = yield* startProcess(yield* shared, [agent])
      yield* ready
      line.cut()
      yield* TestClock.adjust("3 seconds")
      const { message } = yield* Effect.flip(ready)
      assert.strictEqual(message, "The store is not ready: it has not accepted a write for 3s.")
      line.restore()
      yield* TestClock.adjust("3 seconds")
      yield* ready
    }).pipe(silent, Effect.scoped))

  it.effect("fails while the store does not answer", () =>
    Effect.gen(function*() {
      const { line, ready } = yield* startProcess(yield* shared, [agent])
      line.before = () => Effect.never
      yield* TestClock.adjust("6 seconds")
      yield* ready
      yield* TestClock.adjust("1 second")
      const { message } = yield* Effect.flip(ready)
      assert.strictEqual(message, "The store is not ready: it has not accepted a write for 7s.")
      // The process ends with a last call of its store.
      line.before = () => Effect.void
    }).pipe(silent, Effect.scoped))

  // The first create makes the conversation, the second the task.
  it.effect.each([["conversation", 1], ["task", 2]] as const)(
    "fails while a write of a %s has no answer, although the lease is renewed",
    ([, nth]) =>
      Effect.gen(function*() {
        const { line, manager, ready } = yield* startProcess(yield* shared, [agent])
        const answer = yield* Latch.make()
        line.before = () =>
          line.names.at(-1) === "create" && line.names.filter((name) => name === "create").length === nth
            ? answer.await
            : Effect.void
        const starting = yield* Effect.forkChild(manager.start({ message: "a" }))
        yield* TestClock.adjust("6 seconds")
        yield* ready
        yield* TestClock.adjust("1 second")
        const { message } = yield* Effect.flip(ready)
        assert.strictEqual(message, "The store is not ready: it has not answered a write for 7s.")
        yield* answer.open
        yield* Fiber.join(starting)
        yield* ready
      }).pipe(silent, Effect.scoped)
  )
})
