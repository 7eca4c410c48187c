/**
 * What makes a task run somewhere.
 *
 * @since 0.1.0
 */
import type { Head } from "@perennial/domain/TaskBackend"
import { Context, Effect, Layer, Option } from "effect"
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
   * Runs tasks as fibers of this process. When the scope closes, tasks are handed over: their fibers are interrupted,
   * their finalizers run, and they are released for another process (P8).
   */
  static readonly layerLocal: Layer.Layer<TaskEngine, never, TaskExecutor> = Layer.effect(
    TaskEngine,
    Effect.gen(function*() {
      const executor = yield* TaskExecutor
      const limits = yield* CurrentTaskLimits
      const run = Effect.runForkWith(yield* Effect.context<never>())

      const submit = (head: Head): Effect.Effect<void> =>
        Effect.suspend(() =>
          executor.isExecuting(head.taskId) ? Effect.void : Effect.map(executor.admit, (admitted) => {
            if (admitted) executor.launch(head, submitNext)
            else if (executor.waiting.size < limits.waiting) executor.waiting.add(head.taskId)
          })
        )

      /** The task that the end of another has promoted. */
      const submitNext = (promoted: Option.Option<Head>): void => {
        if (Option.isSome(promoted)) run(submit(promoted.value))
      }

      yield* Effect.addFinalizer(() => executor.drain)
      return TaskEngine.of({ submit })
    })
  )
}
