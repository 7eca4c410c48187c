/**
 * Keeps tasks in an SQL database, SQLite or PostgreSQL, through the `SqlClient` that is provided. A client of another
 * database is refused.
 *
 * The layer brings its tables (`perennial_*`) up to date, and refuses tables of a newer version. A SQLite file belongs to
 * one process: the layer ends the leases of all earlier runners, and their tasks are resumed at once after a restart.
 * Several processes on one PostgreSQL use `PgTaskBackend`, which adds hints between them.
 *
 * @since 0.1.0
 */
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, Layer, type Scope, Stream } from "effect"
import type { Migrator, SqlClient, SqlError } from "effect/sql"
import * as SqlAccepting from "./internal/sqlAccepting.ts"
import * as SqlActivity from "./internal/sqlActivity.ts"
import { type Dialect, forStore } from "./internal/sqlDialect.ts"
import * as SqlEnds from "./internal/sqlEnds.ts"
import * as SqlLog from "./internal/sqlLog.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import * as SqlOwnership from "./internal/sqlOwnership.ts"
import * as SqlTaskLists from "./internal/sqlTaskLists.ts"
import * as SqlTaskReads from "./internal/sqlTaskReads.ts"
import * as SqlTaskWrites from "./internal/sqlTaskWrites.ts"
import type { UnusableStore } from "./UnusableStore.ts"

const dayMillis = 86_400_000

/** Forgets runners that died a day ago. On SQLite all earlier runners are dead. */
const forgetRunners = Effect.fnUntraced(function*({ isShared, sql, time }: Dialect) {
  const now = yield* time
  if (!isShared) yield* sql`UPDATE perennial_runners SET expires_at = ${now} WHERE expires_at > ${now}`
  // A runner without a row is dead, too.
  yield* sql`DELETE FROM perennial_runners WHERE expires_at < ${now} - ${dayMillis}`
})

const dialect = forStore("SqlTaskBackend")

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  TaskBackend["Service"],
  SqlError.SqlError | UnusableStore,
  SqlClient.SqlClient | Scope.Scope
> = Effect.gen(function*() {
  const database = yield* dialect
  yield* forgetRunners(database)
  const statements = yield* database.taskStatements
  return {
    commitWindow: database.commitWindow,
    ...SqlAccepting.make(database, statements),
    ...SqlTaskWrites.make(database, statements),
    ...SqlOwnership.make(database, statements),
    ...SqlOwnership.makeLease(database),
    ...SqlLog.make(database, statements),
    ...SqlTaskReads.make(database, statements),
    ...SqlTaskLists.make(database),
    ...SqlActivity.make(database),
    ...SqlEnds.make(database),
    wakes: Stream.never
  }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  TaskBackend,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore,
  SqlClient.SqlClient
> = Layer.unwrap(Effect.as(dialect, Layer.effect(TaskBackend, make).pipe(Layer.provide(migrations.layer))))
