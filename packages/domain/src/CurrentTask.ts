/**
 * The task a tool handler or hook runs for.
 *
 * @since 0.1.0
 */
import { Context, Option } from "effect"
import type { AgentId, ConversationId, TaskId, UserId } from "./Ids.ts"
import type { Metadata } from "./Task.ts"

/**
 * What a tool handler or hook may know of its task.
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
  /** What was given with the task; empty without any. */
  readonly metadata: Metadata
  /** What was given with the user's message; empty without any. */
  readonly userMetadata: Metadata
}

/**
 * The task of the current fiber; none outside a task.
 *
 * @since 0.1.0
 * @category services
 */
export const CurrentTask = Context.Reference<Option.Option<TaskContext>>("@perennial/domain/CurrentTask", {
  defaultValue: () => Option.none()
})
