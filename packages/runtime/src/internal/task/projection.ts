/**
 * The conversation as a projection of the log: durable messages and titles go to the conversation store, in their order.
 * Every write is idempotent, so that it may be repeated.
 *
 * A conversation store that does not answer is waited for by later attempts: no other process could do better. A store
 * that answers and refuses a message may do so for ever. That is tried a bounded number of times; then the message stays
 * in the log alone.
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { MessageId } from "@perennial/domain/Ids"
import { Effect, Exit } from "effect"
import type { OwnedLog } from "../log/ownedLog.ts"
import type { Attempt } from "./storeFailures.ts"

type Store = ConversationStore["Service"]

/** What is projected, and where failures are recorded. */
interface Source {
  readonly log: OwnedLog
  readonly attempt: Attempt
}

/** Whether the store answers questions about this conversation. */
const storeResponds = (store: Store, { claim }: OwnedLog): Effect.Effect<boolean> =>
  Effect.map(
    Effect.exit(
      store.get({ id: claim.conversationId, userId: claim.userId }).pipe(
        Effect.catchTag("ConversationNotFound", () => Effect.void)
      )
    ),
    Exit.isSuccess
  )

/**
 * Messages that the task replaces leave the conversation in the same step in which the task's own first message enters
 * it: no reader sees the conversation without either. The intention is durable with the task. A crash before that step
 * loses nothing, since the next attempt repeats it. A crash after that step changes nothing, since the repeated step finds
 * the replaced message gone, and a removed message does not come back. All earlier tasks have ended, and the store holds
 * their messages.
 */
const append = (store: Store, log: OwnedLog, messages: ReadonlyArray<StoredMessage>) => {
  const { conversationId: id, userId } = log.claim
  return store.append(id, messages, { replaces: log.replaces }).pipe(
    // Deleted between the two steps of `start`: the task was accepted, so its conversation is created again.
    Effect.catchTag(
      "ConversationNotFound",
      () => Effect.andThen(store.create({ id, userId }), store.append(id, messages))
    ),
    Effect.map(() => log.stored(messages))
  )
}

const storeTitle = (store: Store, log: OwnedLog, title: string) =>
  store.setTitle(log.claim.conversationId, title).pipe(
    // A conversation that was deleted needs no title.
    Effect.catchTag("ConversationNotFound", () => Effect.void),
    Effect.map(() => log.titleStored())
  )

const storeOwed = Effect.fnUntraced(function*(store: Store, log: OwnedLog) {
  if (log.title !== undefined) yield* storeTitle(store, log, log.title)
  // A message that becomes durable meanwhile is stored after these by a later call, together with these.
  const messages = log.unstored
  if (messages.length > 0) yield* append(store, log, messages)
})

/** Stores every message and title that is durable and not yet in the conversation. */
export const storeMessages = (store: Store, { attempt, log }: Source) =>
  Effect.suspend(() =>
    log.title === undefined && log.unstored.length === 0
      ? Effect.void
      : Effect.onError(storeOwed(store, log), () =>
        Effect.map(storeResponds(store, log), (responds) => attempt.conversationStoreAnswered(responds)))
  )

/**
 * Stores what the conversation store accepts, one message after the other. For a task that was given up too often. Returns
 * the ids of the refused messages; the log alone has them. Fails when the store does not answer.
 */
export const storeAccepted = Effect.fnUntraced(function*(store: Store, { attempt, log }: Source) {
  const refused: Array<MessageId> = []
  const unlessRefused = <A, E>(effect: Effect.Effect<A, E>, onRefusal: () => void) =>
    Effect.catchCause(effect, (cause) =>
      Effect.flatMap(storeResponds(store, log), (responds) => {
        attempt.conversationStoreAnswered(responds)
        if (!responds) return Effect.failCause(cause)
        onRefusal()
        return Effect.logError("The conversation store refuses a message; it stays in the log alone.", cause)
      }))
  if (log.title !== undefined) yield* unlessRefused(storeTitle(store, log, log.title), () => log.titleStored())
  for (const message of log.unstored) {
    yield* unlessRefused(append(store, log, [message]), () => {
      refused.push(message.id)
      log.stored([message])
    })
  }
  return refused
})
