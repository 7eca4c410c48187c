/**
 * Lets tools and hooks write events of the application into the log of their task.
 *
 * @since 0.1.0
 */
import { Context, Effect, type Schema } from "effect"

/**
 * Writes the events of the application for the task of the current fiber. Outside a task it ignores them.
 *
 * @since 0.1.0
 * @category services
 */
export const TaskData = Context.Reference<(name: string, data: Schema.Json) => Effect.Effect<void>>(
  "@perennial/runtime/TaskData",
  { defaultValue: () => () => Effect.void }
)

/**
 * Writes a `data` event for the current task, and returns when the event is durable.
 *
 * **Details** Every event is kept, also across a retry or a recovery. A tool that runs again writes its events again. Readers
 * get the events in order with the other events. The hook `onEvent` does not get them, so that it may write them itself.
 * Data that JSON cannot write, and an event larger than `TaskLimits.eventBytes`, is a defect of the caller.
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
