/**
 * What every operation on an SQL store has in common: the store's time, transient failures retried, and an end.
 */
import type { TaskId, UserId } from "@perennial/domain/Ids"
import { Cause, Clock, Effect, Option, Predicate } from "effect"
import { SqlClient, type SqlConnection, SqlError, type Statement } from "effect/sql"
import { make, patienceMillis, type Persistently } from "./persistence.ts"

/**
 * Whether the same statement may succeed in a moment. PostgreSQL's classes 08 (connection), 53 (resources) and 57P
 * (shutting down, starting up), its code 25P03 (a transaction that was idle too long) and its code 0A000 (a newer process
 * changed a table that the prepared statement returns) are not all classified as retryable.
 */
const isTransient = (error: SqlError.SqlError): boolean => {
  if (error.isRetryable) return true
  const { cause } = error.reason
  return Predicate.hasProperty(cause, "code") && /^(?:08|53|57P|25P03|0A000)/.test(String(cause.code))
}

/** Whether a statement that ended so was not applied, and would end so again. */
export const isRefusal = (cause: Cause.Cause<SqlError.SqlError>): boolean =>
  !Cause.hasInterrupts(cause) && !Option.exists(Cause.findErrorOption(cause), isTransient)

const unanswered = new SqlError.SqlError({
  reason: new SqlError.ConnectionError({
    message: "The database did not answer in time",
    cause: new Cause.TimeoutError("The database did not answer in time")
  })
})

/** Where a connection does not answer, the client gives it up 5 seconds later, unless statements share it (`multiplex`). */
export const answered = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> =>
  Effect.timeoutOrElse(effect, { duration: patienceMillis, orElse: () => Effect.fail(unanswered) })

const retrying = make({ isFailure: SqlError.isSqlError, isTransient })
const patiently = make({ isFailure: SqlError.isSqlError, isTransient, unanswered })

export interface SqlPersistence {
  readonly persistently: Persistently<SqlError.SqlError>
  readonly withTransaction: SqlClient.SqlClient["withTransaction"]
}

/** Whether a commit was none, since a statement before it had failed. */
const wasRolledBack = (result: unknown) => Predicate.hasProperty(result, "command") && result.command === "ROLLBACK"

/** The statements around a transaction are not interrupted with it: each has an end of its own. */
const makeBoundedTransaction = (sql: SqlClient.SqlClient): SqlClient.SqlClient["withTransaction"] => {
  const run = (connection: SqlConnection.Connection, statement: string) =>
    answered(connection.executeRaw(statement, []))
  const withTransaction = SqlClient.makeWithTransaction({
    transactionService: sql.transactionService,
    spanAttributes: [],
    acquireConnection: (restore) => restore(sql.reserve),
    begin: (connection) => run(connection, "BEGIN"),
    commit: (connection) =>
      Effect.flatMap(
        run(connection, "COMMIT"),
        (result) =>
          wasRolledBack(result)
            ? Effect.die("A statement failed, and its transaction was to be committed")
            : Effect.void
      ),
    rollback: (connection) => run(connection, "ROLLBACK"),
    savepoint: (connection, id) => run(connection, `SAVEPOINT effect_sql_${id}`),
    rollbackSavepoint: (connection, id) => run(connection, `ROLLBACK TO SAVEPOINT effect_sql_${id}`)
  })
  // A transaction of the application's own is joined: its end is the application's.
  return (effect) =>
    Effect.flatMap(
      Effect.serviceOption(sql.transactionService),
      (outer) => Option.isSome(outer) ? sql.withTransaction(effect) : withTransaction(effect)
    )
}

/**
 * How operations on a database run. On PostgreSQL none takes longer than the budget, also when the server takes a
 * statement and does not answer; SQLite is in this process.
 */
export const persistence = (sql: SqlClient.SqlClient): SqlPersistence =>
  sql.onDialectOrElse({
    pg: (): SqlPersistence => ({ persistently: patiently, withTransaction: makeBoundedTransaction(sql) }),
    orElse: (): SqlPersistence => ({ persistently: retrying, withTransaction: sql.withTransaction })
  })

/** How long nothing may happen in a transaction, in milliseconds. */
const idleMillis = 2_000

/**
 * An expression for the statement with which a transaction takes its first lock. A process that freezes in the middle, or is
 * gone without a word, must not keep its locks: PostgreSQL ends its transaction (P8).
 */
export const boundedLock = (sql: SqlClient.SqlClient): Statement.Fragment =>
  sql.literal(sql.onDialectOrElse({
    pg: () => `set_config('idle_in_transaction_session_timeout', '${idleMillis}', true)`,
    orElse: () => "NULL"
  }))

/** The task with an id, of a user if one asks: to anybody else it does not exist (P12). */
export const isTask = (sql: SqlClient.SqlClient, id: TaskId, userId: UserId | undefined): Statement.Fragment =>
  userId === undefined ? sql`id = ${id}` : sql`(id = ${id} AND user_id = ${userId})`

/** The store's time in milliseconds: the database's clock where several processes share it. */
export const storeTime = (sql: SqlClient.SqlClient): Effect.Effect<Statement.Fragment> =>
  sql.onDialectOrElse({
    pg: () => Effect.succeed(sql.literal("(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint")),
    orElse: () => Effect.map(Clock.currentTimeMillis, (now) => sql`${now}`)
  })

/** What a text column holds of any text: PostgreSQL takes no U+0000. JSON escapes it. */
export const storable = (text: string): string => text.replaceAll("\0", "\uFFFD")

/** The columns of a `TaskRow`. Columns of their own names, as long as no other table is joined. */
export const taskColumns = (sql: SqlClient.SqlClient): Statement.Fragment =>
  sql.literal(
    "id, conversation_id, user_id, agent_id, status, error, metadata, replaces, request_hash, token, attempt, last_seq, "
      + "intents, created_at, updated_at"
  )
