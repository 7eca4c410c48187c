/**
 * Keeps conversations in an SQL database: SQLite or PostgreSQL, through whatever `SqlClient` is provided.
 *
 * The layer brings its tables (`perennial_*`) up to date.
 *
 * @since 0.1.0
 */
import { type Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { type ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import type { ConversationId, MessageId } from "@perennial/domain/Ids"
import { ConversationNotFound, ConversationStoreError } from "@perennial/domain/TaskError"
import { DateTime, Effect, Layer, Schema } from "effect"
import { type Migrator, SqlClient, type SqlError, type Statement } from "effect/sql"
import { read } from "./internal/persistence.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import { boundedLock, persistence, storable, storeTime } from "./internal/sqlPersistence.ts"

type Service = ConversationStore["Service"]

interface Row {
  readonly id: ConversationId
  readonly user_id: string
  readonly title: string | null
  readonly last_position: number
  readonly created_at: number | bigint
  readonly updated_at: number | bigint
}

const failed = (operation: string) => (cause: unknown) => new ConversationStoreError({ operation, cause })

const toConversation = (row: Row): Conversation => ({
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
export const make: Effect.Effect<Service, never, SqlClient.SqlClient> = Effect.gen(function*() {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const time = storeTime(sql)
  const { persistently, withTransaction } = persistence(sql)

  const find = Effect.fnUntraced(function*({ id, userId }: ConversationKey) {
    const [row] = yield* sql<Row>`SELECT * FROM perennial_conversations WHERE id = ${id} AND user_id = ${userId}`
    return row ?? (yield* new ConversationNotFound({ conversationId: id }))
  })

  const insertNew = (key: ConversationKey, now: Statement.Fragment) =>
    sql<Row>`INSERT INTO perennial_conversations (id, user_id, created_at, updated_at)
      VALUES (${key.id}, ${key.userId}, ${now}, ${now}) ON CONFLICT (id) DO NOTHING RETURNING *`
  // Most are there already, which PostgreSQL finds in the same round trip.
  const createOrFind = sql.onDialectOrElse({
    pg: () => (key: ConversationKey, now: Statement.Fragment) =>
      sql<Row>`WITH created AS (${insertNew(key, now)}) SELECT * FROM created
        UNION ALL SELECT * FROM perennial_conversations WHERE id = ${key.id} AND user_id = ${key.userId}`,
    orElse: () => insertNew
  })

  const create: Service["create"] = (key) =>
    persistently(() =>
      Effect.gen(function*() {
        const [conversation] = yield* createOrFind(key, yield* time)
        return toConversation(conversation ?? (yield* find(key)))
      }), failed("create"))

  const list: Service["list"] = ({ before, limit, userId }) => {
    // An unknown `before` was created at no time, and nothing is before that.
    const filter = before === undefined ? sql`user_id = ${userId}` : sql`user_id = ${userId} AND (created_at, id) <
      ((SELECT created_at FROM perennial_conversations WHERE id = ${before} AND user_id = ${userId}), ${before})`
    return persistently(() =>
      Effect.map(
        sql<Row>`SELECT * FROM perennial_conversations WHERE ${filter}
          ORDER BY created_at DESC, id DESC LIMIT ${limit}`,
        (rows) => rows.map(toConversation)
      ), failed("list"))
  }

  const messages: Service["messages"] = (key, { after, limit }) =>
    persistently(() =>
      Effect.gen(function*() {
        // An unknown or removed `after` has no position, and nothing is greater than that.
        const from = after === undefined
          ? sql`0`
          : sql`(SELECT position FROM perennial_messages
            WHERE conversation_id = ${key.id} AND id = ${after} AND position > 0)`
        const rows = yield* sql<{ readonly payload: string | null }>`SELECT m.payload FROM perennial_conversations c
          LEFT JOIN perennial_messages m ON m.conversation_id = c.id AND m.position > ${from}
          WHERE c.id = ${key.id} AND c.user_id = ${key.userId} ORDER BY m.position LIMIT ${limit}`
        // A conversation without messages is one row without a message.
        if (rows.length === 0) return yield* new ConversationNotFound({ conversationId: key.id })
        return yield* read(() => rows.flatMap(({ payload }) => payload === null ? [] : [decode(payload)]))
      }), failed("messages"))

  /** Returns the conversation, if there is one. A message that is there already leaves a gap between positions. */
  type Append = (
    id: ConversationId,
    added: ReadonlyArray<{ readonly id: MessageId; readonly payload: string }>,
    now: Statement.Fragment
  ) => Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>

  // One round trip; the update locks the conversation.
  const insertPg: Append = (id, added, now) =>
    sql`WITH conversation AS (
        UPDATE perennial_conversations SET last_position = last_position + ${added.length}, updated_at = ${now}
        WHERE id = ${id} RETURNING id, last_position - ${added.length} AS position
      ), added AS (
        INSERT INTO perennial_messages (conversation_id, position, id, payload)
        SELECT c.id, c.position + m.ordinal, m.id, m.payload FROM conversation c,
          unnest(${added.map((message) => message.id)}::text[], ${added.map((message) => message.payload)}::text[])
          WITH ORDINALITY AS m(id, payload, ordinal)
        ON CONFLICT (conversation_id, id) DO NOTHING
      ) SELECT id FROM conversation`

  const insertSqlite: Append = (id, added, now) =>
    withTransaction(Effect.gen(function*() {
      const rows = yield* sql<Pick<Row, "last_position">>`UPDATE perennial_conversations
        SET last_position = last_position + ${added.length}, updated_at = ${now} WHERE id = ${id}
        RETURNING last_position`
      for (const row of rows) {
        for (const [i, message] of added.entries()) {
          yield* sql`INSERT INTO perennial_messages (conversation_id, position, id, payload)
            VALUES (${id}, ${row.last_position - added.length + i + 1}, ${message.id}, ${message.payload})
            ON CONFLICT (conversation_id, id) DO NOTHING`
        }
      }
      return rows
    }))

  const insert = sql.onDialectOrElse({ pg: () => insertPg, orElse: () => insertSqlite })

  // Removed messages keep their row, without their text: an append that repeats them finds their id taken. Positions are
  // not given again, so the negative ones are as unique as they were.
  const insertInPlace = (replaces: MessageId): Append => (id, added, now) =>
    withTransaction(Effect.gen(function*() {
      // Locks the conversation.
      yield* sql`UPDATE perennial_conversations SET updated_at = ${now} WHERE id = ${id} RETURNING ${boundedLock(sql)}`
      yield* sql`UPDATE perennial_messages SET position = -position, payload = '' WHERE conversation_id = ${id}
        AND position >= (SELECT position FROM perennial_messages
          WHERE conversation_id = ${id} AND id = ${replaces} AND position > 0)`
      return yield* insert(id, added, now)
    }))

  const append: Service["append"] = (id, added, options) =>
    persistently(() =>
      Effect.gen(function*() {
        const now = yield* time
        const messages = added.map((message) => ({ id: message.id, payload: encode(message) }))
        const replaces = options?.replaces
        const rows = yield* (replaces === undefined ? insert : insertInPlace(replaces))(id, messages, now)
        if (rows.length === 0) return yield* new ConversationNotFound({ conversationId: id })
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
