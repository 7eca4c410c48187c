/**
 * Keeps conversations in an SQL database: SQLite or PostgreSQL, through whatever `SqlClient` is provided.
 *
 * The layer brings its tables (`perennial_*`) up to date.
 *
 * @since 0.1.0
 */
import { type Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { type ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import type { ConversationId } from "@perennial/domain/Ids"
import { ConversationNotFound, ConversationStoreError } from "@perennial/domain/TaskError"
import { DateTime, Effect, Layer, Schema } from "effect"
import { type Migrator, SqlClient, type SqlError } from "effect/sql"
import { read } from "./internal/persistence.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import { persistently, storeTime } from "./internal/sqlPersistence.ts"

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
  const forUpdate = sql.literal(sql.onDialectOrElse({ pg: () => "FOR UPDATE", orElse: () => "" }))

  const find = Effect.fnUntraced(function*({ id, userId }: ConversationKey) {
    const [row] = yield* sql<Row>`SELECT * FROM perennial_conversations WHERE id = ${id} AND user_id = ${userId}`
    return row ?? (yield* new ConversationNotFound({ conversationId: id }))
  })

  const create: Service["create"] = (key) =>
    persistently(() =>
      Effect.gen(function*() {
        const now = yield* time
        const [created] = yield* sql<Row>`INSERT INTO perennial_conversations (id, user_id, created_at, updated_at)
          VALUES (${key.id}, ${key.userId}, ${now}, ${now}) ON CONFLICT (id) DO NOTHING RETURNING *`
        return toConversation(created ?? (yield* find(key)))
      }), failed("create"))

  const list: Service["list"] = ({ before, limit, userId }) => {
    const filter = sql.and([sql`user_id = ${userId}`, ...(before === undefined ? [] : [sql`id < ${before}`])])
    return persistently(() =>
      Effect.map(
        sql<Row>`SELECT * FROM perennial_conversations WHERE ${filter} ORDER BY id DESC LIMIT ${limit}`,
        (rows) => rows.map(toConversation)
      ), failed("list"))
  }

  const messages: Service["messages"] = (key, { after, limit }) =>
    persistently(() =>
      Effect.gen(function*() {
        yield* find(key)
        // An unknown `after` has no position, and nothing is greater than that.
        const from = after === undefined
          ? sql`0`
          : sql`(SELECT position FROM perennial_messages WHERE conversation_id = ${key.id} AND id = ${after})`
        const rows = yield* sql<{ readonly payload: string }>`SELECT payload FROM perennial_messages
          WHERE conversation_id = ${key.id} AND position > ${from} ORDER BY position LIMIT ${limit}`
        return yield* read(() => rows.map((row) => decode(row.payload)))
      }), failed("messages"))

  const append: Service["append"] = (id, added) =>
    persistently(() =>
      sql.withTransaction(Effect.gen(function*() {
        const now = yield* time
        const [row] = yield* sql<Row>`SELECT * FROM perennial_conversations WHERE id = ${id} ${forUpdate}`
        if (row === undefined) return yield* new ConversationNotFound({ conversationId: id })
        let position = row.last_position
        for (const message of added) {
          const inserted = yield* sql`INSERT INTO perennial_messages (conversation_id, position, id, payload)
            VALUES (${id}, ${position + 1}, ${message.id}, ${encode(message)})
            ON CONFLICT (conversation_id, id) DO NOTHING RETURNING position`
          position += inserted.length
        }
        yield* sql`UPDATE perennial_conversations SET last_position = ${position}, updated_at = ${now} WHERE id = ${id}`
      })), failed("append"))

  const setTitle: Service["setTitle"] = (id, title) =>
    persistently(() =>
      Effect.gen(function*() {
        const now = yield* time
        const rows = yield* sql`UPDATE perennial_conversations SET title = ${title}, updated_at = ${now}
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
      sql.withTransaction(Effect.gen(function*() {
        const rows = yield* sql`DELETE FROM perennial_conversations WHERE ${filter} RETURNING id`
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
