/**
 * How a task ended.
 *
 * @since 0.1.0
 */
import { Effect, type Schema } from "effect"
import type { AssistantMessage } from "./Message.ts"
import type { Task } from "./Task.ts"
import type { StoredEvent } from "./TaskEvent.ts"
import * as TaskView from "./TaskView.ts"
import type { Usage } from "./Usage.ts"

/**
 * How a task ended.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskResult {
  readonly task: Task
  /** The last message of the assistant, if there is one. */
  readonly message?: AssistantMessage | undefined
  /** Only of completed tasks. */
  readonly usage?: Usage | undefined
  /** The answer as a value, as JSON. Only of completed tasks whose agent promises one. `TaskManager.awaitOutput` decodes it. */
  readonly output?: Schema.Json | undefined
}

/** Events that are read at once. */
const step = 256

/**
 * The result of a task that has ended, from its log. `events` reads up to `limit` events after a seq.
 *
 * **Details** Reads backwards from the end of the log, where the last message mostly is.
 *
 * @since 0.1.0
 * @category constructors
 */
export const read = Effect.fnUntraced(function*<E, R>(
  task: Task,
  events: (page: { readonly after: number; readonly limit: number }) => Effect.Effect<ReadonlyArray<StoredEvent>, E, R>
) {
  let usage: Usage | undefined
  for (let after = Math.max(0, task.lastSeq - step);; after = Math.max(0, after - step)) {
    const page = yield* events({ after, limit: step })
    const last = page.at(-1)?.event
    if (last?.type === "done") usage = last.usage
    const message = page.reduce(TaskView.apply, TaskView.empty).messages.at(-1)?.message
    if (message !== undefined || after === 0) {
      const result: TaskResult = {
        task,
        ...(message === undefined ? {} : { message }),
        ...(usage === undefined ? {} : { usage }),
        ...(task.output === undefined ? {} : { output: task.output })
      }
      return result
    }
  }
})
