import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { Broken, within } from "./deadline.ts"
import type { Violation } from "./observed.ts"

describe("a case of a fault run", () => {
  it.effect("is broken off at its deadline with its clients, and that is a violation", () =>
    Effect.gen(function*() {
      const violations: Array<Violation> = []
      const client = yield* Deferred.make<void>()
      const stranded = Effect.never.pipe(
        Effect.onInterrupt(() => Deferred.succeed(client, undefined)),
        Effect.forkScoped({ startImmediately: true }),
        Effect.flatMap(Fiber.join)
      )
      const running = yield* Effect.forkChild(within(violations, "starts", 60, stranded), { startImmediately: true })
      yield* TestClock.adjust("60 seconds")
      yield* Fiber.join(running)
      yield* Deferred.await(client)
      assert.deepStrictEqual(violations, [{ promise: "P8", what: "starts has not ended after 60 s" }])
    }))

  it.effect("that cannot go on is a violation, and the run goes on", () =>
    Effect.gen(function*() {
      const violations: Array<Violation> = []
      yield* within(violations, "starts", 60, new Broken({ promise: "P1", what: "it was refused" }))
      yield* within(violations, "starts", 60, Effect.die(new Error("a bug")))
      yield* within(violations, "starts", 60, Effect.void)
      assert.deepStrictEqual(violations[0], { promise: "P1", what: "it was refused" })
      assert.match(violations[1]?.what ?? "", /^starts broke off: Error: a bug/)
      assert.strictEqual(violations.length, 2)
    }))
})
