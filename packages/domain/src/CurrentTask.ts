/**
 * The task that a tool handler or a hook belongs to.
 *
 * @since 0.1.0
 */
import { Context, Option } from "effect"
import type { AgentId, ConversationId, TaskId, UserId } from "./Ids.ts"
import type { Metadata } from "./Task.ts"

/**
 * The task as tool handlers and hooks see it.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskContext {
  readonly taskId: TaskId
  readonly conversationId: ConversationId
  readonly userId: UserId
  readonly agentId: AgentId
  /** Counts claims, from 1. */
  readonly attempt: number
  /** The `metadata` of the start. Empty if the start had none. */
  readonly metadata: Metadata
  /** The `userMetadata` of the start. Empty if the start had none. */
  readonly userMetadata: Metadata
}

/**
 * The task of the current fiber. Outside a task there is none.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentTask = Context.Reference<Option.Option<TaskContext>>("@perennial/domain/CurrentTask", {
  defaultValue: () => Option.none()
})
