/**
 * The end of a task, as `TaskBackend.ended` lists it.
 *
 * @since 0.1.0
 */
import type { UserId } from "./Ids.ts"
import type { Task } from "./Task.ts"
import type { StoredEvent } from "./TaskEvent.ts"

/**
 * One end of a task, in the order of all ends of the store.
 *
 * @since 0.1.0
 * @category models
 */
export interface EndedTask {
  /** The place of this end in the order of ends, from 1; not every number is used. The next page is read after it. */
  readonly cursor: number
  readonly userId: UserId
  readonly task: Task
  /** The terminal event; undefined when the log was pruned. */
  readonly event: StoredEvent | undefined
  /** The trace that started the task; undefined without one, and when the log was pruned. */
  readonly traceparent?: string | undefined
}
