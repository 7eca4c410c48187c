/**
 * Lets a tool report its progress to the readers of its task.
 *
 * @since 0.1.0
 */
import { Context, Effect, type Schema } from "effect"

/**
 * Takes the progress reports of the current tool call. Outside a tool call it ignores them.
 *
 * @since 0.1.0
 * @category services
 */
export const ToolProgress = Context.Reference<(data: Schema.Json) => Effect.Effect<void>>(
  "@perennial/runtime/ToolProgress",
  { defaultValue: () => () => Effect.void }
)

/**
 * Reports the progress of the current tool call. Readers see the event `tool_progress`.
 *
 * **Details** It never waits. At most 10 reports a second are written: a later report replaces an earlier one. A report is
 * dropped if it has more than 4 KiB of JSON, or if JSON cannot write it.
 *
 * @since 0.1.0
 * @category combinators
 */
export const report = (data: Schema.Json): Effect.Effect<void> =>
  Effect.flatMap(ToolProgress, (progress) => progress(data))
