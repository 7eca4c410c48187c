/**
 * What the endpoints of the LangGraph face have in common.
 *
 * @since 0.1.0
 */
import { ConversationId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import * as Problems from "../../Problems.ts"

/**
 * @since 0.1.0
 * @category schemas
 */
export const threadId = { threadId: ConversationId }
/**
 * @since 0.1.0
 * @category schemas
 */
export const runId = { runId: Schema.NonEmptyString.check(Schema.isMaxLength(200)) }
/**
 * @since 0.1.0
 * @category schemas
 */
export const run = { ...threadId, ...runId }
/**
 * @since 0.1.0
 * @category annotations
 */
export const describeThread = { threadId: { description: "The id of the thread, which is a conversation." } }
/**
 * @since 0.1.0
 * @category annotations
 */
export const describeRun = { ...describeThread, runId: { description: "The id of the run, which is a task." } }

/**
 * @since 0.1.0
 * @category errors
 */
export const readErrors = [
  Problems.TaskNotFound,
  Problems.ConversationNotFound,
  Problems.EventsExpired,
  Problems.Unavailable
] as const

/**
 * @since 0.1.0
 * @category examples
 */
export const taskId = "01a2061b-4b6f-773b-924f-a99c20363c38"
/**
 * @since 0.1.0
 * @category examples
 */
export const valuesExample = { messages: [{ id: `${taskId}.0`, type: "ai", content: "Hello", tool_calls: [] }] }
