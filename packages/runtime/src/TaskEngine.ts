/**
 * What makes a task run somewhere.
 *
 * @since 0.1.0
 */
import type { TaskId } from "@perennial/domain/Ids"
import type { Head } from "@perennial/domain/TaskBackend"
import { Context, Effect, FiberMap, Layer, Option } from "effect"
import { TaskExecutor } from "./TaskExecutor.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"

/**
 * Makes heads run. `TaskManager` is written over this port alone, so that swapping its layer is all an application
 * changes to run tasks somewhere else.
 *
 * @since 0.1.0
 * @category services
 */
export class TaskEngine extends Context.Service<TaskEngine, {
  /**
   * Makes this head, of an agent that this process has, run somewhere, at least once. Returns at once; submitting again
   * is harmless. A head for which there is no place stays unclaimed until there is one. One of another agent is submitted
   * only to be ended.
   */
  readonly submit: (head: Head) => Effect.Effect<void>
}>()("@perennial/runtime/TaskEngine") {
  /**
   * Runs tasks as fibers of this process, each in a `FiberMap` under its id. When the scope closes, tasks are handed
   * over: their fibers are interrupted, their finalizers run, and they are released for another process (P8).
   */
  static readonly layerLocal: Layer.Layer<TaskEngine, never, TaskExecutor> = Layer.effect(
    TaskEngine,
    Effect.gen(function*() {
      const executor = yield* TaskExecutor
      const limits = yield* CurrentTaskLimits
      const fibers = yield* FiberMap.make<TaskId, void, never>()
      // A task keeps nothing of the fiber that submitted it: neither its context nor its lifetime.
      const run = yield* FiberMap.runtime(fibers)<never>()

      const submit = (head: Head): Effect.Effect<void> =>
        Effect.suspend(() => {
          if (FiberMap.hasUnsafe(fibers, head.taskId)) return Effect.void
          return Effect.flatMap(executor.admit, (admitted) => {
            if (!admitted) {
              if (executor.waiting.size < limits.waiting) executor.waiting.add(head.taskId)
              return Effect.void
            }
            // Another submit may have been faster.
            if (FiberMap.hasUnsafe(fibers, head.taskId)) return executor.dismiss
            run(head.taskId, execute(head), { onlyIfMissing: true })
            return Effect.void
          })
        })

      /** The task, and then the one that its end has promoted. */
      const execute = (head: Head): Effect.Effect<void> =>
        Effect.flatMap(
          executor.execute(head),
          (promoted) => Option.isSome(promoted) ? submit(promoted.value) : Effect.void
        )

      yield* Effect.addFinalizer(() =>
        executor.drain.pipe(
          Effect.andThen(Effect.timeoutOption(FiberMap.awaitEmpty(fibers), limits.cancelGrace)),
          // Finalizers that cling are given up: their tasks are handed over without them.
          Effect.andThen(executor.tick)
        )
      )
      return TaskEngine.of({ submit })
    })
  )
}
