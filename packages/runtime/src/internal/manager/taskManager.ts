/** `TaskManager` of this process: over a store, an executor, and the engine of the application. */
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { runningOf, TaskManager } from "@perennial/domain/TaskManager"
import { Effect } from "effect"
import { makeAgentDescriptions } from "./agentDescriptions.ts"
import { makeApprovals } from "./approvals.ts"
import { makeDeleteConversation } from "./deleteConversation.ts"
import { makeFollowConversation } from "./followConversation.ts"
import { makeFollowTree } from "./followTree.ts"
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
  const treeEvents = yield* makeFollowTree
  const agents = yield* makeAgentDescriptions
  const { await: await_, counts, feed, get, list, open, throughput } = yield* makeReadTasks

  const deleteConversation = makeDeleteConversation(backend, store)

  return TaskManager.of({
    start,
    regenerate,
    events: (id, options) => Effect.map(open(id, options), ({ events }) => events),
    open,
    conversationEvents,
    treeEvents,
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
