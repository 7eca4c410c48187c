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
  messages: Array<StoredMessage>
  /** Where each message is in `messages`, undefined where it was removed; made when it is first asked for. */
  index: Map<MessageId, number | undefined> | undefined
}

/** By the time of creation, then by id. */
const newestFirst = (a: Entry, b: Entry): number => b.createdAt - a.createdAt || (a.id < b.id ? 1 : -1)

const toConversation = ({ createdAt, id, title, updatedAt }: Entry): Conversation => ({
  id,
  ...(title === undefined ? undefined : { title }),
  createdAt: DateTime.makeUnsafe(createdAt),
  updatedAt: DateTime.makeUnsafe(updatedAt)
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<ConversationStore["Service"]> = Effect.sync(() => {
  const entries = new Map<ConversationId, Entry>()

  /** One step on a conversation, of a user if one asks. */
  const use = <A>(
    id: ConversationId,
    userId: UserId | undefined,
    body: (entry: Entry) => A
  ): Effect.Effect<A, ConversationNotFound> =>
    Effect.suspend(() => {
      const entry = entries.get(id)
      return entry === undefined || (userId !== undefined && entry.userId !== userId)
        ? Effect.fail(new ConversationNotFound({ conversationId: id }))
        : Effect.succeed(body(entry))
    })

  const create = ({ id, userId }: ConversationKey) =>
    Clock.clockWith((clock) => {
      let entry = entries.get(id)
      if (entry === undefined) {
        const now = clock.currentTimeMillisUnsafe()
        entry = { id, userId, createdAt: now, updatedAt: now, title: undefined, messages: [], index: undefined }
        entries.set(id, entry)
      }
      return entry.userId === userId
        ? Effect.succeed(toConversation(entry))
        : Effect.fail(new ConversationNotFound({ conversationId: id }))
    })

  const change = (id: ConversationId, body: (entry: Entry) => void): Effect.Effect<void, ConversationNotFound> =>
    Clock.clockWith((clock) =>
      use(id, undefined, (entry) => {
        entry.updatedAt = clock.currentTimeMillisUnsafe()
        body(entry)
      })
    )

  const indexOf = (entry: Entry) => entry.index ??= new Map(entry.messages.map(({ id }, i) => [id, i]))

  return {
    create,
    get: ({ id, userId }) => use(id, userId, toConversation),
    list: ({ before, limit, userId }) =>
      Effect.sync(() => {
        const own = [...entries.values()].filter((entry) => entry.userId === userId).toSorted(newestFirst)
        const from = before === undefined ? 0 : own.findIndex(({ id }) => id === before) + 1
        return before !== undefined && from === 0 ? [] : own.slice(from, from + limit).map(toConversation)
      }),
    messages: ({ id, userId }, { after, limit }) =>
      use(id, userId, (entry) => {
        const at = after === undefined ? -1 : indexOf(entry).get(after)
        return at === undefined ? [] : entry.messages.slice(at + 1, at + 1 + limit)
      }),
    append: (id, messages, options) =>
      change(id, (entry) => {
        const [first] = messages
        if (first !== undefined && messages.length === 1 && entry.messages.length === 0 && entry.index === undefined) {
          entry.messages = [first]
          return
        }
        const index = indexOf(entry)
        const at = options?.replaces === undefined ? undefined : index.get(options.replaces)
        if (at !== undefined) {
          for (const { id } of entry.messages.splice(at)) index.set(id, undefined)
        }
        for (const message of messages) {
          if (index.has(message.id)) continue
          index.set(message.id, entry.messages.length)
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
        : use(id, userId, () => {
          entries.delete(id)
        })
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ConversationStore> = Layer.effect(ConversationStore, make)
