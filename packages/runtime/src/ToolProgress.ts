/**
 * How a tool tells readers of its task how far it is.
 *
 * @since 0.1.0
 */
import { Context, Effect, type Schema } from "effect"

/**
 * Takes the progress of the tool call that the current fiber executes. Outside a tool call reports go nowhere.
 *
 * @since 0.1.0
 * @category services
 */
export const ToolProgress = Context.Reference<(data: Schema.Json) => Effect.Effect<void>>(
  "@perennial/runtime/ToolProgress",
  { defaultValue: () => () => Effect.void }
)

/**
 * Reports the progress of the current tool call; readers see it as `tool_progress`.
 *
 * **Details** Never waits. The latest report wins: at most 10 a second are written, and what is larger than 4 KiB of
 * JSON, or cannot be written as JSON, is dropped.
 *
 * @since 0.1.0
 * @category combinators
 */
export const report = (data: Schema.Json): Effect.Effect<void> =>
  Effect.flatMap(ToolProgress, (progress) => progress(data))
