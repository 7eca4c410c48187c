/**
 * What every operation on an SQL store has in common: the store's time, transient failures retried.
 */
import { Clock, Effect, Predicate } from "effect"
import { type SqlClient, SqlError, type Statement } from "effect/sql"
import { make } from "./persistence.ts"

/**
 * Whether the same statement may succeed in a moment. PostgreSQL's classes 08 (connection), 53 (resources) and 57P
 * (shutting down, starting up) are not all classified as retryable.
 */
const isTransient = (error: SqlError.SqlError): boolean => {
  if (error.isRetryable) return true
  const { cause } = error.reason
  return Predicate.hasProperty(cause, "code") && /^(?:08|53|57P)/.test(String(cause.code))
}

export const persistently = make({ isFailure: SqlError.isSqlError, isTransient })

/** The store's time in milliseconds: the database's clock where several processes share it. */
export const storeTime = (sql: SqlClient.SqlClient): Effect.Effect<Statement.Fragment> =>
  sql.onDialectOrElse({
    pg: () => Effect.succeed(sql.literal("(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint")),
    orElse: () => Effect.map(Clock.currentTimeMillis, (now) => sql`${now}`)
  })
