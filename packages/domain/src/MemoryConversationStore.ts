/**
 * Keeps conversations in the memory of this process: for tests, first steps and measurements.
 *
 * It passes the same contract as the durable stores, except that its conversations end with the process.
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
  /** The index of each message in `messages`; made when it is first needed. */
  index: Map<MessageId, number> | undefined
  /** For each removed message, the index at which the messages begin that took its place. */
  removed: Map<MessageId, number> | undefined
}

type Place = Pick<Entry, "id" | "createdAt">

/** By the time of creation, then by id. */
const newestFirst = (a: Place, b: Place): number =>
  b.createdAt - a.createdAt || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)

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

  /** One step on a conversation; with a `userId` only on that user's. */
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
        entry = {
          id,
          userId,
          createdAt: now,
          updatedAt: now,
          title: undefined,
          messages: [],
          index: undefined,
          removed: undefined
        }
        entries.set(id, entry)
      }
      return entry.userId === userId
        ? Effect.succeed(toConversation(entry))
        : Effect.fail(new ConversationNotFound({ conversationId: id }))
    })

  const change = (
    id: ConversationId,
    body: (entry: Entry) => void,
    follows?: MessageId
  ): Effect.Effect<void, ConversationNotFound> =>
    Clock.clockWith((clock) =>
      Effect.flatten(use(id, undefined, (entry) => {
        if (follows !== undefined && indexAfter(entry, follows) === undefined) {
          return Effect.fail(new ConversationNotFound({ conversationId: id }))
        }
        entry.updatedAt = clock.currentTimeMillisUnsafe()
        return Effect.succeed(body(entry))
      }))
    )

  const indexOf = (entry: Entry) => entry.index ??= new Map(entry.messages.map(({ id }, i) => [id, i]))

  /** The index of the first message after a cursor, or undefined when the conversation never had that message. */
  const indexAfter = (entry: Entry, after: MessageId) => {
    const index = indexOf(entry).get(after)
    return index === undefined ? entry.removed?.get(after) : index + 1
  }

  /** Removes the messages from an index on: the next message takes the place of each of them. */
  const removeFrom = (entry: Entry, from: number) => {
    const removed = entry.removed ??= new Map()
    for (const [id, index] of removed) if (index > from) removed.set(id, from)
    for (const { id } of entry.messages.splice(from)) {
      indexOf(entry).delete(id)
      removed.set(id, from)
    }
  }

  return {
    create,
    get: ({ id, userId }) => use(id, userId, toConversation),
    list: ({ before, limit, userId }) =>
      Effect.sync(() => {
        const last = before === undefined ? undefined : { id: before.id, createdAt: before.createdAt.epochMilliseconds }
        return [...entries.values()]
          .filter((entry) => entry.userId === userId && (last === undefined || newestFirst(last, entry) < 0))
          .toSorted(newestFirst)
          .slice(0, limit)
          .map(toConversation)
      }),
    messages: ({ id, userId }, { after, limit }) =>
      use(id, userId, (entry) => {
        const from = after === undefined ? 0 : indexAfter(entry, after)
        return from === undefined ? [] : entry.messages.slice(from, from + limit)
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
        if (at !== undefined) removeFrom(entry, at)
        for (const message of messages) {
          if (index.has(message.id) || entry.removed?.has(message.id) === true) continue
          index.set(message.id, entry.messages.length)
          entry.messages.push(message)
        }
      }, options?.follows),
    setTitle: (id, title) =>
      change(id, (entry) => {
        entry.title = title
      }),
    delete: ({ id, userId }, options) =>
      options?.onlyEmpty === true
        ? Effect.sync(() => {
          const entry = entries.get(id)
          if (entry?.userId === userId && entry.messages.length === 0) entries.delete(id)
          return 0
        })
        : use(id, userId, ({ messages }) => {
          entries.delete(id)
          return messages.length
        })
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ConversationStore> = Layer.effect(ConversationStore, make)
