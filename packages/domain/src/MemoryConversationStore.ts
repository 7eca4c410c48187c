/**
 * Keeps conversations in the memory of this process: for tests, first steps and measurements.
 *
 * It passes the same contract as the durable stores, but for one thing: what it holds ends with the process.
 *
 * @since 0.1.0
 */
import { Clock, DateTime, Effect, Layer } from "effect"
import type { Conversation, StoredMessage } from "./Conversation.ts"
import { type ConversationKey, ConversationStore } from "./ConversationStore.ts"
import type { ConversationId, MessageId, UserId } from "./Ids.ts"
import { ConversationNotFound } from "./TaskError.ts"

interface Entry {
  readonly id: ConversationId
  readonly userId: UserId
  readonly createdAt: number
  updatedAt: number
  title: string | undefined
  readonly messages: Array<StoredMessage>
  /** Where each message is in `messages`; undefined where it was removed. */
  readonly index: Map<MessageId, number | undefined>
}

/** By the time of creation, then by id. */
const newestFirst = (a: Entry, b: Entry): number => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1)

const toConversation = (entry: Entry): Conversation => ({
  id: entry.id,
  ...(entry.title === undefined ? undefined : { title: entry.title }),
  createdAt: DateTime.makeUnsafe(entry.createdAt),
  updatedAt: DateTime.makeUnsafe(entry.updatedAt)
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<ConversationStore["Service"]> = Effect.sync(() => {
  const entries = new Map<ConversationId, Entry>()

  const find = (id: ConversationId, userId?: UserId): Effect.Effect<Entry, ConversationNotFound> =>
    Effect.suspend(() => {
      const entry = entries.get(id)
      return entry === undefined || (userId !== undefined && entry.userId !== userId)
        ? Effect.fail(new ConversationNotFound({ conversationId: id }))
        : Effect.succeed(entry)
    })

  const create = ({ id, userId }: ConversationKey) =>
    Clock.clockWith((clock) => {
      if (!entries.has(id)) {
        const now = clock.currentTimeMillisUnsafe()
        entries.set(id, {
          id,
          userId,
          createdAt: now,
          updatedAt: now,
          title: undefined,
          messages: [],
          index: new Map()
        })
      }
      return Effect.map(find(id, userId), toConversation)
    })

  const change = (id: ConversationId, body: (entry: Entry) => void): Effect.Effect<void, ConversationNotFound> =>
    Clock.clockWith((clock) =>
      Effect.map(find(id), (entry) => {
        entry.updatedAt = clock.currentTimeMillisUnsafe()
        body(entry)
      })
    )

  return {
    create,
    get: ({ id, userId }) => Effect.map(find(id, userId), toConversation),
    list: ({ before, limit, userId }) =>
      Effect.sync(() => {
        const own = [...entries.values()].filter((entry) => entry.userId === userId).toSorted(newestFirst)
        const from = before === undefined ? 0 : own.findIndex(({ id }) => id === before) + 1
        return before !== undefined && from === 0 ? [] : own.slice(from, from + limit).map(toConversation)
      }),
    messages: ({ id, userId }, { after, limit }) =>
      Effect.map(find(id, userId), ({ index, messages }) => {
        const at = after === undefined ? -1 : index.get(after)
        return at === undefined ? [] : messages.slice(at + 1, at + 1 + limit)
      }),
    append: (id, messages, options) =>
      change(id, (entry) => {
        const at = options?.replaces === undefined ? undefined : entry.index.get(options.replaces)
        if (at !== undefined) {
          for (const { id } of entry.messages.splice(at)) entry.index.set(id, undefined)
        }
        for (const message of messages) {
          if (entry.index.has(message.id)) continue
          entry.index.set(message.id, entry.messages.length)
          entry.messages.push(message)
        }
      }),
    setTitle: (id, title) =>
      change(id, (entry) => {
        entry.title = title
      }),
    delete: ({ id, userId }, options) =>
      options?.onlyEmpty === true
        ? Effect.sync(() => {
          const entry = entries.get(id)
          if (entry?.userId === userId && entry.messages.length === 0) entries.delete(id)
        })
        : Effect.map(find(id, userId), () => {
          entries.delete(id)
        })
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ConversationStore> = Layer.effect(ConversationStore, make)
