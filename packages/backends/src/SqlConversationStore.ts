/**
 * Keeps conversations in an SQL database, SQLite or PostgreSQL, through the `SqlClient` that is provided. A client of
 * another database is refused.
 *
 * The layer brings its tables (`perennial_*`) up to date, and refuses tables of a newer version.
 *
 * @since 0.1.0
 */
import type { Conversation } from "@perennial/domain/Conversation"
import { type ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import type { MessageId } from "@perennial/domain/Ids"
import * as MessagePayload from "@perennial/domain/MessagePayload"
import { endOf, prefixesOf, wordsOf, wordsOfMessages } from "@perennial/domain/SearchText"
import { ConversationNotFound } from "@perennial/domain/TaskError"
import { DateTime, Effect, Layer, Schema, type Scope } from "effect"
import type { Migrator, SqlClient, SqlError, Statement } from "effect/sql"
import { toConversationStoreError } from "./internal/backendError.ts"
import {
  type Adding,
  conversationColumns,
  type ConversationRow,
  readConversations,
  readMessages,
  toStoredMessages
} from "./internal/conversationStatements.ts"
import * as EarlierWords from "./internal/earlierWords.ts"
import { forStore } from "./internal/sqlDialect.ts"
import * as SqlEarlierWords from "./internal/sqlEarlierWords.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import { Millis, readRows, toSqlText } from "./internal/sqlRows.ts"
import { tryCodec } from "./internal/storeRetry.ts"
import type { UnusableStore } from "./UnusableStore.ts"

type Service = ConversationStore["Service"]

const toConversation = (row: ConversationRow): Conversation => ({
  id: row.id,
  ...(row.title === null ? undefined : { title: row.title }),
  ...(row.preview === null ? undefined : { preview: row.preview }),
  createdAt: DateTime.makeUnsafe(Number(row.created_at)),
  updatedAt: DateTime.makeUnsafe(Number(row.updated_at))
})

const readCounts = readRows(Schema.Struct({ messages: Millis }))
const readPlaces = readRows(Schema.Struct({ place: Schema.Int }))

const dialect = forStore("SqlConversationStore")

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service, UnusableStore, SqlClient.SqlClient | Scope.Scope> = Effect.gen(function*() {
  const database = yield* dialect
  const { boundTransaction, conversationStatements, noteDeleted, rowsOf, sql, time, withRetries, withTransaction } =
    database
  const statements = yield* conversationStatements
  const columns = conversationColumns(sql)

  const find = Effect.fnUntraced(function*({ id, userId }: ConversationKey) {
    const [row] = yield* readConversations(sql`SELECT ${columns} FROM perennial_conversations
      WHERE id = ${id} AND user_id = ${userId}`)
    return row ?? (yield* new ConversationNotFound({ conversationId: id }))
  })

  const create: Service["create"] = (key) =>
    withRetries(() =>
      Effect.gen(function*() {
        const [row] = yield* statements.create(key)
        return toConversation(row ?? (yield* find(key)))
      }), toConversationStoreError("create"))

  /** Whether a conversation has a word that begins so. As a comparison of values, PostgreSQL looks the word up by the key. */
  const hasWord = (prefix: string) =>
    sql`(SELECT 1 FROM perennial_conversation_words WHERE conversation_id = c.id
      AND word >= ${prefix} AND word < ${endOf(prefix)} LIMIT 1) IS NOT NULL`

  const listed: Service["list"] = ({ before, children, limit, order = "createdAt", text, userId }) => {
    const time = sql.literal(order === "createdAt" ? "created_at" : "updated_at")
    const prefixes = text === undefined ? [] : prefixesOf(text)
    const filter = sql.and([
      sql`user_id = ${userId}`,
      ...(children === true ? [] : [sql.literal("id NOT LIKE '~%'")]),
      ...(before === undefined ? [] : [sql`(${time}, id) < (${before.at.epochMilliseconds}, ${before.id})`]),
      ...prefixes.map(hasWord)
    ])
    return withRetries(() =>
      Effect.map(
        readConversations(sql`SELECT ${columns} FROM perennial_conversations c WHERE ${filter}
          ORDER BY ${time} DESC, id DESC LIMIT ${limit}`),
        (rows) => rows.map(toConversation)
      ), toConversationStoreError("list"))
  }

  /**
   * Messages with positions below the place of a message, from the highest position on. Replaced messages have a negative
   * position, so that the oldest of them has the highest one.
   */
  const backwards = Effect.fnUntraced(function*(
    key: ConversationKey,
    { after, isReplaced, limit }: {
      readonly after?: MessageId | undefined
      readonly isReplaced: boolean
      readonly limit: number
    }
  ) {
    yield* find(key)
    // The planner of PostgreSQL needs the value: it expects few rows below an unknown one, and would sort them.
    const [place] = after === undefined ? [] : yield* readPlaces(sql`SELECT ABS(position) AS place
      FROM perennial_messages WHERE conversation_id = ${key.id} AND id = ${after}`)
    if (after !== undefined && place === undefined) return []
    const below = place === undefined ? sql`` : sql`AND position < ${isReplaced ? -place.place : place.place}`
    // An earlier version did not keep the texts of replaced messages.
    const range = sql.literal(isReplaced ? "position < 0 AND payload <> ''" : "position > 0")
    return yield* readMessages(sql`SELECT id, payload FROM perennial_messages
      WHERE conversation_id = ${key.id} AND ${range} ${below} ORDER BY position DESC LIMIT ${limit}`)
  })

  const oldestFirst = Effect.fnUntraced(
    function*(key: ConversationKey, options: { readonly after?: MessageId | undefined; readonly limit: number }) {
      const rows = yield* statements.messages({ ...key, ...options })
      // A conversation without messages is one row without a message.
      if (rows.length === 0) return yield* new ConversationNotFound({ conversationId: key.id })
      return rows
    }
  )

  const messages: Service["messages"] = (key, { order, ...options }) =>
    withRetries(
      () =>
        Effect.map(
          order === "newest" ? backwards(key, { ...options, isReplaced: false }) : oldestFirst(key, options),
          toStoredMessages
        ),
      toConversationStoreError("messages")
    )

  const replaced: Service["replaced"] = (key, options) =>
    withRetries(
      () => Effect.map(backwards(key, { ...options, isReplaced: true }), toStoredMessages),
      toConversationStoreError("replaced")
    )

  // A removed message keeps its row: an append that repeats the message finds its id. No position is given twice, so that
  // the negative positions are as unique as the positive ones were.
  const appendInPlace = (replaces: MessageId) => (adding: Adding) =>
    withTransaction(Effect.gen(function*() {
      const { id } = adding
      // Locks the conversation.
      yield* sql`UPDATE perennial_conversations SET updated_at = ${yield* time} WHERE id = ${id}
        RETURNING ${boundTransaction}`
      yield* sql`UPDATE perennial_messages SET position = -position WHERE conversation_id = ${id}
        AND position >= (SELECT position FROM perennial_messages
          WHERE conversation_id = ${id} AND id = ${replaces} AND position > 0)`
      return yield* statements.append(adding)
    }))

  const append: Service["append"] = (id, added, options) =>
    withRetries(() =>
      Effect.gen(function*() {
        const messages = yield* tryCodec(() =>
          added.map((message) => ({ id: message.id, payload: MessagePayload.encode(message) }))
        )
        const { follows, replaces } = options ?? {}
        const words = wordsOfMessages(added)
        const adding = { id, messages, follows, words, preview: toSqlText(MessagePayload.previewOf(added) ?? "") }
        const exists = yield* (replaces === undefined ? statements.append : appendInPlace(replaces))(adding)
        if (!exists) return yield* new ConversationNotFound({ conversationId: id })
      }), toConversationStoreError("append"))

  const setTitle: Service["setTitle"] = (id, title, options) =>
    withRetries(() =>
      withTransaction(Effect.gen(function*() {
        const now = yield* time
        const value = sql`${toSqlText(title)}`
        const unlessChosen = (column: string, value: Statement.Fragment) =>
          sql`${sql(column)} = CASE WHEN title_chosen = 1 THEN ${sql(column)} ELSE ${value} END`
        const change = options?.chosen === true
          ? sql`title = ${value}, updated_at = ${now}, title_chosen = 1`
          : sql`${unlessChosen("title", value)}, ${unlessChosen("updated_at", now)}`
        const rows = yield* sql`UPDATE perennial_conversations SET ${change} WHERE id = ${id}
          RETURNING id, ${boundTransaction}`
        if (rows.length === 0) return yield* new ConversationNotFound({ conversationId: id })
        yield* sql`INSERT INTO perennial_conversation_words (conversation_id, word)
          SELECT ${id}, i.word FROM ${rowsOf(wordsOf(title), { word: ["text", (word) => word] })} WHERE TRUE
          ON CONFLICT DO NOTHING`
      })), toConversationStoreError("setTitle"))

  const remove: Service["delete"] = ({ id, userId }, options) => {
    const onlyEmpty = options?.onlyEmpty === true
    const filter = sql.and([
      sql`id = ${id}`,
      sql`user_id = ${userId}`,
      ...(onlyEmpty ? [sql`last_position = 0`] : [])
    ])
    return withRetries((again) =>
      withTransaction(Effect.gen(function*() {
        const rows = yield* sql`DELETE FROM perennial_conversations WHERE ${filter} RETURNING id, ${boundTransaction}`
        if (rows.length === 0 && !again && !onlyEmpty) return yield* new ConversationNotFound({ conversationId: id })
        if (rows.length === 0) return 0
        const [counted] = yield* readCounts(sql`SELECT COUNT(*) AS messages FROM perennial_messages
          WHERE conversation_id = ${id} AND payload <> ''`)
        yield* sql`DELETE FROM perennial_messages WHERE conversation_id = ${id}`
        yield* sql`DELETE FROM perennial_conversation_words WHERE conversation_id = ${id}`
        yield* sql`DELETE FROM perennial_unsearched WHERE user_id = ${userId} AND conversation_id = ${id}`
        yield* noteDeleted
        return Number(counted?.messages)
      })), toConversationStoreError("delete"))
  }

  const get: Service["get"] = (key) =>
    withRetries(() => Effect.map(find(key), toConversation), toConversationStoreError("get"))

  const addEarlierWords = EarlierWords.make({ get, messages }, SqlEarlierWords.make(database))

  const list: Service["list"] = (options) => {
    if (options.text === undefined) return listed(options)
    if (prefixesOf(options.text).length === 0) return Effect.succeed([])
    return Effect.andThen(addEarlierWords(options.userId), listed(options))
  }

  return {
    create,
    get,
    list,
    messages,
    replaced,
    append,
    setTitle,
    delete: remove
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  ConversationStore,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore,
  SqlClient.SqlClient
> = Layer.unwrap(Effect.as(dialect, Layer.effect(ConversationStore, make).pipe(Layer.provide(migrations.layer))))
