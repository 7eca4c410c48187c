/**
 * The conversation as a projection of the log: what is durable there goes to the store, in its order. Idempotent, so that
 * it may be repeated.
 *
 * A store that does not answer is waited for, however long: nobody else could do better. One that answers and refuses a
 * message may do so for ever, so that is tried a bounded number of times; then the message stays in the log alone.
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { MessageId } from "@perennial/domain/Ids"
import { Effect, Exit } from "effect"
import type { Execution } from "./execution.ts"
import type { Journal } from "./journal.ts"

interface Shared {
  readonly store: ConversationStore["Service"]
}

/** Whether the store answers questions about this conversation. */
const answers = ({ store }: Shared, { claim }: Journal): Effect.Effect<boolean> =>
  Effect.map(
    Effect.exit(
      store.get({ id: claim.conversationId, userId: claim.userId }).pipe(
        Effect.catchTag("ConversationNotFound", () => Effect.void)
      )
    ),
    Exit.isSuccess
  )

/**
 * What the task replaces goes when the task's own first message comes, in one step: nobody sees the conversation without
 * either. The intention is durable with the task. A crash before that step loses nothing, the next attempt takes it; after
 * it the step repeats to no effect, since what names the place is gone and does not come back. The tasks before this one
 * have ended, and their messages are all there.
 */
const append = ({ store }: Shared, journal: Journal, messages: ReadonlyArray<StoredMessage>) => {
  const { conversationId: id, userId } = journal.claim
  return Effect.matchEffect(store.append(id, messages, { replaces: journal.replaces }), {
    onSuccess: () => Effect.succeed(journal.stored(messages)),
    onFailure: (error) =>
      error._tag === "ConversationNotFound"
        // Deleted between the two steps of `start`: the task was accepted, so its conversation is there again.
        ? Effect.map(
          Effect.andThen(store.create({ id, userId }), store.append(id, messages)),
          () => journal.stored(messages)
        )
        : Effect.fail(error)
  })
}

const storeTitle = ({ store }: Shared, journal: Journal, title: string) =>
  store.setTitle(journal.claim.conversationId, title).pipe(
    // A conversation that was deleted needs no title.
    Effect.catchTag("ConversationNotFound", () => Effect.void),
    Effect.map(() => {
      journal.title = undefined
    })
  )

const storeOwedMessages = (shared: Shared, journal: Journal) => {
  // Another one may come meanwhile, and is stored after these: by whoever stores it, again together with them.
  const messages = journal.unstored
  return messages.length === 0 ? Effect.void : append(shared, journal, messages)
}

const storeOwed = (shared: Shared, journal: Journal) =>
  journal.title === undefined
    ? storeOwedMessages(shared, journal)
    : Effect.andThen(
      storeTitle(shared, journal, journal.title),
      Effect.suspend(() => storeOwedMessages(shared, journal))
    )

/** What is durable and not yet in the conversation goes there. */
export const storeMessages = (shared: Shared, execution: Execution, journal: Journal) =>
  Effect.suspend(() =>
    journal.title === undefined && journal.unstored.length === 0
      ? Effect.void
      : Effect.onError(storeOwed(shared, journal), () =>
        Effect.map(answers(shared, journal), (answered) => {
          execution.excused = !answered
        }))
  )

/**
 * The same for a task that was given up too often: one message after the other, and without those that are refused again.
 * Returns the ids of these. Fails when the store does not answer.
 */
export const storeWhatIsTaken = Effect.fnUntraced(function*(shared: Shared, execution: Execution, journal: Journal) {
  const refused: Array<MessageId> = []
  const unless = <A, E>(effect: Effect.Effect<A, E>, onRefusal: () => void) =>
    Effect.catchCause(effect, (cause) =>
      Effect.flatMap(answers(shared, journal), (answered) => {
        execution.excused = !answered
        if (!answered) return Effect.failCause(cause)
        onRefusal()
        return Effect.logError("The conversation store refuses what it was given; it stays in the log alone.", cause)
      }))
  if (journal.title !== undefined) {
    yield* unless(storeTitle(shared, journal, journal.title), () => {
      journal.title = undefined
    })
  }
  for (const message of journal.unstored) {
    yield* unless(append(shared, journal, [message]), () => {
      refused.push(message.id)
      journal.stored([message])
    })
  }
  return refused
})
