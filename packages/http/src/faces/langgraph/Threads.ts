/**
 * What the LangGraph face does with threads: conversations, their states and their history.
 *
 * @since 0.1.0
 */
import { wellFormed } from "@perennial/domain/ContentBounds"
import type { Conversation } from "@perennial/domain/Conversation"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { ConversationId, NewId } from "@perennial/domain/Ids"
import type { Task } from "@perennial/domain/Task"
import { InvalidInput } from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import { DateTime, Effect } from "effect"
import type { ThreadSearch } from "./LangGraphSchemas.ts"
import type { Json, LangMessage } from "./Messages.ts"
import * as RunState from "./RunState.ts"
import { makeStoredThread } from "./StoredThread.ts"
import * as ThreadState from "./ThreadState.ts"

/** A search looks at the newest threads alone: at fewer if it reads the state of each. */
const maxNamed = 1_000
const maxFiltered = 200

/** How many threads a search reads at once. */
const concurrency = 8

/** So many characters of states are in one history. */
const maxHistoryLength = 8 * 1024 * 1024

const maxTitleLength = 200

type Status = "idle" | "busy" | "interrupted" | "error"

interface Seen {
  readonly status: Status
  readonly messages: ReadonlyArray<LangMessage>
  readonly interrupts: Json
  readonly task: Task | undefined
}

const toThread = ({ createdAt, id, title, updatedAt }: Conversation, { interrupts, messages, status, task }: Seen) => ({
  thread_id: id,
  created_at: DateTime.formatIso(createdAt),
  updated_at: DateTime.formatIso(updatedAt),
  state_updated_at: DateTime.formatIso(updatedAt),
  metadata: {
    ...(title === undefined ? {} : { title }),
    ...(task === undefined ? {} : { graph_id: task.agentId, assistant_id: task.agentId })
  },
  status,
  config: {},
  values: { messages },
  interrupts,
  error: task === undefined ? null : ThreadState.errorOf(task)
})

const toStatus = (task: Task | undefined, status: RunState.State["status"] | undefined): Status => {
  if (status === "pending" || status === "running") return "busy"
  if (status === "error") return "error"
  // A run that was cancelled is interrupted, too.
  return status === "interrupted" && task?.status === "running" ? "interrupted" : "idle"
}

const titleOf = (metadata: Json | null | undefined): string | undefined => {
  const title = metadata?.["title"]
  const text = typeof title === "string" ? wellFormed(title.trim()).slice(0, maxTitleLength) : ""
  return text === "" ? undefined : text
}

/**
 * The operations of threads.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeThreads = Effect.gen(function*() {
  const manager = yield* TaskManager
  const store = yield* ConversationStore
  const stored = yield* makeStoredThread
  const newId = yield* NewId

  const keyOf = (id: ConversationId) => Effect.map(CurrentUser, (userId) => ({ id, userId }))

  const statusOf = Effect.fnUntraced(function*(task: Task | undefined) {
    const status = task === undefined ? undefined : yield* stored.statusOf(task)
    return toStatus(task, status)
  })

  const get = Effect.fnUntraced(function*(id: ConversationId) {
    const conversation = yield* store.get(yield* keyOf(id))
    const { current, turns } = yield* stored.read(id)
    const { state, task } = { state: current?.state, task: current?.task }
    const asked = task === undefined || state === undefined ? [] : RunState.interruptsOf(task.id, state)
    return toThread(conversation, {
      status: yield* statusOf(task),
      messages: turns.flatMap(({ messages }) => messages),
      interrupts: task === undefined || asked.length === 0 ? {} : { [task.id]: asked },
      task
    })
  })

  const update = Effect.fnUntraced(function*(id: ConversationId, metadata: Json | null | undefined) {
    yield* store.get(yield* keyOf(id))
    const title = titleOf(metadata)
    if (title !== undefined) yield* store.setTitle(id, title, { chosen: true })
    return yield* get(id)
  })

  const create = Effect.fnUntraced(
    function*(given: ConversationId | null | undefined, metadata: Json | null | undefined) {
      const id = given ?? ConversationId.make(yield* newId)
      yield* store.create(yield* keyOf(id))
      return yield* update(id, metadata)
    }
  )

  const listed = Effect.fnUntraced(function*(conversation: Conversation) {
    const task = yield* stored.currentOf(conversation.id)
    const status = yield* statusOf(task)
    return { conversation, status, task }
  })

  const search = Effect.fnUntraced(function*(query: ThreadSearch) {
    const { ids, sort_by: sort, sort_order: order, status } = query
    const limit = query.limit ?? 10
    const offset = query.offset ?? 0
    if (order === "asc") {
      return yield* new InvalidInput({ field: "sort_order", problem: "is \"asc\": threads are sorted newest first" })
    }
    const userId = yield* CurrentUser
    const isFiltered = status !== undefined && status !== null
    const isNamed = ids !== undefined && ids !== null
    const found = yield* store.list({
      userId,
      order: sort === "created_at" ? "createdAt" : "updatedAt",
      limit: isFiltered ? maxFiltered : isNamed ? maxNamed : limit + offset
    })
    const named = isNamed ? found.filter(({ id }) => ids.includes(id)) : found
    const seen = yield* Effect.forEach(isFiltered ? named : named.slice(offset, offset + limit), listed, {
      concurrency
    })
    const page = isFiltered ? seen.filter((one) => one.status === status).slice(offset, offset + limit) : seen
    return yield* Effect.forEach(
      page,
      ({ conversation, status, task }) =>
        Effect.map(
          stored.firstOf(conversation.id),
          (messages) => toThread(conversation, { status, messages, interrupts: {}, task })
        )
    )
  })

  const states = Effect.fnUntraced(function*(id: ConversationId) {
    const { createdAt } = yield* store.get(yield* keyOf(id))
    const { current, turns } = yield* stored.read(id)
    return { threadId: id, createdAt: current?.task.updatedAt ?? createdAt, turns, current }
  })

  const state = Effect.fnUntraced(function*(id: ConversationId, checkpointId?: string) {
    const place = yield* states(id)
    const count = checkpointId === undefined ? place.turns.length : ThreadState.countAt(place.turns, checkpointId)
    if (count === undefined) {
      return yield* new InvalidInput({
        field: "checkpoint",
        problem: `is "${checkpointId}", which the thread does not have`
      })
    }
    return ThreadState.toState(place, count)
  })

  const history = Effect.fnUntraced(function*(id: ConversationId, limit: number, before: string | undefined) {
    const place = yield* states(id)
    const newest = before === undefined ? place.turns.length : (ThreadState.countAt(place.turns, before) ?? 0) - 1
    const out: Array<ReturnType<typeof ThreadState.toState>> = []
    let length = 0
    for (let count = newest; count >= 0 && out.length < limit; count--) {
      const one = ThreadState.toState(place, count)
      length += JSON.stringify(one).length
      if (out.length > 0 && length > maxHistoryLength) break
      out.push(one)
    }
    return out
  })

  return { create, get, update, search, state, history, remove: manager.deleteConversation }
})
