/**
 * Keeps conversations in the memory of this process: for tests, first steps and measurements.
 *
 * It passes the same contract as the durable stores, except that its conversations end with the process.
 *
 * @since 0.1.0
 */
import { Clock, DateTime, Effect, Layer } from "effect"
import type { Conversation, StoredMessage } from "./Conversation.ts"
import {
  type ConversationKey,
  type ConversationOrder,
  type ConversationPlace,
  ConversationStore
} from "./ConversationStore.ts"
import { type ConversationId, isChildConversation, type MessageId, type UserId } from "./Ids.ts"
import { previewOf } from "./MessagePayload.ts"
import { matches, prefixesOf, wordsOf, wordsOfMessages } from "./SearchText.ts"
import { ConversationNotFound } from "./TaskError.ts"

interface Entry {
  readonly id: ConversationId
  readonly userId: UserId
  readonly createdAt: number
  updatedAt: number
  title: string | undefined
  /** Whether a person has chosen the title. */
  chosen: boolean
  preview: string | undefined
  messages: Array<StoredMessage>
  /** The index of each message in `messages`; made when it is first needed. */
  index: Map<MessageId, number> | undefined
  /** For each removed message, the index at which the messages begin that took its place. */
  removed: Map<MessageId, number> | undefined
  /** The removed messages, each with the number of messages that were added before it. */
  replaced: Array<Replaced> | undefined
  /** The same number for each of `messages`; undefined while no message was removed: it is the index then. */
  ordinals: Array<number> | undefined
}

interface Replaced {
  readonly message: StoredMessage
  readonly ordinal: number
}

/** By a time, then by id. */
const newestFirst =
  (order: ConversationOrder) =>
  (a: Pick<Entry, ConversationOrder | "id">, b: Pick<Entry, ConversationOrder | "id">): number =>
    b[order] - a[order] || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)

const toPlace = ({ at, id }: ConversationPlace) => ({
  id,
  createdAt: at.epochMilliseconds,
  updatedAt: at.epochMilliseconds
})

const toConversation = ({ createdAt, id, preview, title, updatedAt }: Entry): Conversation => ({
  id,
  ...(title === undefined ? undefined : { title }),
  ...(preview === undefined ? undefined : { preview }),
  createdAt: DateTime.makeUnsafe(createdAt),
  updatedAt: DateTime.makeUnsafe(updatedAt)
})

const wordsOfEntry = ({ messages, title = "" }: Entry) => [...wordsOf(title), ...wordsOfMessages(messages)]

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
          chosen: false,
          preview: undefined,
          messages: [],
          index: undefined,
          removed: undefined,
          replaced: undefined,
          ordinals: undefined
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

  /** How many messages are before a cursor, or undefined when the conversation never had that message. */
  const countBefore = (entry: Entry, after: MessageId) => indexOf(entry).get(after) ?? entry.removed?.get(after)

  /** Removes the messages from an index on: the next message takes the place of each of them. */
  const removeFrom = (entry: Entry, from: number) => {
    const removed = entry.removed ??= new Map()
    for (const [id, index] of removed) if (index > from) removed.set(id, from)
    const ordinals = entry.ordinals ??= entry.messages.map((_, i) => i)
    const replaced = entry.replaced ??= []
    for (const [i, ordinal] of ordinals.splice(from).entries()) {
      const message = entry.messages[from + i]
      if (message === undefined) continue
      indexOf(entry).delete(message.id)
      removed.set(message.id, from)
      replaced.push({ message, ordinal })
    }
    replaced.sort((a, b) => a.ordinal - b.ordinal)
    entry.messages.length = from
  }

  return {
    create,
    get: ({ id, userId }) => use(id, userId, toConversation),
    list: ({ before, children = false, limit, order = "createdAt", text, userId }) =>
      Effect.sync(() => {
        const prefixes = text === undefined ? undefined : prefixesOf(text)
        const last = before === undefined ? undefined : toPlace(before)
        const compare = newestFirst(order)
        return [...entries.values()]
          .filter((entry) => entry.userId === userId && (last === undefined || compare(last, entry) < 0))
          .filter(({ id }) => children || !isChildConversation(id))
          .toSorted(compare)
          .filter((entry) => prefixes === undefined || matches(wordsOfEntry(entry), prefixes))
          .slice(0, limit)
          .map(toConversation)
      }),
    messages: ({ id, userId }, { after, limit, order }) =>
      use(id, userId, (entry) => {
        if (order === "newest") {
          const to = after === undefined ? entry.messages.length : countBefore(entry, after) ?? 0
          return entry.messages.slice(Math.max(0, to - limit), to).toReversed()
        }
        const from = after === undefined ? 0 : indexAfter(entry, after)
        return from === undefined ? [] : entry.messages.slice(from, from + limit)
      }),
    replaced: ({ id, userId }, { after, limit }) =>
      use(id, userId, ({ replaced = [] }) => {
        const from = after === undefined ? 0 : replaced.findIndex(({ message }) => message.id === after) + 1
        const isUnknown = after !== undefined && from === 0
        return isUnknown ? [] : replaced.slice(from, from + limit).map(({ message }) => message)
      }),
    append: (id, messages, options) =>
      change(id, (entry) => {
        entry.preview = previewOf(messages) ?? entry.preview
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
          entry.ordinals?.push(entry.messages.length + (entry.replaced?.length ?? 0))
          entry.messages.push(message)
        }
      }, options?.follows),
    setTitle: (id, title, { chosen = false } = {}) =>
      Clock.clockWith((clock) =>
        use(id, undefined, (entry) => {
          if (entry.chosen && !chosen) return
          entry.title = title
          entry.chosen = chosen
          entry.updatedAt = clock.currentTimeMillisUnsafe()
        })
      ),
    delete: ({ id, userId }, options) =>
      options?.onlyEmpty === true
        ? Effect.sync(() => {
          const entry = entries.get(id)
          if (entry?.userId === userId && entry.messages.length === 0) entries.delete(id)
          return 0
        })
        : use(id, userId, ({ messages, replaced = [] }) => {
          entries.delete(id)
          return messages.length + replaced.length
        })
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ConversationStore> = Layer.effect(ConversationStore, make)
