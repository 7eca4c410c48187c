/**
 * Keeps conversations in an SQL database: SQLite or PostgreSQL, through whatever `SqlClient` is provided.
 *
 * The layer brings its tables (`perennial_*`) up to date.
 *
 * @since 0.1.0
 */
import { type Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { type ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import type { MessageId } from "@perennial/domain/Ids"
import { ConversationNotFound, ConversationStoreError } from "@perennial/domain/TaskError"
import { DateTime, Effect, Layer, Schema, type Scope } from "effect"
import { type Migrator, SqlClient, type SqlError } from "effect/sql"
import { read } from "./internal/persistence.ts"
import type { Adding, ConversationRow, MessageRow, Reading } from "./internal/pgConversations.ts"
import * as PgConversations from "./internal/pgConversations.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import { boundedLock, persistence, storable, storeTime } from "./internal/sqlPersistence.ts"

type Service = ConversationStore["Service"]

const failed = (operation: string) => (cause: unknown) => new ConversationStoreError({ operation, cause })

const toConversation = (row: ConversationRow): Conversation => ({
  id: row.id,
  ...(row.title === null ? undefined : { title: row.title }),
  createdAt: DateTime.makeUnsafe(Number(row.created_at)),
  updatedAt: DateTime.makeUnsafe(Number(row.updated_at))
})

const Payload = Schema.fromJsonString(StoredMessage)
const decode = Schema.decodeSync(Payload)
const encode = Schema.encodeSync(Payload)

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service, never, SqlClient.SqlClient | Scope.Scope> = Effect.gen(function*() {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const time = storeTime(sql)
  const { persistently, withTransaction } = persistence(sql)
  const isPg = sql.onDialectOrElse({ pg: () => true, orElse: () => false })
  const shared = isPg ? yield* PgConversations.make(sql) : undefined

  const find = Effect.fnUntraced(function*({ id, userId }: ConversationKey) {
    const [row] = yield* sql<
      ConversationRow
    >`SELECT * FROM perennial_conversations WHERE id = ${id} AND user_id = ${userId}`
    return row ?? (yield* new ConversationNotFound({ conversationId: id }))
  })

  const createOrFind = (key: ConversationKey) =>
    Effect.flatMap(time, (now) =>
      Effect.map(
        sql<ConversationRow>`INSERT INTO perennial_conversations (id, user_id, created_at, updated_at)
          VALUES (${key.id}, ${key.userId}, ${now}, ${now}) ON CONFLICT (id) DO NOTHING RETURNING *`,
        ([row]) => row
      ))

  const create: Service["create"] = (key) =>
    persistently(() =>
      Effect.gen(function*() {
        const conversation = yield* (shared?.createOrFind ?? createOrFind)(key)
        return toConversation(conversation ?? (yield* find(key)))
      }), failed("create"))

  const list: Service["list"] = ({ before, limit, userId }) => {
    // An unknown `before` was created at no time, and nothing is before that.
    const filter = before === undefined ? sql`user_id = ${userId}` : sql`user_id = ${userId} AND (created_at, id) <
      ((SELECT created_at FROM perennial_conversations WHERE id = ${before} AND user_id = ${userId}), ${before})`
    return persistently(() =>
      Effect.map(
        sql<ConversationRow>`SELECT * FROM perennial_conversations WHERE ${filter}
          ORDER BY created_at DESC, id DESC LIMIT ${limit}`,
        (rows) => rows.map(toConversation)
      ), failed("list"))
  }

  const readMessages = ({ after, id, limit, userId }: Reading) => {
    // An unknown or removed `after` has no position, and nothing is greater than that.
    const from = after === undefined ? sql`0` : sql`(SELECT position FROM perennial_messages
      WHERE conversation_id = ${id} AND id = ${after} AND position > 0)`
    return sql<MessageRow>`SELECT m.payload FROM perennial_conversations c
      LEFT JOIN perennial_messages m ON m.conversation_id = c.id AND m.position > ${from}
      WHERE c.id = ${id} AND c.user_id = ${userId} ORDER BY m.position LIMIT ${limit}`
  }

  const messages: Service["messages"] = (key, options) =>
    persistently(() =>
      Effect.gen(function*() {
        const rows = yield* (shared?.messages ?? readMessages)({ ...key, ...options })
        // A conversation without messages is one row without a message.
        if (rows.length === 0) return yield* new ConversationNotFound({ conversationId: key.id })
        return yield* read(() => rows.flatMap(({ payload }) => payload === null ? [] : [decode(payload)]))
      }), failed("messages"))

  /** Whether there is such a conversation. A message that is there already leaves a gap between positions. */
  const insertEach = ({ id, messages }: Adding) =>
    withTransaction(Effect.gen(function*() {
      const now = yield* time
      const [row] = yield* sql<Pick<ConversationRow, "last_position">>`UPDATE perennial_conversations
        SET last_position = last_position + ${messages.length}, updated_at = ${now} WHERE id = ${id}
        RETURNING last_position`
      if (row === undefined) return false
      for (const [i, message] of messages.entries()) {
        yield* sql`INSERT INTO perennial_messages (conversation_id, position, id, payload)
          VALUES (${id}, ${row.last_position - messages.length + i + 1}, ${message.id}, ${message.payload})
          ON CONFLICT (conversation_id, id) DO NOTHING`
      }
      return true
    }))
  const insert = shared?.append ?? insertEach

  // Removed messages keep their row, without their text: an append that repeats them finds their id taken. Positions are
  // not given again, so the negative ones are as unique as they were.
  const insertInPlace = (replaces: MessageId) => (adding: Adding) =>
    withTransaction(Effect.gen(function*() {
      const { id } = adding
      // Locks the conversation.
      yield* sql`UPDATE perennial_conversations SET updated_at = ${yield* time} WHERE id = ${id}
        RETURNING ${boundedLock(sql)}`
      yield* sql`UPDATE perennial_messages SET position = -position, payload = '' WHERE conversation_id = ${id}
        AND position >= (SELECT position FROM perennial_messages
          WHERE conversation_id = ${id} AND id = ${replaces} AND position > 0)`
      return yield* insert(adding)
    }))

  const append: Service["append"] = (id, added, options) =>
    persistently(() =>
      Effect.gen(function*() {
        const messages = added.map((message) => ({ id: message.id, payload: encode(message) }))
        const replaces = options?.replaces
        const isThere = yield* (replaces === undefined ? insert : insertInPlace(replaces))({ id, messages })
        if (!isThere) return yield* new ConversationNotFound({ conversationId: id })
      }), failed("append"))

  const setTitle: Service["setTitle"] = (id, title) =>
    persistently(() =>
      Effect.gen(function*() {
        const now = yield* time
        const rows = yield* sql`UPDATE perennial_conversations SET title = ${storable(title)}, updated_at = ${now}
          WHERE id = ${id} RETURNING id`
        if (rows.length === 0) return yield* new ConversationNotFound({ conversationId: id })
      }), failed("setTitle"))

  const remove: Service["delete"] = ({ id, userId }, options) => {
    const onlyEmpty = options?.onlyEmpty === true
    const filter = sql.and([
      sql`id = ${id}`,
      sql`user_id = ${userId}`,
      ...(onlyEmpty ? [sql`last_position = 0`] : [])
    ])
    return persistently((again) =>
      withTransaction(Effect.gen(function*() {
        const rows = yield* sql`DELETE FROM perennial_conversations WHERE ${filter} RETURNING id, ${boundedLock(sql)}`
        if (rows.length === 0 && !again && !onlyEmpty) return yield* new ConversationNotFound({ conversationId: id })
        if (rows.length > 0) yield* sql`DELETE FROM perennial_messages WHERE conversation_id = ${id}`
      })), failed("delete"))
  }

  return {
    create,
    get: (key) => persistently(() => Effect.map(find(key), toConversation), failed("get")),
    list,
    messages,
    append,
    setTitle,
    delete: remove
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ConversationStore, SqlError.SqlError | Migrator.MigrationError, SqlClient.SqlClient> =
  Layer.effect(ConversationStore, make).pipe(Layer.provide(migrations.layer))
