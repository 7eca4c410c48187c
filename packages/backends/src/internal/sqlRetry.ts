/**
 * How an operation on an SQL database is retried, and how long it may wait for an answer.
 */
import { Cause, Effect, Option, Predicate } from "effect"
import { SqlError } from "effect/sql"
import { answerMillis, make, type WithRetriesOf } from "./storeRetry.ts"

/**
 * Whether the same statement may succeed in a moment. The client does not classify all of these codes of PostgreSQL as
 * retryable: the classes 08 (connection), 53 (resources) and 57P (shutting down, starting up), 25P03 (a transaction was
 * idle too long) and 0A000 (a newer process changed a table that the prepared statement returns).
 */
const isTransient = (error: SqlError.SqlError): boolean => {
  if (error.isRetryable) return true
  const { cause } = error.reason
  return Predicate.hasProperty(cause, "code") && /^(?:08|53|57P|25P03|0A000)/.test(String(cause.code))
}

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

/** For a server: no operation takes longer than the budget, also when the server takes a statement and does not answer. */
export const withRetriesInTime: WithRetries = make({ isFailure: SqlError.isSqlError, isTransient, unanswered })
