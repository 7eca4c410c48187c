/**
 * Tool calls that wait for a person: what an inbox shows.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { AgentId, ConversationId, TaskId } from "./Ids.ts"

/**
 * A tool call that waits for the decision of a person.
 *
 * @since 0.1.0
 * @category models
 */
export const Approval = Schema.Struct({
  taskId: TaskId,
  conversationId: ConversationId,
  agentId: AgentId,
  toolCallId: Schema.String,
  tool: Schema.String,
  /** The arguments that the model gave. */
  args: Schema.Json,
  askedAt: Schema.DateTimeUtcFromString
}).annotate({ identifier: "Approval" })

/**
 * @since 0.1.0
 * @category models
 */
export interface Approval extends Schema.Schema.Type<typeof Approval> {}

/**
 * Which page of approvals to read.
 *
 * @since 0.1.0
 * @category models
 */
export interface ApprovalsOptions {
  /** The `next` of the page before. */
  readonly before?: TaskId | undefined
  /** A page ends after the task that reaches this number of approvals: 1 to 100, 20 by default. */
  readonly limit?: number | undefined
}

/**
 * A page of approvals: by task, newest first, and the approvals of a task together, oldest first. A page has all approvals of
 * each of its tasks, at most 100. It ends early after a task whose arguments make it reach 1 MiB.
 *
 * @since 0.1.0
 * @category models
 */
export const ApprovalPage = Schema.Struct({
  items: Schema.Array(Approval),
  /** Asks for the page that follows, as `before`; absent on the last page. */
  next: Schema.optionalKey(TaskId)
}).annotate({ identifier: "ApprovalPage" })

/**
 * @since 0.1.0
 * @category models
 */
export interface ApprovalPage extends Schema.Schema.Type<typeof ApprovalPage> {}
