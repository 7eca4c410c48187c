/**
 * Which tasks a store lists and counts.
 *
 * @since 0.1.0
 */
import type { DateTime } from "effect"
import { type AgentId, type ConversationId, type TaskId, taskIdAt, tasksBelow, type UserId } from "./Ids.ts"
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
  /**
   * With `true` no child tasks (`Ids.isChildTask`). In the numbers of tasks, child tasks that wait for a person still count as
   * `waiting`.
   */
  readonly withoutChildren?: boolean | undefined
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

/** Ids sort by their bytes, and those of tasks are ASCII. */
const latest = (a: TaskId | undefined, b: TaskId | undefined) => a === undefined || (b !== undefined && b > a) ? b : a
const earliest = (a: TaskId | undefined, b: TaskId | undefined) => a === undefined || (b !== undefined && b < a) ? b : a

/**
 * The bounds of a page of the tasks that were accepted from a time on, and before another time, or that are below a task.
 *
 * @since 0.1.0
 * @category combinators
 */
export const within = (
  { after, before }: Pick<TaskFilter, "after" | "before">,
  { from, parent, to }: {
    readonly from?: DateTime.Utc | undefined
    readonly to?: DateTime.Utc | undefined
    readonly parent?: TaskId | undefined
  }
): Pick<TaskFilter, "after" | "before"> => {
  const below = parent === undefined ? undefined : tasksBelow(parent)
  return {
    after: latest(latest(after, below?.after), from && taskIdAt(from)),
    before: earliest(earliest(before, below?.before), to && taskIdAt(to))
  }
}
