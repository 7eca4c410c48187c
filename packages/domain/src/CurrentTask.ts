/**
 * The task that a tool handler or a hook belongs to.
 *
 * @since 0.1.0
 */
import { Context, type Effect, Option } from "effect"
import type { AgentId, ConversationId, TaskId, UserId } from "./Ids.ts"
import type { Metadata } from "./Task.ts"

/**
 * Why the agent of a task is being stopped.
 *
 * - `cancel`: somebody cancelled the task. Work that a tool began elsewhere should be cancelled too.
 * - `deadline`: the task has reached its deadline. It ends with an error.
 * - `shutdown`: this process hands the task over. Another process goes on with it.
 * - `fenced`: another process owns the task by now. It goes on with the task.
 * - `store`: the store failed. This or another process takes the task up again.
 *
 * @since 0.1.0
 * @category models
 */
export type StopReason = "cancel" | "deadline" | "shutdown" | "fenced" | "store"

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
  /** The tokens that the task may use, besides the budget of its agent. Only a child task may have such a bound. */
  readonly maxTotalTokens?: number | undefined
  /**
   * Why the task is being stopped; none while it is not. A finalizer of a tool reads it to tell a cancel, after which the
   * call is over, from a hand-over, after which another process may enter the call again.
   */
  readonly stopReason: Effect.Effect<Option.Option<StopReason>>
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
