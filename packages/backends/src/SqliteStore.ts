/**
 * Keeps tasks, conversations and webhooks in one SQLite file: all ports in one layer, for one server and nothing to operate.
 *
 * Every commit survives power loss. The file belongs to one process at a time, and a second process is refused: see
 * `SqliteClient`.
 *
 * @since 0.1.0
 */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { WebhookStore } from "@perennial/domain/WebhookStore"
import { Layer } from "effect"
import type { Migrator, SqlClient, SqlError } from "effect/sql"
import { layerRunnerName } from "./internal/nodeRunnerName.ts"
import * as SqlConversationStore from "./SqlConversationStore.ts"
import * as SqliteClient from "./SqliteClient.ts"
import * as SqlTaskBackend from "./SqlTaskBackend.ts"
import * as SqlWebhookStore from "./SqlWebhookStore.ts"
import type { UnusableStore } from "./UnusableStore.ts"

/**
 * Uses a client of the application, which must be an SQLite client.
 *
 * **When to use**
 *
 * The application has tables of its own in the same file, or wants `start` to join its transactions.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoClient: Layer.Layer<
  TaskBackend | ConversationStore | WebhookStore,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore,
  SqlClient.SqlClient
> = Layer.mergeAll(layerRunnerName, SqlTaskBackend.layer, SqlConversationStore.layer, SqlWebhookStore.layer)

/**
 * Opens the file and brings its tables up to date.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: SqliteClient.Options
): Layer.Layer<
  TaskBackend | ConversationStore | WebhookStore,
  SqliteClient.SqliteFileInUse | SqlError.SqlError | Migrator.MigrationError | UnusableStore
> => Layer.provide(layerNoClient, SqliteClient.layer(options))
