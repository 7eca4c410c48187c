/** `TaskManager` of this process: over a store, an executor, and the engine of the application. */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { ConversationId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { runningOf, TaskManager } from "@perennial/domain/TaskManager"
import { Effect } from "effect"
import { makeAgentDescriptions } from "./agentDescriptions.ts"
import { makeApprovals } from "./approvals.ts"
import { makeFollowConversation } from "./followConversation.ts"
import { makeReadTasks } from "./readTasks.ts"
import { makeStartTask } from "./startTask.ts"
import { makeSteerTask } from "./steerTask.ts"

export const make = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const store = yield* ConversationStore
  const { regenerate, start } = yield* makeStartTask
  const { cancel, decide } = yield* makeSteerTask
  const { approvals } = yield* makeApprovals
  const conversationEvents = yield* makeFollowConversation
  const agents = yield* makeAgentDescriptions
  const { await: await_, counts, feed, get, list, open, throughput } = yield* makeReadTasks

  const deleteConversation = Effect.fn("TaskManager.deleteConversation")(function*(id: ConversationId) {
    const key = { id, userId: yield* CurrentUser }
    yield* store.get(key)
    yield* backend.deleteConversation({ conversationId: id, userId: key.userId })
    yield* store.delete(key)
  }, Effect.uninterruptible)

  return TaskManager.of({
    start,
    regenerate,
    events: (id, options) => Effect.map(open(id, options), ({ events }) => events),
    open,
    conversationEvents,
    cancel,
    get: Effect.fn("TaskManager.get")(get),
    list,
    counts,
    throughput,
    running: Effect.withSpan(runningOf(list), "TaskManager.running"),
    await: await_,
    decide,
    approvals,
    feed,
    agents,
    deleteConversation
  })
})
