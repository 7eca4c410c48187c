/**
 * What every operation on an SQL store has in common: the store's time, transient failures retried.
 */
import { Cause, Clock, Effect, Predicate } from "effect"
import { type SqlClient, SqlError, type Statement } from "effect/sql"
import { make, type Persistently } from "./persistence.ts"

/**
 * Whether the same statement may succeed in a moment. PostgreSQL's classes 08 (connection), 53 (resources) and 57P
 * (shutting down, starting up) and its code 25P03 (a transaction that was idle too long) are not all classified as
 * retryable.
 */
const isTransient = (error: SqlError.SqlError): boolean => {
  if (error.isRetryable) return true
  const { cause } = error.reason
  return Predicate.hasProperty(cause, "code") && /^(?:08|53|57P|25P03)/.test(String(cause.code))
}

const unanswered = () => {
  const cause = new Cause.TimeoutError("The database did not answer in time")
  return new SqlError.SqlError({ reason: new SqlError.StatementTimeoutError({ cause, message: cause.message }) })
}

const retrying = make({ isFailure: SqlError.isSqlError, isTransient })
const answered = make({ isFailure: SqlError.isSqlError, isTransient, unanswered })

/**
 * How operations on a database run. On PostgreSQL none takes longer than the budget, also when the server takes a
 * statement and does not answer; SQLite is in this process.
 */
export const persistence = (sql: SqlClient.SqlClient): Persistently<SqlError.SqlError> =>
  sql.onDialectOrElse({ pg: () => answered, orElse: () => retrying })

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
