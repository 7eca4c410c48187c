/**
 * How an operation on an SQL database is retried, and how long it may wait for an answer.
 */
import { Cause, Effect, Option, Predicate } from "effect"
import { type SqlClient, SqlError } from "effect/sql"
import { answerMillis, make, type WithRetriesOf } from "./storeRetry.ts"

/** The code of PostgreSQL or Node.js, or the empty text. */
const codeOf = ({ reason: { cause } }: SqlError.SqlError): string =>
  Predicate.hasProperty(cause, "code") ? String(cause.code) : ""

/** Whether the connection may only read: its server is a replica, or was the primary until a fail-over. */
export const isReadOnly = (error: SqlError.SqlError): boolean => codeOf(error) === "25006"

/** Whether the server takes no statements yet, or no more: it starts, recovers or shuts down. */
export const isStarting = (error: SqlError.SqlError): boolean => codeOf(error) === "57P03"

/**
 * Whether the same statement may succeed in a moment. The client does not classify all of these codes of PostgreSQL as
 * retryable: the classes 08 (connection), 53 (resources) and 57P (shutting down, starting up), 25006 (the connection may only
 * read), 25P03 (a transaction was idle too long) and 0A000 (a newer process changed a table that the prepared statement
 * returns).
 */
export const isTransient = (error: SqlError.SqlError): boolean =>
  error.isRetryable || /^(?:08|53|57P|25006|25P03|0A000)/.test(codeOf(error))

/** Whether the database refused a statement: it did not apply the statement, and would refuse it again. */
export const isRefusal = (cause: Cause.Cause<SqlError.SqlError>): boolean =>
  !Cause.hasInterrupts(cause) && !Option.exists(Cause.findErrorOption(cause), isTransient)

const unanswered = new SqlError.SqlError({
  reason: new SqlError.ConnectionError({
    message: "The database did not answer in time",
    cause: new Cause.TimeoutError("The database did not answer in time")
  })
})

/**
 * Fails when a connection does not answer. The client closes such a connection 5 seconds later, unless statements share
 * connections (`multiplex`).
 */
export const answered = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E | SqlError.SqlError, R> =>
  Effect.timeoutOrElse(effect, { duration: answerMillis, orElse: () => Effect.fail(unanswered) })

export type WithRetries = WithRetriesOf<SqlError.SqlError>

/** For a database in this process, which always answers. */
export const withRetries: WithRetries = make({ isFailure: SqlError.isSqlError, isTransient })

/**
 * Closes a connection of the pool if it may only read. A connection keeps what it was at its beginning: after a fail-over,
 * only a new connection reaches the server that writes. The pool lends the connection first that was used last. A connection
 * ends itself, because only the client's pool has it.
 */
export const closeReadOnly = (sql: SqlClient.SqlClient): Effect.Effect<void> =>
  Effect.flatMap(sql.reserve, (connection) =>
    connection.executeUnprepared(
      "SELECT pg_terminate_backend(pg_backend_pid()) WHERE current_setting('transaction_read_only') = 'on'",
      [],
      undefined
    )).pipe(Effect.scoped, answered, Effect.ignore)

/**
 * For a server: no operation takes longer than the budget, also when the server takes a statement and does not answer. Another
 * try after a connection that may only read uses another connection.
 */
export const makeWithRetries = (sql: SqlClient.SqlClient): WithRetries =>
  make({
    isFailure: SqlError.isSqlError,
    isTransient,
    unanswered,
    mend: (error) => isReadOnly(error) ? closeReadOnly(sql) : Effect.void
  })
