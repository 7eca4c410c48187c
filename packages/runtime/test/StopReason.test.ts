/**
 * The stop reason of a task that its tools can read, and claims that were given up.
 */
import { assert, describe, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { CurrentTask, type StopReason } from "@perennial/domain/CurrentTask"
import type { InvalidInput, TaskBackendError, TaskNotFound } from "@perennial/domain/TaskError"
import { zero } from "@perennial/domain/Usage"
import { Deferred, Duration, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import { text } from "./support/agents.ts"
import { settle, untilEnded } from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

/** An agent that waits in its first attempt, and records the reason for which it is stopped. */
const noting = (seen: Array<StopReason | undefined>, begun: Deferred.Deferred<void>) =>
  make("notes", ({ task }) =>
    task.attempt > 1
      ? Effect.succeed({ usage: zero })
      : Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
        Effect.onInterrupt(() =>
          Effect.gen(function*() {
            const current = Option.getOrThrow(yield* CurrentTask)
            seen.push(Option.getOrUndefined(yield* current.stopReason))
          })
        )
      ))

describe("the stop reason of a task", () => {
  it.effect("P7: a tool can distinguish a cancel, a deadline and a hand-over", () =>
    Effect.gen(function*() {
      const seen: Array<StopReason | undefined> = []
      const stopBy = Effect.fnUntraced(function*(
        stop: (
          process: Effect.Success<ReturnType<typeof startProcess>>,
          id: Parameters<typeof untilEnded>[1]
        ) => Effect.Effect<unknown, InvalidInput | TaskNotFound | TaskBackendError>
      ) {
        const both = yield* shared
        const begun = yield* Deferred.make<void>()
        const process = yield* startProcess(both, [noting(seen, begun)], { taskTimeout: Duration.minutes(5) })
        const { id } = yield* process.manager.start({ message: "x" })
        yield* Deferred.await(begun)
        yield* Effect.orDie(stop(process, id))
        yield* settle
        return both
      })
      yield* stopBy(({ manager }, id) => manager.cancel(id))
      yield* stopBy(() => Effect.andThen(settle, TestClock.adjust("6 minutes")))
      yield* stopBy(({ terminate }) => terminate)
      assert.deepStrictEqual(seen, ["cancel", "deadline", "shutdown"])
    }).pipe(Effect.scoped))

  it.effect("P9: the reason is `fenced` if another process owns the task", () =>
    Effect.gen(function*() {
      const seen: Array<StopReason | undefined> = []
      const both = yield* shared
      const begun = yield* Deferred.make<void>()
      const agent = noting(seen, begun)
      const first = yield* startProcess(both, [agent])
      const { id } = yield* first.manager.start({ message: "x" })
      yield* Deferred.await(begun)
      first.line.cut()
      yield* startProcess(both, [agent])
      assert.strictEqual((yield* untilEnded(both, id)).attempt, 2)
      assert.deepStrictEqual(seen, ["fenced"])
    }).pipe(Effect.scoped))

  it.effect("P9, P10: a stale head does not use a claim that was given up", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const attempts: Array<number> = []
      const agent = make("slow", ({ task }, emit) =>
        Effect.gen(function*() {
          attempts.push(task.attempt)
          yield* emit([text("one ")])
          yield* emit([text("two ")])
          return { usage: zero }
        }))
      const { line, manager } = yield* startProcess(both, [agent])
      // The reply to `create` takes two seconds. Meanwhile the sweep executes the task, and its third commit fails: the task
      // stops like after a crash, while this runner still owns its row. Then `start` submits the head of the late reply.
      let appends = 0
      const creates = () => line.names.filter((name) => name === "create").length
      line.after = (call) =>
        line.names[call - 1] === "create" && creates() === 2 ? Effect.sleep("2 seconds") : Effect.void
      line.fault = (call) => line.names[call - 1] === "append" && ++appends === 3 ? "refused" : undefined
      yield* Effect.forkChild(manager.start({ message: "x" }))
      for (let step = 0; step < 60; step++) {
        yield* settle
        yield* TestClock.adjust("250 millis")
      }
      assert.deepStrictEqual(attempts, [1, 2])
    }).pipe(Effect.scoped))
})
