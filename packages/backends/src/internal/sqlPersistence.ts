/**
 * What every operation on an SQL store has in common: the store's time, rows decoded, transient failures retried.
 */
import { Clock, Data, Duration, Effect, Predicate, Schedule } from "effect"
import { type SqlClient, SqlError, type Statement } from "effect/sql"

/** A transient failure is retried this long: longer than a restart of the database takes. */
const budget = Duration.seconds(30)

const schedule = Schedule.min([Schedule.exponential("25 millis"), Schedule.spaced("1 second")]).pipe(
  Schedule.jittered,
  Schedule.upTo({ duration: budget })
)

/** A row holds what no version of this library wrote. */
export class Unreadable extends Data.TaggedError("Unreadable")<{ readonly cause: unknown }> {}

/** Reads rows with a function that throws where they are not what they should be. */
export const read = <A>(body: () => A): Effect.Effect<A, Unreadable> =>
  Effect.try({ try: body, catch: (cause) => new Unreadable({ cause }) })

/**
 * Whether the same statement may succeed in a moment. PostgreSQL's classes 08 (connection), 53 (resources) and 57P
 * (shutting down, starting up) are not all classified as retryable.
 */
const isTransient = (error: SqlError.SqlError): boolean => {
  if (error.isRetryable) return true
  const { cause } = error.reason
  return Predicate.hasProperty(cause, "code") && /^(?:08|53|57P)/.test(String(cause.code))
}

const isStoreFailure = (error: unknown): error is SqlError.SqlError | Unreadable =>
  SqlError.isSqlError(error) || error instanceof Unreadable

/**
 * Runs an operation until it has an answer, within the budget. `again` tells that an earlier try may have been applied
 * although its reply was lost: the operation resolves that by asking the row.
 */
export const persistently = <A, E, E2>(
  operation: (again: boolean) => Effect.Effect<A, E>,
  onFailure: (cause: SqlError.SqlError | Unreadable) => E2
): Effect.Effect<A, Exclude<E, SqlError.SqlError | Unreadable> | E2> =>
  Effect.suspend(() => {
    let tries = 0
    return Effect.suspend(() => operation(tries++ > 0)).pipe(
      // A rollback on a lost connection is a defect: the transaction ended with the connection.
      Effect.catchDefect((defect) => SqlError.isSqlError(defect) ? Effect.fail(defect) : Effect.die(defect)),
      Effect.retry({ while: (error) => SqlError.isSqlError(error) && isTransient(error), schedule }),
      Effect.catch((error): Effect.Effect<never, Exclude<E, SqlError.SqlError | Unreadable> | E2> =>
        isStoreFailure(error)
          ? Effect.fail(onFailure(error))
          // The guard leaves exactly the other errors of the operation.
          : Effect.fail(error as Exclude<E, SqlError.SqlError | Unreadable>)
      )
    )
  })

/** The store's time in milliseconds: the database's clock where several processes share it. */
export const storeTime = (sql: SqlClient.SqlClient): Effect.Effect<Statement.Fragment> =>
  sql.onDialectOrElse({
    pg: () => Effect.succeed(sql.literal("(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint")),
    orElse: () => Effect.map(Clock.currentTimeMillis, (now) => sql`${now}`)
  })
