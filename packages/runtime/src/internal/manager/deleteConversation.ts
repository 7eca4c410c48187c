/** Removes a conversation with its tasks, and with the conversations of the child tasks of these. */
import type { ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type ConversationId, type TaskId, tasksBelow } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { ConversationBusy } from "@perennial/domain/TaskError"
import type { TaskFilter } from "@perennial/domain/TaskFilter"
import { Effect, Option, Stream } from "effect"

/** Tasks in one query. */
const pageSize = 100

export const makeDeleteConversation = (backend: TaskBackend["Service"], store: ConversationStore["Service"]) => {
  const tasksOf = (filter: TaskFilter) =>
    Stream.paginate(
      filter.before,
      (before: TaskId | undefined) =>
        Effect.map(backend.list({ ...filter, before, limit: pageSize }), (page) => {
          const last = page.at(-1)
          return [page, last === undefined || page.length < pageSize ? Option.none() : Option.some(last.id)] as const
        })
    )

  /** All tasks below the tasks of a conversation. */
  const tasksBelowOf = ({ id, userId }: ConversationKey) =>
    tasksOf({ userId, conversationId: id }).pipe(
      Stream.filter(({ children = 0 }) => children > 0),
      Stream.flatMap((task) => tasksOf({ userId, ...tasksBelow(task.id) })),
      Stream.runCollect
    )

  const failIfActive = (id: ConversationId, tasks: ReadonlyArray<Task>) => {
    const active = tasks.find(({ status }) => !isTerminal(status))
    return active === undefined
      ? Effect.void
      : Effect.fail(new ConversationBusy({ conversationId: id, activeTaskId: active.id }))
  }

  return Effect.fn("TaskManager.deleteConversation")(function*(id: ConversationId) {
    const userId = yield* CurrentUser
    const key = { id, userId }
    yield* store.get(key)
    const below = yield* tasksBelowOf(key)
    if (below.length > 0) {
      const active = { status: ["queued", "running"], order: "oldest", limit: 1 } as const
      yield* failIfActive(id, yield* backend.list({ userId, conversationId: id, ...active }))
      // A child task may end some moments after its parent.
      yield* failIfActive(id, below)
    }
    // These come first: a deletion that ends in between finds them again by the tasks of the conversation.
    for (const { conversationId } of below) {
      yield* backend.deleteConversation({ conversationId, userId })
      yield* Effect.catchTag(store.delete({ id: conversationId, userId }), "ConversationNotFound", () => Effect.void)
    }
    yield* backend.deleteConversation({ conversationId: id, userId })
    yield* store.delete(key)
  }, Effect.uninterruptible)
}
