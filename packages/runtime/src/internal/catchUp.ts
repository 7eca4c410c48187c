/**
 * What an execution must know before its agent begins: the log of the task so far, and the history of its conversation.
 */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { MessageId } from "@perennial/domain/Ids"
import type { Message } from "@perennial/domain/Message"
import type { Claim, TaskBackend } from "@perennial/domain/TaskBackend"
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { Effect } from "effect"
import type { Journal } from "./journal.ts"

/** Messages read at once. */
const historyPage = 1_000

const readLog = Effect.fnUntraced(function*(backend: TaskBackend["Service"], journal: Journal) {
  const { claim } = journal
  const kept: Array<TaskEvent.StoredEvent> = []
  let after = 0
  while (after < claim.lastSeq) {
    const { events } = yield* backend.events(claim.taskId, { after, limit: 500, maxBytes: 4 * 1024 * 1024 })
    journal.record(events)
    for (const stored of events) {
      const { type } = stored.event
      if (type !== "text" && type !== "reasoning" && type !== "tool_progress") kept.push(stored)
    }
    after = events[events.length - 1]?.seq ?? claim.lastSeq
  }
  return kept
})

/** The log so far, without the chunks that complete messages replaced. */
export const catchUp = (backend: TaskBackend["Service"], journal: Journal): ReturnType<typeof readLog> =>
  Effect.suspend(() => {
    const { claim } = journal
    // Nobody has claimed it before: `ack` is all there is.
    if (claim.lastSeq > 1) return readLog(backend, journal)
    const events = [TaskEvent.ack({ id: claim.taskId, conversationId: claim.conversationId, at: claim.createdAt })]
    journal.record(events)
    return Effect.succeed(events)
  })

/** All messages of the conversation, oldest first. */
export const readHistory = Effect.fnUntraced(function*(store: ConversationStore["Service"], claim: Claim) {
  const history: Array<Message> = []
  let after: MessageId | undefined
  while (true) {
    const page = yield* store.messages(
      { id: claim.conversationId, userId: claim.userId },
      { after, limit: historyPage }
    )
    for (const { message } of page) history.push(message)
    if (page.length < historyPage) return history
    after = page[page.length - 1]?.id
  }
})
