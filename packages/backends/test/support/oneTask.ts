import { AgentId, ClaimId, ConversationId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import type { NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Duration, Effect, Option } from "effect"

export const ids = { taskId: TaskId.make("t1"), conversationId: ConversationId.make("c1") }
export const next = TaskId.make("t2")
export const runnerId = RunnerId.make("runner")
/** The options of the first claim of a task. */
export const firstClaim = { runnerId, claimId: ClaimId.make("first"), expectedToken: 0 }

export const newTask = (id: TaskId): NewTask => ({
  id,
  conversationId: ids.conversationId,
  userId: UserId.make("alice"),
  agentId: AgentId.make("agent"),
  input: userText("hello"),
  spec: {}
})

export const create = (backend: TaskBackend["Service"], id = ids.taskId) =>
  backend.create(newTask(id), { onBusy: "enqueue", maxQueued: 5 })

export const begin = Effect.fnUntraced(function*(backend: TaskBackend["Service"]) {
  yield* create(backend)
  yield* backend.heartbeat(runnerId, Duration.hours(1))
  return Option.getOrThrow(yield* backend.claim(ids.taskId, firstClaim))
})

export const text = (seq: number): StoredEvent => ({ seq, at: 1, event: { type: "text", ...ids, content: "hi" } })
export const cancelled = (seq: number): StoredEvent => ({ seq, at: 1, event: { type: "cancelled", ...ids } })
