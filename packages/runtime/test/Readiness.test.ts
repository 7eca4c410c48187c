/**
 * A process is ready while its store accepts the renewals of its lease.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Agent from "@perennial/domain/Agent"
import * as Usage from "@perennial/domain/Usage"
import { Effect, Logger } from "effect"
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
})
