/**
 * Keeps tasks and conversations in PostgreSQL, for any number of processes: both ports in one layer.
 *
 * Needs the package `@effect/sql-pg`.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { Layer, Redacted } from "effect"
import { type Migrator, SqlClient, type SqlError } from "effect/sql"
import * as PgTaskBackend from "./PgTaskBackend.ts"
import * as SqlConversationStore from "./SqlConversationStore.ts"
import type { UnusableStore } from "./UnusableStore.ts"

/**
 * The settings of `PgClient`. `url` may be a plain string.
 *
 * **Details**
 *
 * Unless the settings say otherwise, `keepAlive` is 10 seconds, and the database sees the processes as `perennial`.
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
  TaskBackend | ConversationStore,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore,
  PgClient.PgClient
> = Layer.merge(
  PgTaskBackend.layer,
  Layer.provide(SqlConversationStore.layer, Layer.effect(SqlClient.SqlClient, PgClient.PgClient))
)

/**
 * Connects to the database and brings its tables up to date.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  { url, ...options }: Options
): Layer.Layer<TaskBackend | ConversationStore, SqlError.SqlError | Migrator.MigrationError | UnusableStore> =>
  Layer.provide(
    layerNoClient,
    PgClient.layer({
      keepAlive: "10 seconds",
      applicationName: "perennial",
      ...options,
      url: typeof url === "string" ? Redacted.make(url) : url
    })
  )
