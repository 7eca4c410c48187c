import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import * as PgRateLimiterStore from "@perennial/backends/PgRateLimiterStore"
import { Array, Context, Duration, Effect, Layer } from "effect"
import { RateLimiter } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { type Config, makeSchema, withPostgres } from "./support/postgres.ts"

/** A process: a limiter with its own connections. */
const start = (config: Config) =>
  Effect.map(
    Layer.build(
      Layer.fresh(RateLimiter.layer.pipe(
        Layer.provideMerge(PgRateLimiterStore.layer),
        Layer.provideMerge(PgClient.layer(config))
      ))
    ),
    (context) => ({
      limiter: Context.get(context, RateLimiter.RateLimiter),
      sql: Context.get(context, SqlClient.SqlClient),
      store: Context.get(context, RateLimiter.RateLimiterStore)
    })
  )

const memory = Effect.map(Layer.build(RateLimiter.layerStoreMemory), Context.get(RateLimiter.RateLimiterStore))

const bucket = { key: "k", tokens: 1, limit: 5, refillRate: Duration.hours(1), allowOverflow: false }

withPostgres("PgRateLimiterStore", (url) => {
  it.live("takes tokens as effect's store in memory does", () =>
    Effect.gen(function*() {
      const { store } = yield* start(yield* makeSchema(url))
      const expected = yield* memory
      const calls = [2, 2, 2, 1, 1, 0, 6].flatMap((tokens) => [
        { ...bucket, tokens },
        { ...bucket, tokens, key: "other", allowOverflow: true },
        { ...bucket, tokens, key: "fraction", limit: 2.5 }
      ])
      for (const call of calls) {
        assert.strictEqual((yield* store.tokenBucket(call))[0], (yield* expected.tokenBucket(call))[0])
      }
      for (const tokens of [2, 2, 2, 1, 0, 1]) {
        for (const limit of [5, undefined]) {
          const call = { key: `w${limit}`, tokens, limit, refillRate: Duration.hours(1) }
          const [count, ttl] = yield* store.fixedWindow(call)
          const [expectedCount, expectedTtl] = yield* expected.fixedWindow(call)
          assert.strictEqual(count, expectedCount)
          assert.approximately(ttl, expectedTtl, 60_000)
        }
      }
    }).pipe(Effect.scoped))

  it.live("gives tokens back in whole steps, by the clock of the database", () =>
    Effect.gen(function*() {
      const { sql, store } = yield* start(yield* makeSchema(url))
      const pass = (hours: number) =>
        sql`UPDATE perennial_rate_limits SET refilled_at = refilled_at - ${hours * 3_600_000},
          expires_at = expires_at - ${hours * 3_600_000}`
      const take = (tokens: number) => store.tokenBucket({ ...bucket, tokens })
      assert.strictEqual((yield* take(5))[0], 0)
      yield* pass(1.5)
      const [left, elapsed] = yield* take(1)
      assert.strictEqual(left, 0)
      assert.approximately(elapsed, 1_800_000, 60_000)
      yield* pass(0.25)
      assert.strictEqual((yield* take(1))[0], -1)
      yield* pass(100)
      assert.strictEqual((yield* take(1))[0], 4)
      yield* store.fixedWindow({ key: "w", tokens: 3, limit: 3, refillRate: Duration.hours(1) })
      yield* pass(3.5)
      assert.strictEqual(
        (yield* store.fixedWindow({ key: "w", tokens: 1, limit: 3, refillRate: Duration.hours(1) }))[0],
        1
      )
    }).pipe(Effect.scoped))

  it.live("of many concurrent calls in two processes as many are accepted as the limit says", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const [one, other] = yield* Effect.all([start(config), start(config)], { concurrency: 2 })
      for (const algorithm of ["token-bucket", "fixed-window"] as const) {
        const consume = (key: string) => ({ algorithm, key, limit: 30, window: "1 hour" }) as const
        const results = yield* Effect.forEach(
          Array.range(1, 200),
          (i) => Effect.result((i % 2 === 0 ? one : other).limiter.consume(consume(i % 4 < 2 ? "a" : "b"))),
          { concurrency: "unbounded" }
        )
        const accepted = results.flatMap((result) => result._tag === "Success" ? [result.success.remaining] : [])
        // Each number of remaining tokens is there once for each of the two keys.
        assert.deepStrictEqual(
          accepted.toSorted((a, b) => a - b),
          Array.range(0, 29).flatMap((remaining) => [remaining, remaining])
        )
        for (const result of results) {
          if (result._tag === "Failure") assert.strictEqual(result.failure.reason._tag, "RateLimitExceeded")
        }
      }
    }).pipe(Effect.scoped))

  it.live("P11: a process that starts removes counts without an effect; their table has no log", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const { sql, store } = yield* start(config)
      for (const key of ["old", "new"]) yield* store.tokenBucket({ ...bucket, key })
      yield* sql`UPDATE perennial_rate_limits SET expires_at = 1 WHERE key = 'bucket:old'`
      yield* start(config)
      assert.deepStrictEqual(yield* sql`SELECT key FROM perennial_rate_limits`, [{ key: "bucket:new" }])
      assert.deepStrictEqual(
        yield* sql`SELECT relpersistence::text AS kind FROM pg_class WHERE oid = 'perennial_rate_limits'::regclass`,
        [{ kind: "u" }]
      )
    }).pipe(Effect.scoped))

  it.live("a database that does not count is a RateLimitStoreError", () =>
    Effect.gen(function*() {
      const { sql, store } = yield* start(yield* makeSchema(url))
      yield* sql`DROP TABLE perennial_rate_limits`
      const failures = yield* Effect.all([
        Effect.flip(store.tokenBucket(bucket)),
        Effect.flip(store.fixedWindow({ key: "w", tokens: 1, limit: 1, refillRate: Duration.hours(1) }))
      ])
      for (const { reason } of failures) assert.strictEqual(reason._tag, "RateLimitStoreError")
    }).pipe(Effect.scoped))
})
