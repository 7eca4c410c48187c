/**
 * Keeps webhooks in an SQL database, SQLite or PostgreSQL, through the `SqlClient` that is provided. A client of another
 * database is refused.
 *
 * The layer brings its tables (`perennial_*`) up to date, and refuses tables of a newer version.
 *
 * @since 0.1.0
 */
import type { WebhookKey } from "@perennial/domain/Webhook"
import { type NewDelivery, WebhookStore } from "@perennial/domain/WebhookStore"
import { Effect, Layer, Option, Schema } from "effect"
import type { Migrator, SqlClient, SqlError } from "effect/sql"
import { toWebhookStoreError } from "./internal/backendError.ts"
import { forStore } from "./internal/sqlDialect.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import { Millis, readRows, toSqlText } from "./internal/sqlRows.ts"
import { toMillis, tryCodec } from "./internal/storeRetry.ts"
import { encodeSettings, serverUser, toDelivery, toWebhook } from "./internal/webhookRow.ts"
import type { UnusableStore } from "./UnusableStore.ts"

type Service = WebhookStore["Service"]

const WebhookRow = Schema.Struct({
  id: Schema.String,
  user_id: Schema.String,
  settings: Schema.String,
  created_at: Millis,
  disabled_at: Schema.NullOr(Millis),
  disabled_reason: Schema.NullOr(Schema.String)
})
const columns = Object.keys(WebhookRow.fields).join(", ")

const DeliveryRow = Schema.Struct({
  id: Schema.String,
  attempts: Schema.Int,
  last_error: Schema.NullOr(Schema.String),
  created_at: Millis,
  due_at: Schema.NullOr(Millis)
})

const readWebhooks = readRows(WebhookRow)
const readDeliveries = readRows(DeliveryRow)
const readCursors = readRows(Schema.Struct({ cursor_at: Millis }))
const readClaims = readRows(
  Schema.Struct({
    webhook_id: Schema.String,
    id: Schema.String,
    body: Schema.String,
    traceparent: Schema.NullOr(Schema.String),
    attempts: Schema.Int
  })
)

const fromRow = (row: typeof WebhookRow.Type) =>
  toWebhook({
    id: row.id,
    userId: row.user_id,
    settings: row.settings,
    createdAt: Number(row.created_at),
    disabledAt: row.disabled_at === null ? undefined : Number(row.disabled_at),
    disabledReason: row.disabled_reason ?? ""
  })

const userOf = ({ userId }: Pick<WebhookKey, "userId">): string => userId ?? serverUser

const readIds = readRows(Schema.Struct({ id: Schema.String }))

const dialect = forStore("SqlWebhookStore")

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service, UnusableStore, SqlClient.SqlClient> = Effect.gen(function*() {
  const { boundTransaction, isShared, lockRows, noteDeleted, rowsOf, sql, time, withRetries, withTransaction } =
    yield* dialect
  const all = sql.literal(columns)
  // A message that another process claims at this moment is left to it.
  const skipLocked = sql.literal(isShared ? "FOR UPDATE SKIP LOCKED" : "")

  /** One statement, because `advance` keeps other processes from the cursor meanwhile. */
  const insert = (deliveries: ReadonlyArray<NewDelivery>) =>
    Effect.gen(function*() {
      if (deliveries.length === 0) return
      const now = yield* time
      const rows = rowsOf(deliveries, {
        webhook: ["text", ({ webhookId }) => webhookId],
        message: ["text", ({ id }) => id],
        body: ["text", ({ body }) => body],
        person: ["text", ({ userId }) => userId ?? ""],
        trace: ["text", ({ traceparent }) => traceparent ?? ""]
      })
      yield* sql`INSERT INTO perennial_webhook_deliveries (webhook_id, id, body, user_id, traceparent,
          created_at, due_at)
        SELECT w.id, i.message, i.body, NULLIF(i.person, ''), NULLIF(i.trace, ''), ${now}, ${now}
        FROM ${rows}, perennial_webhooks w
        WHERE w.id = i.webhook AND w.disabled_at IS NULL ON CONFLICT (webhook_id, id) DO NOTHING`
    })

  const put: Service["put"] = (key, settings) =>
    withRetries(() =>
      withTransaction(Effect.gen(function*() {
        const now = yield* time
        const text = yield* tryCodec(() => encodeSettings(settings))
        const stored = yield* sql`INSERT INTO perennial_webhooks (id, user_id, settings, created_at)
          VALUES (${key.id}, ${userOf(key)}, ${text}, ${now})
          ON CONFLICT (id) DO UPDATE SET settings = excluded.settings, disabled_at = NULL, disabled_reason = NULL
            WHERE perennial_webhooks.user_id = excluded.user_id
          RETURNING id, ${boundTransaction}`
        if (stored.length === 0) return
        yield* sql`UPDATE perennial_webhook_deliveries SET attempts = 0, due_at = ${now} WHERE webhook_id = ${key.id}`
      })), toWebhookStoreError("put"))

  const list = (operation: string, users: ReadonlyArray<string>, onlyEnabled: boolean) =>
    withRetries(() =>
      Effect.gen(function*() {
        const filter = onlyEnabled ? sql`AND disabled_at IS NULL` : sql.literal("")
        const rows = yield* readWebhooks(sql`SELECT ${all} FROM perennial_webhooks
          WHERE ${sql.in("user_id", users)} ${filter} ORDER BY created_at, id`)
        return yield* tryCodec(() => rows.map(fromRow))
      }), toWebhookStoreError(operation))

  const remove: Service["remove"] = (key) =>
    withRetries((again) =>
      withTransaction(Effect.gen(function*() {
        const removed = yield* sql`DELETE FROM perennial_webhooks WHERE id = ${key.id} AND user_id = ${userOf(key)}
          RETURNING id, ${boundTransaction}`
        if (removed.length > 0) yield* sql`DELETE FROM perennial_webhook_deliveries WHERE webhook_id = ${key.id}`
        return removed.length > 0 || again
      })), toWebhookStoreError("remove"))

  const forgetUser: Service["forgetUser"] = (userId) =>
    withRetries(() =>
      withTransaction(Effect.gen(function*() {
        const removed = yield* sql`DELETE FROM perennial_webhooks WHERE user_id = ${userId}
          RETURNING id, ${boundTransaction}`
        const ids = (yield* readIds(Effect.succeed(removed))).map(({ id }) => id)
        const own = ids.length === 0 ? sql.literal("") : sql`OR ${sql.in("webhook_id", ids)}`
        const deliveries = yield* sql`DELETE FROM perennial_webhook_deliveries WHERE user_id = ${userId} ${own}
          RETURNING id`
        if (ids.length + deliveries.length > 0) yield* noteDeleted
        return { webhooks: ids.length, deliveries: deliveries.length }
      })), toWebhookStoreError("forgetUser"))

  const claim: Service["claim"] = ({ except, lease }) =>
    withRetries(() =>
      Effect.gen(function*() {
        const now = yield* time
        const others = except.length === 0 ? sql.literal("") : sql`AND NOT ${sql.in("webhook_id", except)}`
        const [claimed] = yield* readClaims(sql`UPDATE perennial_webhook_deliveries
          SET attempts = attempts + 1, due_at = ${now} + ${toMillis(lease)}
          WHERE (webhook_id, id) = (SELECT webhook_id, id FROM perennial_webhook_deliveries
            WHERE due_at <= ${now} ${others} ORDER BY due_at, id LIMIT 1 ${skipLocked})
          RETURNING webhook_id, id, body, traceparent, attempts`)
        if (claimed === undefined) return Option.none()
        const [row] = yield* readWebhooks(
          sql`SELECT ${all} FROM perennial_webhooks WHERE id = ${claimed.webhook_id}`
        )
        if (row === undefined) {
          // The webhook was removed while the message was stored.
          yield* sql`DELETE FROM perennial_webhook_deliveries
            WHERE webhook_id = ${claimed.webhook_id} AND id = ${claimed.id}`
          return Option.none()
        }
        const webhook = yield* tryCodec(() => fromRow(row))
        return Option.some({
          webhook,
          webhookId: webhook.id,
          id: claimed.id,
          body: claimed.body,
          traceparent: claimed.traceparent ?? undefined,
          attempt: claimed.attempts
        })
      }), toWebhookStoreError("claim"))

  const settle: Service["settle"] = ({ attempt, id, webhookId }, outcome) => {
    const claimed = sql`webhook_id = ${webhookId} AND id = ${id} AND attempts = ${attempt}`
    if (outcome.type === "delivered") {
      return withRetries(
        () => Effect.asVoid(sql`DELETE FROM perennial_webhook_deliveries WHERE ${claimed}`),
        toWebhookStoreError("settle")
      )
    }
    const { retryAfter } = outcome
    const error = toSqlText(outcome.error)
    return withRetries(() =>
      withTransaction(Effect.gen(function*() {
        const now = yield* time
        const due = retryAfter === undefined ? sql`NULL` : sql`${now} + ${toMillis(retryAfter)}`
        // Locks the webhook first, as `put` and `remove` do.
        yield* sql`SELECT id, ${boundTransaction} FROM perennial_webhooks WHERE id = ${webhookId} ${lockRows}`
        const failed = yield* sql`UPDATE perennial_webhook_deliveries SET last_error = ${error}, due_at = ${due}
          WHERE ${claimed} RETURNING id`
        if (failed.length === 0 || retryAfter !== undefined) return
        yield* sql`UPDATE perennial_webhooks SET disabled_at = ${now}, disabled_reason = ${error}
          WHERE id = ${webhookId}`
        yield* sql`UPDATE perennial_webhook_deliveries SET due_at = NULL WHERE webhook_id = ${webhookId}`
      })), toWebhookStoreError("settle"))
  }

  return {
    put,
    list: (userId) => list("list", [userOf({ userId })], false),
    remove,
    forgetUser,
    enabled: (userIds) => list("enabled", [serverUser, ...userIds], true),
    cursor: withRetries(
      () =>
        Effect.map(readCursors(sql`SELECT cursor_at FROM perennial_webhook_cursor`), ([row]) => Number(row?.cursor_at)),
      toWebhookStoreError("cursor")
    ),
    enqueue: (deliveries) => withRetries(() => insert(deliveries), toWebhookStoreError("enqueue")),
    advance: (deliveries, { from, to }) =>
      withRetries(() =>
        withTransaction(Effect.gen(function*() {
          const moved = yield* sql`UPDATE perennial_webhook_cursor SET cursor_at = ${to} WHERE cursor_at = ${from}
            RETURNING cursor_at, ${boundTransaction}`
          if (moved.length === 0) return false
          yield* insert(deliveries)
          return true
        })), toWebhookStoreError("advance")),
    claim,
    settle,
    deliveries: (key, limit) =>
      withRetries(() =>
        Effect.map(
          readDeliveries(sql`SELECT d.id, d.attempts, d.last_error, d.created_at, d.due_at
            FROM perennial_webhook_deliveries d JOIN perennial_webhooks w ON w.id = d.webhook_id
            WHERE w.id = ${key.id} AND w.user_id = ${userOf(key)} ORDER BY d.created_at, d.id LIMIT ${limit}`),
          (rows) =>
            rows.map((row) =>
              toDelivery({
                id: row.id,
                attempts: row.attempts,
                lastError: row.last_error,
                createdAt: Number(row.created_at),
                dueAt: row.due_at === null ? undefined : Number(row.due_at)
              })
            )
        ), toWebhookStoreError("deliveries"))
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  WebhookStore,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore,
  SqlClient.SqlClient
> = Layer.unwrap(Effect.as(dialect, Layer.effect(WebhookStore, make).pipe(Layer.provide(migrations.layer))))
