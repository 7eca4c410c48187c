/**
 * How tools and hooks write events of the application into the log of their task.
 *
 * @since 0.1.0
 */
import { Context, Effect, type Schema } from "effect"

/**
 * Takes the events of the application in the task that the current fiber executes. Outside a task they go nowhere.
 *
 * @since 0.1.0
 * @category services
 */
export const TaskData = Context.Reference<(name: string, data: Schema.Json) => Effect.Effect<void>>(
  "@perennial/runtime/TaskData",
  { defaultValue: () => () => Effect.void }
)

/**
 * Writes a `data` event of the current task and returns when it is durable.
 *
 * **Details** Unlike progress of a tool every one is kept, also over a retry or recovery; a tool that runs again writes
 * again. Readers see them in order with the other events; the hook `onEvent` does not, so that it may write them itself.
 * Data that JSON cannot write, or an event over `TaskLimits.eventBytes`, is a defect of whoever writes it.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { TaskData } from "@perennial/runtime"
 * import { Effect } from "effect"
 *
 * await Effect.runPromise(TaskData.emit("found", { paths: ["a.txt"] })) // => undefined
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const emit = (name: string, data: Schema.Json): Effect.Effect<void> =>
  Effect.flatMap(TaskData, (write) => write(name, data))
