/**
 * A small `ConversationStore`. It keeps conversations and their messages in memory and in a journal file.
 */
import { StoredMessage } from "@perennial/domain/Conversation"
import { type ConversationKey, type ConversationOrder, ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, isChildConversation, MessageId, UserId } from "@perennial/domain/Ids"
import { previewOf } from "@perennial/domain/MessagePayload"
import { matches, prefixesOf, wordsOf, wordsOfMessages } from "@perennial/domain/SearchText"
import { ConversationNotFound, ConversationStoreError } from "@perennial/domain/TaskError"
import { Array, DateTime, Effect, Layer, Schema } from "effect"
import * as JournalFile from "./JournalFile.ts"

type Service = ConversationStore["Service"]

/** The state of a conversation after a commit, and the messages that the commit adds. */
const Change = Schema.Struct({
  id: ConversationId,
  userId: UserId,
  title: Schema.optional(Schema.String),
  /** Whether a person has chosen the title. */
  chosen: Schema.optional(Schema.Boolean),
  preview: Schema.optional(Schema.String),
  createdAt: Schema.Natural,
  updatedAt: Schema.Natural,
  added: Schema.Array(StoredMessage),
  /** All removed messages, which are never added again. `at` is the number of messages that were kept before the message. */
  removed: Schema.optional(Schema.Array(Schema.Struct({ id: MessageId, at: Schema.Natural }))),
  deleted: Schema.optional(Schema.Boolean)
})
type Change = typeof Change.Type

interface Entry {
  row: Change
  /** All messages, removed messages included, in the order in which they were added. */
  readonly messages: Map<MessageId, StoredMessage>
}

type Place = Pick<Change, "id" | ConversationOrder>

/** Compares by a time, then by id. */
const newestFirst = (order: ConversationOrder) => (a: Place, b: Place) =>
  b[order] - a[order] || (a.id < b.id ? 1 : a.id > b.id ? -1 : 0)

/** The messages of a conversation, or those that were removed. */
const select = ({ messages, row }: Entry, which: "kept" | "removed"): ReadonlyArray<StoredMessage> => {
  const removed = new Set(row.removed?.map(({ id }) => id))
  return [...messages.values()].filter(({ id }) => removed.has(id) === (which === "removed"))
}

const wordsOfEntry = (entry: Entry) => [
  ...wordsOf(entry.row.title ?? ""),
  ...wordsOfMessages(select(entry, "kept"))
]

const toConversation = ({ row }: Entry) => ({
  id: row.id,
  ...(row.title === undefined ? {} : { title: row.title }),
  ...(row.preview === undefined ? {} : { preview: row.preview }),
  createdAt: DateTime.makeUnsafe(row.createdAt),
  updatedAt: DateTime.makeUnsafe(row.updatedAt)
})

export const make = Effect.fnUntraced(function*(file: string) {
  const entries = new Map<ConversationId, Entry>()

  const journal = yield* JournalFile.make(file, {
    change: Change,
    apply: ({ added, ...row }) => {
      if (row.deleted === true) return void entries.delete(row.id)
      const messages = entries.get(row.id)?.messages ?? new Map<MessageId, StoredMessage>()
      entries.set(row.id, { row: { ...row, added: [] }, messages })
      for (const message of added) messages.set(message.id, message)
    },
    snapshot: () => Array.map([...entries.values()], ({ messages, row }) => ({ ...row, added: [...messages.values()] }))
  })

  const commit = <A, E>(
    operation: string,
    decide: (now: number) => Effect.Effect<JournalFile.Decision<Change, A>, E>
  ) =>
    Effect.mapError(
      journal.commit(decide),
      (error) =>
        error instanceof JournalFile.JournalError ? new ConversationStoreError({ operation, cause: error }) : error
    )

  const find = (id: ConversationId, userId?: UserId) =>
    Effect.suspend(() => {
      const entry = entries.get(id)
      return entry === undefined || (userId !== undefined && entry.row.userId !== userId)
        ? Effect.fail(new ConversationNotFound({ conversationId: id }))
        : Effect.succeed(entry)
    })

  const create: Service["create"] = ({ id, userId }) =>
    Effect.andThen(
      commit("create", (now) =>
        Effect.succeed({
          change: entries.has(id) ? undefined : { id, userId, createdAt: now, updatedAt: now, added: [] },
          result: () => undefined
        })),
      Effect.map(find(id, userId), toConversation)
    )

  const update = <A>(
    operation: string,
    found: Effect.Effect<Entry, ConversationNotFound>,
    change: (entry: Entry) => Partial<Change>,
    result: (entry: Entry) => A
  ) =>
    commit(operation, (now) =>
      Effect.map(found, (entry) => {
        const value = result(entry)
        return { change: { ...entry.row, updatedAt: now, ...change(entry) }, result: () => value }
      }))

  const remove: Service["delete"] = ({ id, userId }: ConversationKey, options) => {
    const deleted = { deleted: true }
    if (options?.onlyEmpty !== true) {
      return update("delete", find(id, userId), () => deleted, ({ messages }) => messages.size)
    }
    return commit("delete", () =>
      Effect.sync(() => {
        const entry = entries.get(id)
        const isUnused = entry !== undefined && entry.row.userId === userId && entry.messages.size === 0
        return { change: isUnused ? { ...entry.row, ...deleted } : undefined, result: () => 0 }
      }))
  }

  return ConversationStore.of({
    create,
    get: ({ id, userId }) => Effect.map(find(id, userId), toConversation),
    list: ({ before, children = false, limit, order = "createdAt", text, userId }) =>
      Effect.sync(() => {
        const prefixes = text === undefined ? undefined : prefixesOf(text)
        const compare = newestFirst(order)
        const at = before?.at.epochMilliseconds ?? 0
        const last = before === undefined ? undefined : { id: before.id, createdAt: at, updatedAt: at }
        return [...entries.values()]
          .filter(({ row }) => row.userId === userId && (last === undefined || compare(last, row) < 0))
          .filter(({ row }) => children || !isChildConversation(row.id))
          .toSorted((a, b) => compare(a.row, b.row))
          .filter((entry) => prefixes === undefined || matches(wordsOfEntry(entry), prefixes))
          .slice(0, limit)
          .map(toConversation)
      }),
    messages: ({ id, userId }, { after, limit, order }) =>
      Effect.map(find(id, userId), (entry) => {
        const all = select(entry, "kept")
        const at = all.findIndex((message) => message.id === after)
        const removedAt = entry.row.removed?.find(({ id }) => id === after)?.at
        if (order === "newest") {
          const to = after === undefined ? all.length : at >= 0 ? at : removedAt ?? 0
          return all.slice(Math.max(0, to - limit), to).toReversed()
        }
        const from = after === undefined ? 0 : at >= 0 ? at + 1 : removedAt
        return from === undefined ? [] : all.slice(from, from + limit)
      }),
    replaced: ({ id, userId }, { after, limit }) =>
      Effect.map(find(id, userId), (entry) => {
        const all = select(entry, "removed")
        const from = after === undefined ? 0 : all.findIndex((message) => message.id === after) + 1
        return after !== undefined && from === 0 ? [] : all.slice(from, from + limit)
      }),
    append: (id, messages, options) =>
      update(
        "append",
        find(id).pipe(Effect.filterOrFail(
          ({ messages }) => options?.follows === undefined || messages.has(options.follows),
          () => new ConversationNotFound({ conversationId: id })
        )),
        (entry) => {
          const all = select(entry, "kept").map(({ id }) => id)
          const at = options?.replaces === undefined ? -1 : all.indexOf(options.replaces)
          const before = entry.row.removed ?? []
          const removed = at < 0 ? before : [
            ...before.map((one) => ({ id: one.id, at: Math.min(one.at, at) })),
            ...all.slice(at).map((id) => ({ id, at }))
          ]
          // The conversation keeps the first message of each id, also within one call.
          const added = Array.dedupeWith(messages, (a, b) => a.id === b.id)
            .filter(({ id }) => !entry.messages.has(id))
          return { added, removed, preview: previewOf(messages) ?? entry.row.preview }
        },
        () => undefined
      ),
    setTitle: (id, title, { chosen = false } = {}) =>
      update(
        "setTitle",
        find(id),
        ({ row }) => row.chosen === true && !chosen ? { updatedAt: row.updatedAt } : { title, chosen },
        () => undefined
      ),
    delete: remove
  })
})

export const layer = (file: string) => Layer.effect(ConversationStore, make(file))
