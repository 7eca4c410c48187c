/**
 * The events at the end of a task: its output, and the terminal events.
 */
import { Schema } from "effect"
import { ConversationId, TaskId } from "../Ids.ts"
import { Usage } from "../Usage.ts"

const task = { taskId: TaskId, conversationId: ConversationId }

/**
 * The answer of the task as a value: JSON of the form that the agent promises. A later output replaces an earlier one.
 *
 * @since 0.1.0
 * @category events
 */
export const Output = Schema.Struct({ type: Schema.Literal("output"), ...task, output: Schema.Json })

/**
 * Terminal: the task completed. `usage` is the sum over the task.
 *
 * @since 0.1.0
 * @category events
 */
export const Done = Schema.Struct({
  type: Schema.Literal("done"),
  ...task,
  usage: Usage,
  /** Of the `output` event, if there is one. */
  output: Schema.optionalKey(Schema.Json)
})

/**
 * Terminal: the task failed. `error` is a stable code. `detail` is a sentence that is safe to show.
 *
 * @since 0.1.0
 * @category events
 */
export const Failed = Schema.Struct({
  type: Schema.Literal("error"),
  ...task,
  error: Schema.String,
  detail: Schema.String,
  retryable: Schema.Boolean
})

/**
 * Terminal: the task was cancelled.
 *
 * @since 0.1.0
 * @category events
 */
export const Cancelled = Schema.Struct({
  type: Schema.Literal("cancelled"),
  ...task,
  reason: Schema.optionalKey(Schema.String)
})
