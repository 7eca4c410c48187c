/** Reads tasks of the current user, and waits for their ends. */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { TaskId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { StreamLost } from "@perennial/domain/TaskError"
import { openWith, type TaskManager } from "@perennial/domain/TaskManager"
import * as TaskResult from "@perennial/domain/TaskResult"
import { Effect, Stream } from "effect"
import { whileWaiting } from "../../TaskPlace.ts"
import { TaskReaders } from "../../TaskReaders.ts"

export const makeReadTasks = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const readers = yield* TaskReaders

  const get = (id: TaskId) => Effect.flatMap(CurrentUser, (userId) => backend.get(id, { userId }))

  const open = openWith({
    get,
    checkLog: (id, after) => backend.events(id, { after, limit: 1, maxBytes: 0 }),
    follow: readers.read
  })

  /** Waits for the end of a task, without the place of the task that waits, if a task does. */
  const untilEnded = (task: Task) =>
    isTerminal(task.status) ? Effect.void : whileWaiting(Stream.runDrain(readers.read(task.id, task.lastSeq)))

  const list: TaskManager["Service"]["list"] = Effect.fn("TaskManager.list")(function*(options = {}) {
    return yield* backend.list({
      ...options,
      userId: yield* CurrentUser,
      limit: Math.min(1_000, Math.max(1, options.limit ?? 100))
    })
  })

  const await_ = Effect.fn("TaskManager.await")(function*(id: TaskId) {
    yield* untilEnded(yield* get(id))
    const task = yield* get(id)
    return yield* TaskResult.read(
      task,
      (page) => Effect.map(backend.events(id, { ...page, maxBytes: Number.MAX_SAFE_INTEGER }), ({ events }) => events)
    ).pipe(
      // The log ends before `task.lastSeq` only in a store that has lost data.
      Effect.catchTag(
        "CursorAhead",
        ({ after, message }) => Effect.fail(new StreamLost({ taskId: id, after, reason: message }))
      )
    )
  })

  const feed: TaskManager["Service"]["feed"] = Effect.fn("TaskManager.feed")(function*(options = {}) {
    const userId = yield* CurrentUser
    // Fails before the stream if the store does not answer.
    yield* backend.list({ userId, limit: 1 })
    return readers.feed(userId, options.after)
  })

  return { feed, get, open, untilEnded, list, await: await_ }
})
