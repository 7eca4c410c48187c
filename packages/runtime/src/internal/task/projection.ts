/**
 * The conversation as a projection of the log: writes durable messages and titles to the conversation store, in their order.
 * Every write is idempotent, so that it may be repeated.
 *
 * If the conversation store does not answer, later attempts repeat the write, because no other process could do better. If
 * the store answers and refuses a message, the number of attempts is bounded; then only the log has the message.
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { type MessageId, messageId } from "@perennial/domain/Ids"
import { Effect, Exit } from "effect"
import type { OwnedLog } from "../log/ownedLog.ts"
import type { ExecutionHost } from "./executionHost.ts"
import { type Attempt, untilRefused } from "./storeFailures.ts"

type Store = ConversationStore["Service"]
type Stores = Pick<ExecutionHost, "backend" | "store">

/** The task whose log is projected, and the record of failures. */
interface Source {
  readonly log: OwnedLog
  readonly attempt: Attempt
}

/** Whether the store answers questions about this conversation. */
const storeResponds = (store: Store, { claim }: OwnedLog): Effect.Effect<boolean> =>
  Effect.map(
    Effect.exit(
      Effect.suspend(() => store.get({ id: claim.conversationId, userId: claim.userId })).pipe(
        Effect.catchTag("ConversationNotFound", () => Effect.void)
      )
    ),
    Exit.isSuccess
  )

/** Whether these are the messages of the task from the first one, which is the user's. */
const isWhole = ({ claim }: OwnedLog, [first]: ReadonlyArray<StoredMessage>): boolean =>
  first?.id === messageId(claim.taskId, 1)

/**
 * One step removes the messages that the task replaces and adds the first message of the task, so that no reader sees the
 * conversation without either. The task itself stores that it replaces them. After a crash before this step the next attempt
 * repeats the step. After a crash behind it the repetition changes nothing: the replaced message is gone, and a removed
 * message does not come back. All earlier tasks have ended, and the store has their messages.
 */
const append = ({ backend, store }: Stores, log: OwnedLog, messages: ReadonlyArray<StoredMessage>) => {
  const { conversationId: id, taskId, userId } = log.claim
  return store.append(id, messages, { replaces: log.replaces, follows: log.lastStored }).pipe(
    // The conversation was deleted between the two steps of `start`, or the task was accepted between the two steps of the
    // deletion. The task is accepted, so the conversation is created again. Another start may have done so already. A task
    // that was deleted with the conversation, while this process stood still, creates nothing.
    Effect.catchTag("ConversationNotFound", (error) =>
      // Without the messages before it, a message has no sense. The next attempt reads all of them in the log, and creates the
      // conversation with the first.
      isWhole(log, messages)
        ? backend.get(taskId).pipe(
          Effect.catchTag("TaskNotFound", () => Effect.fail(error)),
          Effect.andThen(store.create({ id, userId })),
          Effect.andThen(store.append(id, messages))
        )
        : Effect.fail(error)),
    Effect.map(() => log.stored(messages))
  )
}

const storeTitle = (store: Store, log: OwnedLog, title: string) =>
  store.setTitle(log.claim.conversationId, title).pipe(
    // A conversation that was deleted needs no title.
    Effect.catchTag("ConversationNotFound", () => Effect.void),
    Effect.map(() => log.titleStored())
  )

const storeOwed = Effect.fnUntraced(function*(stores: Stores, log: OwnedLog) {
  if (log.title !== undefined) yield* storeTitle(stores.store, log, log.title)
  // A later call stores messages that become durable in the meantime.
  const messages = log.unstored
  if (messages.length > 0) yield* append(stores, log, messages)
})

/** Stores every message and title that is durable and not yet in the conversation. */
export const storeMessages = (stores: Stores, { attempt, log }: Source) =>
  Effect.suspend(() =>
    log.title === undefined && log.unstored.length === 0
      ? Effect.void
      : Effect.onError(storeOwed(stores, log), () =>
        Effect.map(storeResponds(stores.store, log), (responds) => attempt.conversationStoreAnswered(responds)))
  )

/**
 * Stores the messages that the conversation store accepts, one by one, for a task that was given up too often. Returns the
 * ids of the refused messages, which only the log has. Fails if the store does not answer.
 */
export const storeAccepted = Effect.fnUntraced(function*(stores: Stores, { attempt, log }: Source) {
  const { store } = stores
  const refused: Array<MessageId> = []
  const unlessRefused = <A, E>(effect: Effect.Effect<A, E>, onRefusal: () => void) =>
    Effect.catchCause(
      Effect.retry(effect, untilRefused),
      (cause) =>
        Effect.flatMap(storeResponds(store, log), (responds) => {
          attempt.conversationStoreAnswered(responds)
          if (!responds) return Effect.failCause(cause)
          onRefusal()
          return Effect.logError("The conversation store refuses a message; it stays in the log alone.", cause)
        })
    )
  if (log.title !== undefined) yield* unlessRefused(storeTitle(store, log, log.title), () => log.titleStored())
  for (const message of log.unstored) {
    yield* unlessRefused(append(stores, log, [message]), () => {
      refused.push(message.id)
      log.forgo([message])
    })
  }
  return refused
})
