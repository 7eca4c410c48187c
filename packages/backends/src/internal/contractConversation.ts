/**
 * Conversations and messages for the tests of the conversation contract.
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, messageId, TaskId, UserId } from "@perennial/domain/Ids"
import { type Message, userText } from "@perennial/domain/Message"
import { DateTime, type Effect } from "effect"

export const alice = UserId.make("alice")
export const bob = UserId.make("bob")
export const taskId = TaskId.make("t1")
export const key = (id: string, userId = alice): ConversationKey => ({ id: ConversationId.make(id), userId })
export const c1 = key("c1")
export const page = { limit: 1000 }

export const stored = (seq: number, message: Message = userText(`message ${seq}`)): StoredMessage => ({
  id: messageId(taskId, seq),
  taskId,
  createdAt: DateTime.makeUnsafe(1000 + seq),
  message,
  status: "complete"
})

/** Defines one test against a store of its own. */
export type Test = <E>(name: string, body: Effect.Effect<void, E, ConversationStore>) => void
