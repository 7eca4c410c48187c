/**
 * The contract of what a claim says about the owner before.
 */
import { assert } from "@effect/vitest"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect } from "effect"
import { TestClock } from "effect/testing"
import { begin, claim, die, live, runnerA, runnerB, stored, taskId, type Test, text } from "./contractTask.ts"

export const define = (test: Test): void => {
  test(
    "a claim says why the task has lost its last owner, and when; the same again after a lost reply",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const first = yield* begin("t1")
      assert.notProperty(first, "lost")
      yield* die(runnerA)
      const second = yield* claim("t1", runnerB, 1)
      assert.strictEqual(second.lost?.reason, "crash")
      assert.isAtLeast(second.lost?.at ?? 0, first.createdAt)
      assert.isAtMost(second.lost?.at ?? Number.POSITIVE_INFINITY, second.now)
      assert.deepStrictEqual((yield* claim("t1", runnerB, 1)).lost, second.lost)

      yield* backend.release(second)
      const third = yield* claim("t1", runnerA, 2)
      assert.strictEqual(third.lost?.reason, "handover")
      assert.isAtLeast(third.lost?.at ?? 0, second.now)

      yield* backend.release(third, { reason: "storeFailure" })
      // A repetition changes nothing, and neither does the owner before.
      yield* backend.release(third, { reason: "handover" })
      yield* backend.release(second, { reason: "handover" })
      const fourth = yield* claim("t1", runnerB, 3)
      assert.strictEqual(fourth.lost?.reason, "storeFailure")

      yield* die(runnerB)
      assert.strictEqual((yield* claim("t1", runnerA, 4)).lost?.reason, "crash")
    })
  )
}

/** For backends whose clock is `Clock`. */
export const defineClock = (test: Test): void => {
  test(
    "after a crash the task was lost with the last renewal of the lease, and after a release with the release",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const first = yield* begin("t1")
      yield* TestClock.adjust("1 second")
      yield* backend.heartbeat(runnerA, Duration.seconds(9))
      const { now } = yield* live(runnerB)
      yield* TestClock.adjust("2 seconds")
      yield* backend.append([{ claim: first, events: stored(2, text("t1", "a")) }])
      yield* TestClock.adjust("8 seconds")
      const second = yield* claim("t1", runnerB, 1)
      assert.deepStrictEqual(second.lost, { reason: "crash", at: now })
      yield* TestClock.adjust("1 second")
      yield* backend.release(second)
      yield* TestClock.adjust("4 seconds")
      const third = yield* claim("t1", runnerB, 2)
      assert.deepStrictEqual(third.lost, { reason: "handover", at: third.now - 4_000 })
      assert.strictEqual((yield* backend.get(taskId("t1"))).attempt, 3)
    })
  )
}
