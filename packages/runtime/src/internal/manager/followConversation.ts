/** Follows the events of a conversation, from task to task. */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { EventPlace } from "@perennial/domain/EventPlace"
import type { ConversationId, TaskId, UserId } from "@perennial/domain/Ids"
import { isTerminal } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { CursorAhead, EventsExpired } from "@perennial/domain/TaskError"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Option, Stream } from "effect"
import { TaskReaders } from "../../TaskReaders.ts"
import { untilFound } from "./untilFound.ts"

interface Key {
  readonly id: ConversationId
  readonly userId: UserId
}

/** Where a reader is: at the end of a task, or within the log of one. */
interface Position {
  readonly reading: { readonly taskId: TaskId; readonly after: number } | undefined
  /** The task whose log is read, or was read. */
  readonly last: TaskId | undefined
}

export const makeFollowConversation = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const readers = yield* TaskReaders
  const store = yield* ConversationStore

  const nextOf = ({ id, userId }: Key, after: TaskId | undefined) =>
    backend.nextTask({ conversationId: id, userId, after })

  /** A start that is refused may remove a conversation for a moment whose task has no message yet: the task is there. */
  const checkConversation = (key: Key) =>
    Effect.catchTag(store.get(key), "ConversationNotFound", (notFound) =>
      nextOf(key, undefined).pipe(
        Effect.catchTag("TaskNotFound", () => notFound),
        Effect.flatMap(Option.match({ onNone: () => notFound, onSome: () => Effect.void }))
      ))

  /** Fails if the log is gone. Only logs of ended tasks expire. */
  const checkLog = (taskId: TaskId, after: number) =>
    Effect.catchTag(
      backend.events(taskId, { after, limit: 1, maxBytes: 0 }),
      "TaskNotFound",
      () => Effect.fail(new EventsExpired({ taskId }))
    )

  /** The task of a cursor. A task that is not there was deleted with its conversation, which was created again. */
  const find = Effect.fnUntraced(function*({ id, userId }: Key, { taskId }: EventPlace) {
    const expired = new EventsExpired({ taskId })
    const task = yield* Effect.catchTag(backend.get(taskId, { userId }), "TaskNotFound", () => Effect.fail(expired))
    return task.conversationId === id ? task : yield* expired
  })

  const begin = Effect.fnUntraced(function*(key: Key, after: EventPlace | undefined) {
    if (after !== undefined) {
      const { seq, taskId } = after
      const { lastSeq, status } = yield* find(key, after)
      if (seq > lastSeq) return yield* new CursorAhead({ taskId, after: seq, lastSeq })
      const position: Position = { reading: { taskId, after: seq }, last: taskId }
      if (!isTerminal(status)) return position
      if (seq < lastSeq) return yield* Effect.as(checkLog(taskId, seq), position)
    }
    // The reader begins with the next task, whose log must be there, too.
    const last = after?.taskId
    const next = yield* Effect.catchTag(
      nextOf(key, last),
      "TaskNotFound",
      ({ taskId }) => new EventsExpired({ taskId })
    )
    if (Option.isSome(next) && isTerminal(next.value.status)) yield* checkLog(next.value.id, 0)
    return { reading: undefined, last } satisfies Position
  })

  /** Waits for the task after another one. None when the conversation was deleted. */
  const awaitNext = Effect.fnUntraced(function*(key: Key, last: TaskId | undefined) {
    // A conversation without tasks is known to the store of conversations alone.
    const exists = last === undefined
      ? Effect.match(store.get(key), {
        onSuccess: () => true,
        onFailure: ({ _tag }) => _tag !== "ConversationNotFound"
      })
      : Effect.succeed(true)
    return yield* untilFound(
      readers,
      key.userId,
      Effect.gen(function*() {
        const next = yield* Effect.catchTag(nextOf(key, last), "TaskNotFound", () => Effect.undefined)
        if (next === undefined || (Option.isNone(next) && !(yield* exists))) return Option.some(undefined)
        return Option.map(next, (task) => task.id)
      })
    )
  })

  const follow: TaskManager["Service"]["conversationEvents"] = Effect.fn("TaskManager.conversationEvents")(
    function*(id, options = {}) {
      const key = { id, userId: yield* CurrentUser }
      yield* checkConversation(key)
      const start = yield* begin(key, options.after)
      const logs = Stream.unfold(start, ({ last, reading }: Position) => {
        const next = reading === undefined
          ? Effect.map(awaitNext(key, last), (taskId) => taskId && { taskId, after: 0 })
          : Effect.succeed(reading)
        return Effect.map(next, (log) => log && [log, { reading: undefined, last: log.taskId }] as const)
      })
      return Stream.flatMap(logs, ({ after, taskId }) => readers.read(taskId, after))
    }
  )
  return follow
})
