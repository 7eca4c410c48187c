/**
 * Conversations that were stored before their store knew the search. Their words are added when their user searches for the
 * first time.
 */
import type { Conversation } from "@perennial/domain/Conversation"
import type { ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import type { ConversationId, MessageId, UserId } from "@perennial/domain/Ids"
import { wordsOf, wordsOfMessages } from "@perennial/domain/SearchText"
import type { ConversationStoreError } from "@perennial/domain/TaskError"
import { Effect } from "effect"

/** Conversations whose words one search adds. The next search of their user adds the words of the next ones. */
const most = 1_000

/** Messages that are read at once: they may hold files. */
const page = 10

type Reader = Pick<ConversationStore["Service"], "get" | "messages">

const wordsOfConversation = Effect.fnUntraced(function*(store: Reader, key: ConversationKey, title: string) {
  const words = new Set(wordsOf(title))
  let after: MessageId | undefined
  do {
    const messages = yield* store.messages(key, { after, limit: page })
    for (const message of messages) for (const word of wordsOfMessages([message])) words.add(word)
    after = messages.length < page ? undefined : messages.at(-1)?.id
  } while (after !== undefined)
  return [...words]
})

/** What a store does for it. */
export interface Steps {
  /** Conversations of a user without their words, at most so many. */
  readonly find: (userId: UserId, limit: number) => Effect.Effect<ReadonlyArray<ConversationId>, ConversationStoreError>
  /**
   * Adds words to a conversation that is still the same, in one step. `find` does not return the conversation any more. A
   * conversation that was deleted is `undefined`.
   */
  readonly add: (
    key: ConversationKey,
    conversation: Conversation | undefined,
    words: ReadonlyArray<string>
  ) => Effect.Effect<void, ConversationStoreError>
}

/** Adds the words of a user's conversations that are found without their words. */
export const make = (store: Reader, { add, find }: Steps) =>
  Effect.fnUntraced(function*(userId: UserId) {
    for (const id of yield* find(userId, most)) {
      const key = { id, userId }
      yield* Effect.catchTag(
        Effect.gen(function*() {
          const conversation = yield* store.get(key)
          yield* add(key, conversation, yield* wordsOfConversation(store, key, conversation.title ?? ""))
        }),
        "ConversationNotFound",
        () => add(key, undefined, [])
      )
    }
  })
