/**
 * Keeps the counts of effect's `RateLimiter` in PostgreSQL: all processes on one database count together.
 *
 * The clock of the database decides. A crash of the database server resets the counts: their table is not written to its
 * log (`UNLOGGED`). It has the keys as they are given: `RateLimit` of `@perennial/http` gives digests, and so should every
 * application whose keys have the names of users. Counts that have no effect any more are removed every ten minutes.
 *
 * Needs the package `@effect/sql-pg`.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import { Array as Arr, Context, Duration, Effect, Layer, Schedule, Schema, type Scope } from "effect"
import { RateLimiter } from "effect/persistence"
import { type Migrator, SqlClient, type SqlError } from "effect/sql"
import * as BatchedStatement from "./internal/batchedStatement.ts"
import { byItem, rowsOf } from "./internal/pgInput.ts"
import { postgres } from "./internal/sqlDialect.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import { readRows } from "./internal/sqlRows.ts"
import type { UnusableStore } from "./UnusableStore.ts"

type Service = RateLimiter.RateLimiterStore["Service"]
type Take = Parameters<Service["tokenBucket"]>[0]
type Taken = Effect.Success<ReturnType<Service["tokenBucket"]>>

const readBuckets = readRows(Schema.Struct({ tokens: Schema.Finite, elapsed: Schema.Finite }))
const readWindows = readRows(Schema.Struct({ taken: Schema.Finite, ttl: Schema.Finite }))

const toError = (cause: unknown) =>
  new RateLimiter.RateLimiterError({
    reason: new RateLimiter.RateLimitStoreError({ message: "PostgreSQL could not count.", cause })
  })

const noRow = "the function returned no row"

/** Calls with the same options take tokens of one bucket one after the other. */
const groupOf = ({ allowOverflow, key, limit, refillRate, tokens }: Take): string =>
  JSON.stringify([key, tokens, limit, Duration.toMillis(refillRate), allowOverflow])

/** The answer to one of several calls, of which `before` came first. The bucket had `tokens` before all of them. */
const answerOf = (
  { allowOverflow, tokens: take }: Take,
  { elapsed, tokens }: { readonly tokens: number; readonly elapsed: number },
  before: number
): Taken => {
  const accepted = allowOverflow || take === 0 ? before : Math.min(before, Math.max(0, Math.floor(tokens / take)))
  return [tokens - (accepted + 1) * take, elapsed]
}

/** Buckets are locked in the order of their keys. Calls of one process with the same options lock their bucket once. */
const takeTokens =
  (sql: SqlClient.SqlClient): BatchedStatement.Run<Take, readonly [ReadonlyArray<object>, number]> => (items) => {
    const groups = Object.entries(Arr.groupBy(items, groupOf))
      .map(([id, calls]) => ({ id, call: calls[0], calls: calls.length }))
      .toSorted((a, b) => a.id < b.id ? -1 : 1)
    const given = rowsOf(sql, groups, {
      item: ["int", (_, i) => i],
      id: ["text", ({ call }) => call.key],
      calls: ["int", ({ calls }) => calls],
      take: ["text", ({ call }) => String(call.tokens)],
      most: ["text", ({ call }) => String(call.limit)],
      refill: ["text", ({ call }) => String(Duration.toMillis(call.refillRate))],
      overflow: ["int", ({ call }) => call.allowOverflow ? 1 : 0]
    })
    const taken = sql`SELECT i.item, b.tokens, b.elapsed FROM ${given} CROSS JOIN LATERAL perennial_take_tokens(
    i.id, i.calls, i.take::float8, i.most::float8, i.refill::float8, i.overflow = 1) b`
    return Effect.map(taken, (rows) => {
      const rowsOfGroup = byItem(rows)
      const indexes = new Map(groups.map(({ id }, index) => [id, index]))
      const seen = new Map<string, number>()
      const places = items.map((item) => {
        const id = groupOf(item)
        const before = seen.get(id) ?? 0
        seen.set(id, before + 1)
        return { before, rows: rowsOfGroup(undefined, indexes.get(id) ?? -1) }
      })
      return (_, index) => [places[index]?.rows ?? [], places[index]?.before ?? 0]
    })
  }

/** Removes buckets that are full again and windows that have passed: a missing one means the same. */
const removeExpired = (sql: SqlClient.SqlClient) =>
  Effect.flatMap(postgres(sql).time, (now) => sql`DELETE FROM perennial_rate_limits WHERE expires_at < ${now}`)

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Service, SqlError.SqlError, PgClient.PgClient | Scope.Scope> = Effect.gen(function*() {
  const sql = (yield* PgClient.PgClient).withoutTransforms()
  const take = yield* BatchedStatement.make(sql, { run: takeTokens(sql) })
  // Only feedback of a provider adapts a limit, and each process gets its own feedback.
  const { adaptiveConsume, adaptiveFeedback } = Context.get(
    yield* Layer.build(Layer.fresh(RateLimiter.layerStoreMemory)),
    RateLimiter.RateLimiterStore
  )

  yield* removeExpired(sql)
  yield* removeExpired(sql).pipe(
    Effect.ignore({ log: "Warn", message: "Counts of rate limits could not be removed; it is tried again." }),
    Effect.repeat(Schedule.spaced("10 minutes")),
    Effect.delay("10 minutes"),
    Effect.forkScoped
  )

  return {
    tokenBucket: (options) =>
      take(options).pipe(
        Effect.flatMap(([rows, before]) =>
          Effect.flatMap(readBuckets(Effect.succeed(rows)), ([row]) =>
            row === undefined
              ? Effect.fail(noRow)
              : Effect.succeed(answerOf(options, row, before)))
        ),
        Effect.mapError(toError)
      ),
    fixedWindow: ({ key, limit, refillRate, tokens }) =>
      readWindows(
        sql`SELECT taken, ttl FROM perennial_take_window(${key}::text, ${String(tokens)}::float8,
          ${String(limit ?? 0)}::float8, ${String(Duration.toMillis(refillRate))}::float8)`
      ).pipe(
        Effect.flatMap(([row]) =>
          row === undefined ? Effect.fail(noRow) : Effect.succeed([row.taken, row.ttl] as const)
        ),
        Effect.mapError(toError)
      ),
    adaptiveConsume,
    adaptiveFeedback
  }
})

/**
 * Brings the tables up to date, and keeps the counts in them.
 *
 * **Details** Concurrent calls of a process share a statement. Adaptive limits stay in the process, because the feedback of a
 * provider comes to the process that asked it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  RateLimiter.RateLimiterStore,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore,
  PgClient.PgClient
> = Layer.effect(RateLimiter.RateLimiterStore, make).pipe(
  Layer.provide(migrations.layer),
  Layer.provide(Layer.effect(SqlClient.SqlClient, PgClient.PgClient))
)
