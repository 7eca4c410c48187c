/**
 * Keeps tasks, conversations and webhooks in PostgreSQL, for any number of processes: all ports in one layer. The process is
 * a runner with the name `<host>-<pid>` (`RunnerName`).
 *
 * Needs the package `@effect/sql-pg`.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { WebhookStore } from "@perennial/domain/WebhookStore"
import { Effect, Layer, Redacted } from "effect"
import { type Migrator, SqlClient, type SqlError } from "effect/sql"
import { layerRunnerName } from "./internal/nodeRunnerName.ts"
import * as PgTaskBackend from "./PgTaskBackend.ts"
import * as SqlConversationStore from "./SqlConversationStore.ts"
import * as SqlWebhookStore from "./SqlWebhookStore.ts"
import { UnusableStore } from "./UnusableStore.ts"

/**
 * The settings of `PgClient`. `url` may be a plain string.
 *
 * **Details**
 *
 * Unless the settings say otherwise, `keepAlive` is 10 seconds, `connectionTTL` 30 minutes, and the database sees the processes
 * as `perennial`. A connection that has lived for its `connectionTTL` is replaced at its next use.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Omit<PgClient.PgPoolConfig, "url"> {
  readonly url?: string | Redacted.Redacted | undefined
}

/**
 * Uses a client of the application.
 *
 * **When to use**
 *
 * The application has tables of its own in the same database, or wants `start` to join its transactions.
 *
 * **Gotchas**
 *
 * The client must not have `multiplex: true`: a connection that does not answer could not be closed.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoClient: Layer.Layer<
  TaskBackend | ConversationStore | WebhookStore,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore,
  PgClient.PgClient
> = Layer.mergeAll(
  layerRunnerName,
  PgTaskBackend.layer,
  Layer.provide(
    Layer.merge(SqlConversationStore.layer, SqlWebhookStore.layer),
    Layer.effect(SqlClient.SqlClient, PgClient.PgClient)
  )
)

const connect = Effect.fnUntraced(function*({ url, ...options }: Options) {
  const { maxConnections = 10 } = options
  // Without a connection every statement would wait for ever.
  if (!(maxConnections >= 1)) {
    return yield* new UnusableStore({ problem: `maxConnections is ${maxConnections}. It must be 1 or more.` })
  }
  return yield* PgClient.make({
    keepAlive: "10 seconds",
    connectionTTL: "30 minutes",
    applicationName: "perennial",
    ...options,
    url: typeof url === "string" ? Redacted.make(url) : url
  })
})

/**
 * A client with these settings: for `layerNoClient`, or for `PgRateLimiterStore`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (
  options: Options
): Layer.Layer<PgClient.PgClient | SqlClient.SqlClient, SqlError.SqlError | UnusableStore> =>
  PgClient.layerFrom(connect(options))

/**
 * Connects to the database and brings its tables up to date.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<
  TaskBackend | ConversationStore | WebhookStore,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore
> => Layer.provide(layerNoClient, layerClient(options))
