/**
 * Transactions on PostgreSQL that end, whatever happens to the process or to the connection.
 */
import { Effect, Option, Predicate } from "effect"
import { SqlClient, type SqlConnection, type Statement } from "effect/sql"
import { answered } from "./sqlRetry.ts"

/** How long nothing may happen in a transaction, in milliseconds. */
const idleMillis = 2_000

/**
 * A column for the statement that takes the first lock of a transaction. A process that freezes in the middle of a
 * transaction, or disappears, must not keep its locks: PostgreSQL ends the transaction (P8).
 */
export const boundTransaction = (sql: SqlClient.SqlClient): Statement.Fragment =>
  sql.literal(`set_config('idle_in_transaction_session_timeout', '${idleMillis}', true)`)

/** Whether PostgreSQL answered a commit with a rollback, because an earlier statement had failed. */
const wasRolledBack = (result: unknown) => Predicate.hasProperty(result, "command") && result.command === "ROLLBACK"

/** An interruption does not reach the statements that begin and end a transaction: each of them has its own time limit. */
export const makeWithTransaction = (sql: SqlClient.SqlClient): SqlClient.SqlClient["withTransaction"] => {
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
  // A transaction of the application is joined: the application ends it.
  return (effect) =>
    Effect.flatMap(
      Effect.serviceOption(sql.transactionService),
      (outer) => Option.isSome(outer) ? sql.withTransaction(effect) : withTransaction(effect)
    )
}
