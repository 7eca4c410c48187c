/**
 * Keeps tasks in an SQL database: SQLite or PostgreSQL, through whatever `SqlClient` is provided.
 *
 * The layer brings its tables (`perennial_*`) up to date. On SQLite, whose file belongs to one process, it also ends the
 * leases of all earlier runners: what they left behind is resumed at once after a restart. Several processes on one
 * PostgreSQL use `PgTaskBackend`, which adds hints between them.
 *
 * @since 0.1.0
 */
import type { TaskId } from "@perennial/domain/Ids"
import { isTerminal } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskBackendError, TaskNotFound } from "@perennial/domain/TaskError"
import { Duration, Effect, Layer, Schema, type Scope, Stream } from "effect"
import { type Migrator, SqlClient, type SqlError } from "effect/sql"
import { read } from "./internal/persistence.ts"
import * as PgTasks from "./internal/pgTasks.ts"
import * as SqlLog from "./internal/sqlLog.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import * as SqlOwnership from "./internal/sqlOwnership.ts"
import {
  boundedLock,
  isTask,
  persistence,
  type SqlPersistence,
  storeTime,
  taskColumns
} from "./internal/sqlPersistence.ts"
import * as SqlQueue from "./internal/sqlQueue.ts"
import { type TaskRow, toTask } from "./internal/taskRow.ts"

type Service = TaskBackend["Service"]

const failed = (operation: string) => (cause: unknown) => new TaskBackendError({ operation, cause })

const dayMillis = 86_400_000

const decodeValue = Schema.decodeSync(Schema.fromJsonString(Schema.Json))

const makeLogMethods = (
  sql: SqlClient.SqlClient,
  { persistently }: SqlPersistence,
  log: SqlLog.SqlLog
): Pick<Service, "append" | "events" | "lastSeqs"> => {
  const time = storeTime(sql)
  /** What the try before appended though its reply was lost: the log ends with our last event, under our own token. */
  const applied = (batch: ReadonlyArray<Parameters<Service["append"]>[0][number]>) =>
    Effect.map(
      sql<TaskRow>`SELECT id, token, last_seq, intents FROM perennial_tasks
        WHERE ${sql.in("id", batch.map(({ claim }) => claim.taskId))}`,
      (rows) => {
        const find = SqlLog.byClaim(rows)
        return batch.flatMap(({ claim, events }) => {
          const row = find(claim)
          return row?.last_seq === events[0].seq + events.length - 1 ? [row] : []
        })
      }
    )

  const append: Service["append"] = (batch) =>
    persistently((again) =>
      Effect.gen(function*() {
        const appended = SqlLog.byClaim(yield* log.append(batch, yield* time))
        const lost = again ? batch.filter(({ claim }) => appended(claim) === undefined) : []
        const before = SqlLog.byClaim(lost.length > 0 ? yield* applied(lost) : [])
        return batch.map(({ claim }) => {
          const row = appended(claim) ?? before(claim)
          return { ok: row !== undefined, intents: row?.intents ?? 0 }
        })
      }), failed("append"))
  return {
    append,
    events: (id, options) => persistently(() => log.page(id, options), failed("events")),
    lastSeqs: (ids) =>
      ids.length === 0 ? Effect.succeed([]) : persistently(() =>
        Effect.map(
          sql<TaskRow>`SELECT id, last_seq FROM perennial_tasks WHERE ${sql.in("id", ids)}`,
          (rows) => rows.map((row) => ({ taskId: row.id, lastSeq: row.last_seq }))
        ), failed("lastSeqs"))
  }
}

const makeReads = (
  sql: SqlClient.SqlClient,
  { persistently }: SqlPersistence,
  shared: Pick<PgTasks.PgTasks, "find"> | undefined
): Pick<Service, "get" | "list" | "intents"> => ({
  get: (id, options) =>
    persistently(() =>
      Effect.gen(function*() {
        const userId = options?.userId
        const [row] = shared === undefined
          ? yield* sql<TaskRow>`SELECT ${taskColumns(sql)} FROM perennial_tasks WHERE ${isTask(sql, id, userId)}`
          : [yield* shared.find({ id, userId })]
        return row === undefined ? yield* new TaskNotFound({ taskId: id }) : yield* read(() => toTask(row))
      }), failed("get")),
  list: ({ before, conversationId, limit, status, userId }) => {
    if (status !== undefined && status.length === 0) return Effect.succeed([])
    const filter = sql.and([
      sql`user_id = ${userId}`,
      ...(conversationId === undefined ? [] : [sql`conversation_id = ${conversationId}`]),
      ...(status === undefined ? [] : [sql.in("status", status)]),
      // Says the same again, where an index holds active tasks alone.
      ...(status === undefined || status.some(isTerminal) ? [] : [sql`finished_at IS NULL`]),
      ...(before === undefined ? [] : [sql`id < ${before}`])
    ])
    return persistently(() =>
      Effect.gen(function*() {
        const rows = yield* sql<TaskRow>`SELECT ${taskColumns(sql)} FROM perennial_tasks
          WHERE ${filter} ORDER BY id DESC LIMIT ${limit}`
        return yield* read(() => rows.map(toTask))
      }), failed("list"))
  },
  intents: (id) =>
    persistently(() =>
      Effect.gen(function*() {
        const rows = yield* sql<{ readonly key: string; readonly value: string }>`
          SELECT key, value FROM perennial_task_intents WHERE task_id = ${id} ORDER BY ordinal`
        return yield* read(() => rows.map(({ key, value }) => ({ key, value: decodeValue(value) })))
      }), failed("intents"))
})

const makePrune = (
  sql: SqlClient.SqlClient,
  { persistently, withTransaction }: SqlPersistence
): Service["prune"] =>
({ finishedBefore, limit }) =>
  persistently(() =>
    withTransaction(Effect.gen(function*() {
      yield* sql`SELECT ${boundedLock(sql)}`
      // With the log goes the body of the message, which is in the conversation, too; the rest only an owner needed.
      const rows = yield* sql<{ readonly id: TaskId }>`UPDATE perennial_tasks
        SET pruned = 1, user_metadata = NULL, log_context = NULL
        WHERE pruned = 0 AND id IN (SELECT id FROM perennial_tasks
          WHERE finished_at < ${finishedBefore} AND pruned = 0 ORDER BY finished_at, id LIMIT ${limit})
        RETURNING id`
      if (rows.length === 0) return 0
      const ids = rows.map((row) => row.id)
      yield* sql`DELETE FROM perennial_task_events WHERE ${sql.in("task_id", ids)}`
      yield* sql`DELETE FROM perennial_task_intents WHERE ${sql.in("task_id", ids)}`
      return rows.length
    })), failed("prune"))

/** Where a process starts, those go that have died: all of them, or on a shared database those of long ago. */
const forgetRunners = Effect.fnUntraced(function*(sql: SqlClient.SqlClient, isShared: boolean) {
  const now = yield* storeTime(sql)
  // A runner without a row is dead, too.
  yield* isShared
    ? sql`DELETE FROM perennial_runners WHERE expires_at < ${now} - ${dayMillis}`
    : sql`DELETE FROM perennial_runners`
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service, SqlError.SqlError, SqlClient.SqlClient | Scope.Scope> = Effect.gen(
  function*() {
    const sql = (yield* SqlClient.SqlClient).withoutTransforms()
    const isShared = sql.onDialectOrElse({ pg: () => true, orElse: () => false })
    yield* forgetRunners(sql, isShared)
    const shared = isShared ? yield* PgTasks.make(sql) : undefined
    const log = SqlLog.make(sql, shared)
    const persisting = persistence(sql)
    return {
      // PostgreSQL shares the cost of concurrent commits; SQLite blocks the process for each.
      commitWindow: isShared ? Duration.zero : Duration.millis(5),
      ...SqlQueue.make(sql, log, shared),
      ...SqlOwnership.make(sql, shared),
      ...makeLogMethods(sql, persisting, log),
      ...makeReads(sql, persisting, shared),
      prune: makePrune(sql, persisting),
      wakes: Stream.never
    }
  }
)

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<TaskBackend, SqlError.SqlError | Migrator.MigrationError, SqlClient.SqlClient> = Layer
  .effect(TaskBackend, make).pipe(Layer.provide(migrations.layer))
