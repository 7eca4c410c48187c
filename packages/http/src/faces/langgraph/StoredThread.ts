/**
 * A thread as the stores have it: its messages, and the task that a reader wants to see.
 *
 * @since 0.1.0
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { ConversationId, TaskId } from "@perennial/domain/Ids"
import type { Task } from "@perennial/domain/Task"
import { type CursorAhead, StreamLost } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Stream } from "effect"
import { fromStored, type LangMessage } from "./Messages.ts"
import * as RunEvents from "./RunEvents.ts"
import * as RunState from "./RunState.ts"
import * as ThreadState from "./ThreadState.ts"

/** So many messages, the newest, are in the values of a thread, and so many characters of them. */
const maxMessages = 1_000
const maxLength = 4 * 1024 * 1024

/** No log is shorter than nothing. */
const fromStart = <A, E, R>(self: Effect.Effect<A, E | CursorAhead, R>) =>
  Effect.catchTag(self, "CursorAhead", Effect.die)

const statuses = { queued: "pending", completed: "success", error: "error", cancelled: "interrupted" } as const

/**
 * For a fold without frames.
 *
 * @since 0.1.0
 * @category constants
 */
export const noModes: ReadonlySet<RunState.StreamMode> = new Set()

/** Without the rest of a turn that is too long. */
const fromTurn = (messages: ReadonlyArray<StoredMessage>): ReadonlyArray<StoredMessage> =>
  messages.slice(Math.max(0, messages.findIndex(({ message }) => message.role === "user")))

/**
 * What the face reads of threads.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeStoredThread = Effect.gen(function*() {
  const manager = yield* TaskManager
  const store = yield* ConversationStore

  const events = (taskId: TaskId) => fromStart(manager.events(taskId))

  const foldOf = (range: RunState.Range, events: Stream.Stream<StoredEvent, StreamLost>) =>
    events.pipe(
      Stream.scan(
        () => RunState.initial,
        (state: RunState.State, stored) => RunEvents.step(range, state, stored).state
      ),
      Stream.takeUntil(({ ended }) => ended),
      Stream.runLast,
      Effect.map((last) => last._tag === "Some" ? last.value : RunState.initial)
    )

  /** A task as far as it has come; undefined if its log has expired. */
  const stateOf = Effect.fnUntraced(
    function*(task: Task) {
      const { events, task: now } = yield* fromStart(manager.open(task.id))
      const range = { taskId: task.id, threadId: task.conversationId, after: 0, through: now.lastSeq, modes: noModes }
      return yield* foldOf(range, Stream.take(events, now.lastSeq))
    },
    Effect.catchTag(["EventsExpired", "TaskNotFound"], () => Effect.undefined)
  )

  const statusOf = Effect.fnUntraced(function*(task: Task) {
    if (task.status !== "running") return statuses[task.status]
    if (task.waiting === undefined) return "running"
    const state = yield* stateOf(task)
    return state !== undefined && RunState.isPaused(state) ? "interrupted" : "running"
  })

  /** The task of a conversation that may run. */
  const headOf = Effect.fnUntraced(function*(conversationId: ConversationId) {
    const [head] = yield* manager.list({
      conversationId,
      status: ["queued", "running"],
      order: "oldest",
      limit: 1
    })
    return head
  })

  /** The task that runs, or else the newest. */
  const currentOf = Effect.fnUntraced(function*(conversationId: ConversationId) {
    const head = yield* headOf(conversationId)
    if (head !== undefined) return head
    const [newest] = yield* manager.list({ conversationId, limit: 1 })
    return newest
  })

  /** The newest messages. They are read in growing pieces, because a page is bounded and files make messages large. */
  const messagesOf = Effect.fnUntraced(function*(id: ConversationId) {
    const key = { id, userId: yield* CurrentUser }
    const found: Array<StoredMessage> = []
    let length = 0
    for (let piece = 8;; piece *= 2) {
      const limit = Math.min(piece, maxMessages - found.length)
      const page = yield* store.messages(key, { order: "newest", after: found.at(-1)?.id, limit })
      for (const message of page) {
        length += JSON.stringify(message.message).length
        if (length > maxLength && found.length > 0) return fromTurn(found.toReversed())
        found.push(message)
      }
      if (page.length < limit) return found.toReversed()
      if (found.length >= maxMessages) return fromTurn(found.toReversed())
    }
  })

  /** The messages before the answers of a task. */
  const before = (task: Task): Effect.Effect<ReadonlyArray<LangMessage>, StreamLost> =>
    messagesOf(task.conversationId).pipe(
      Effect.map((stored) => ThreadState.before(task.id, stored)),
      Effect.catchTags({
        ConversationNotFound: () => Effect.succeed([]),
        ConversationStoreError: (error) =>
          Effect.fail(new StreamLost({ taskId: task.id, after: 0, reason: error.message }))
      })
    )

  const read = Effect.fnUntraced(function*(id: ConversationId) {
    // Before the messages: what the task adds in the meantime is not missing.
    const task = yield* currentOf(id)
    const stored = yield* messagesOf(id)
    const current = task === undefined ? undefined : { task, state: yield* stateOf(task) }
    return { stored, current, turns: ThreadState.turnsOf(stored, current) }
  })

  /** The first message, which names a thread in a list. */
  const firstOf = Effect.fnUntraced(function*(id: ConversationId) {
    const key = { id, userId: yield* CurrentUser }
    return fromStored(yield* store.messages(key, { limit: 1 })).map(({ message }) => message)
  })

  return { events, foldOf, stateOf, statusOf, headOf, currentOf, before, read, firstOf }
})
