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

interface Options {
  readonly store: ConversationStore["Service"]
  readonly execution: Execution
}

/** Whether the store answers questions about this conversation. */
const answers = ({ store }: Options, { claim }: Journal): Effect.Effect<boolean> =>
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
const append = Effect.fnUntraced(
  function*({ store }: Options, journal: Journal, messages: ReadonlyArray<StoredMessage>) {
    const { conversationId: id, userId } = journal.claim
    const { replaces } = journal
    yield* Effect.catchTag(
      store.append(id, messages, { replaces }),
      "ConversationNotFound",
      // Deleted between the two steps of `start`: the task was accepted, so its conversation is there again.
      () => Effect.andThen(store.create({ id, userId }), store.append(id, messages))
    )
    journal.replaces = undefined
  }
)

const storeTitle = Effect.fnUntraced(function*({ store }: Options, journal: Journal) {
  if (journal.title === undefined) return
  // A conversation that was deleted needs no title.
  yield* Effect.catchTag(
    store.setTitle(journal.claim.conversationId, journal.title),
    "ConversationNotFound",
    () => Effect.void
  )
  journal.title = undefined
})

/** What is durable and not yet in the conversation goes there. */
export const storeMessages = Effect.fnUntraced(
  function*(options: Options, journal: Journal) {
    yield* storeTitle(options, journal)
    const messages = [...journal.unstored]
    if (messages.length === 0) return
    yield* append(options, journal, messages)
    const stored = new Set(messages.map((message) => message.id))
    journal.unstored = journal.unstored.filter((message) => !stored.has(message.id))
  },
  (effect, options, journal) =>
    Effect.onError(effect, () =>
      Effect.map(answers(options, journal), (answered) => {
        options.execution.excused = !answered
      }))
)

/**
 * The same for a task that was given up too often: one message after the other, and without those that are refused again.
 * Returns the ids of these. Fails when the store does not answer.
 */
export const storeWhatIsTaken = Effect.fnUntraced(function*(options: Options, journal: Journal) {
  const refused: Array<MessageId> = []
  const unless = <A, E>(effect: Effect.Effect<A, E>, onRefusal: () => void) =>
    Effect.catchCause(effect, (cause) =>
      Effect.flatMap(answers(options, journal), (answered) => {
        options.execution.excused = !answered
        if (!answered) return Effect.failCause(cause)
        onRefusal()
        return Effect.logError("The conversation store refuses what it was given; it stays in the log alone.", cause)
      }))
  yield* unless(storeTitle(options, journal), () => {
    journal.title = undefined
  })
  for (const message of journal.unstored) {
    yield* unless(append(options, journal, [message]), () => refused.push(message.id))
    journal.unstored = journal.unstored.filter(({ id }) => id !== message.id)
  }
  return refused
})
