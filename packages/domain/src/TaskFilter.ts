/**
 * Which tasks a store lists and counts.
 *
 * @since 0.1.0
 */
import type { AgentId, ConversationId, TaskId, UserId } from "./Ids.ts"
import type { TaskStatus } from "./Task.ts"

/**
 * Which tasks of a user a list has.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskFilter {
  readonly userId: UserId
  readonly conversationId?: ConversationId | undefined
  readonly agentId?: AgentId | undefined
  readonly status?: ReadonlyArray<TaskStatus> | undefined
  /** With `true` only active tasks whose summary has calls that wait for a person. */
  readonly waiting?: boolean | undefined
  /** Only tasks with a smaller id. */
  readonly before?: TaskId | undefined
  /** Only tasks with a larger id. */
  readonly after?: TaskId | undefined
}

/**
 * A page of a list.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskListing extends TaskFilter {
  /** By id: `newest` first by default. */
  readonly order?: "newest" | "oldest" | undefined
  /** 1 to 1,000. */
  readonly limit: number
}
