/**
 * Follows the events of a task and of all tasks below it. The events of a child come right after the event that names the child, so
 * that the order is the same for every reader, and one place is a cursor (P3).
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { EventPlace } from "@perennial/domain/EventPlace"
import type { TaskId, UserId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { CursorAhead, type StreamLost, type TaskBackendError, TaskNotFound } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Option, Stream } from "effect"
import { TaskReaders } from "../../TaskReaders.ts"
import { untilFound } from "./untilFound.ts"

type Events = Stream.Stream<StoredEvent, StreamLost | TaskBackendError>

/** The part of a log that is still to be read. */
interface Rest {
  readonly taskId: TaskId
  readonly after: number
}

const childOf = ({ event }: StoredEvent): TaskId | undefined =>
  event.type === "tool_call" ? event.childTaskId : undefined

export const makeFollowTree = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const readers = yield* TaskReaders

  const find = (id: TaskId) =>
    Effect.map(
      Effect.catchTag(Effect.asSome(backend.get(id)), "TaskNotFound", () => Effect.succeedNone),
      Option.getOrUndefined
    )

  /** Whether a child that an event names is there. A child is accepted after the event; if its parent has ended first, it never is. */
  const isAccepted = (userId: UserId, parent: TaskId, child: TaskId) =>
    untilFound(
      readers,
      userId,
      Effect.gen(function*() {
        const found = yield* find(parent)
        // In this order: a parent that ends now may have accepted the child after the look for the child.
        if ((yield* find(child)) !== undefined) return Option.some(true)
        return found === undefined || isTerminal(found.status) ? Option.some(false) : Option.none()
      })
    )

  const childLog = (userId: UserId, parent: TaskId, child: TaskId): Events =>
    Stream.unwrap(
      Effect.map(isAccepted(userId, parent, child), (accepted) =>
        accepted ? log(userId, { taskId: child, after: 0 }) : Stream.empty)
    )

  /** The rest of a log, with the logs of the children that it names. */
  const log = (userId: UserId, { after, taskId }: Rest): Events =>
    Stream.flatMap(readers.read(taskId, after), (stored) => {
      const child = childOf(stored)
      const own = Stream.succeed(stored)
      return child === undefined ? own : Stream.concat(own, childLog(userId, taskId, child))
    })

  /** Fails if the log is gone. Only logs of ended tasks expire. */
  const checkLog = ({ id, lastSeq, status }: Task, after: number) =>
    isTerminal(status) && after < lastSeq ? backend.events(id, { after, limit: 1, maxBytes: 0 }) : Effect.void

  /** The child that the event of a cursor names: its events come next. */
  const namedAt = ({ seq, taskId }: EventPlace) =>
    Effect.map(
      Effect.catchTag(
        backend.events(taskId, { after: seq - 1, limit: 1, maxBytes: 0 }),
        // All that is left is in the logs above.
        "EventsExpired",
        () => Effect.succeed({ events: [] })
      ),
      ({ events }) => events[0] && childOf(events[0])
    )

  /** From the log of a cursor up to the log of the root. */
  const upwards = Effect.fnUntraced(function*(root: Task, { seq, taskId }: EventPlace, userId: UserId) {
    const rests: Array<Rest> = []
    let after = seq
    for (let id = taskId;;) {
      const task = id === root.id ? root : yield* backend.get(id, { userId })
      if (after > task.lastSeq) return yield* new CursorAhead({ taskId: id, after, lastSeq: task.lastSeq })
      yield* checkLog(task, after)
      if (after < task.lastSeq || !isTerminal(task.status)) rests.push({ taskId: id, after })
      if (id === root.id) return rests
      // The cursor is of a task that is not below the root.
      if (task.parent === undefined) return yield* new TaskNotFound({ taskId })
      ;({ seq: after, taskId: id } = task.parent)
    }
  })

  const follow: TaskManager["Service"]["treeEvents"] = Effect.fn("TaskManager.treeEvents")(
    function*(id, { after } = {}) {
      const userId = yield* CurrentUser
      const root = yield* backend.get(id, { userId })
      if (after === undefined) {
        yield* checkLog(root, 0)
        return log(userId, { taskId: id, after: 0 })
      }
      const rests = yield* upwards(root, after, userId)
      const child = yield* namedAt(after)
      const first: Events = child === undefined ? Stream.empty : childLog(userId, after.taskId, child)
      return rests.reduce<Events>((events, rest) => Stream.concat(events, log(userId, rest)), first)
    }
  )
  return follow
})
