/**
 * Hints between processes: what another process has changed in the store of tasks.
 *
 * @since 0.1.0
 */
import type { TaskId, UserId } from "./Ids.ts"

/**
 * A hint from another process. It may be dropped or repeated.
 *
 * @since 0.1.0
 * @category models
 */
export interface Wake {
  /**
   * `log`: the log grew. `intent`: an intent was recorded. `head`: a task waits for an owner. `user`: a task of the user was
   * accepted, or its record shows more than a longer log: status, attempt, summary. `all`: any of these.
   */
  readonly kind: "log" | "intent" | "head" | "user" | "all"
  readonly taskId?: TaskId | undefined
  /** With `user`. */
  readonly userId?: UserId | undefined
}
