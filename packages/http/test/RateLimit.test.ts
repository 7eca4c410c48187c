/** The bound on the requests of each user. */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import * as PgRateLimiterStore from "@perennial/backends/PgRateLimiterStore"
import { Api } from "@perennial/http/Api"
import { Authorization } from "@perennial/http/Authorization"
import { RequestLimit } from "@perennial/http/Problems"
import * as RateLimit from "@perennial/http/RateLimit"
import { Context, Effect, Layer } from "effect"
import type { HttpApiEndpoint } from "effect/http-api"
import { RateLimiter } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { makeSchema, withPostgres } from "../../backends/test/support/postgres.ts"
import { layerEmpty, withRedis } from "../../backends/test/support/redis.ts"
import { body, json, layerTokens, makeCall, post, problem } from "./support.ts"

const as = (user: string) => ({ headers: { authorization: `Bearer ${user}-secret` } })

const makeLimited = (limit: Layer.Layer<never> = RateLimit.layerMemory({ requests: 3 })) =>
  makeCall({ auth: layerTokens, guards: limit })

const failingStore = RateLimiter.layer.pipe(Layer.provide(Layer.succeed(RateLimiter.RateLimiterStore, {
  fixedWindow: () => Effect.die("not used"),
  tokenBucket: () =>
    Effect.fail(
      new RateLimiter.RateLimiterError({ reason: new RateLimiter.RateLimitStoreError({ message: "no connection" }) })
    ),
  adaptiveConsume: () => Effect.die("not used"),
  adaptiveFeedback: () => Effect.die("not used")
})))

describe("RateLimit", () => {
  it("counts the requests to every endpoint that needs a user", () => {
    for (const group of Object.values(Api.groups)) {
      for (const { method, middlewares, path } of Object.values<HttpApiEndpoint.Top>(group.endpoints)) {
        assert.strictEqual(middlewares.has(RequestLimit), middlewares.has(Authorization), `${method} ${path}`)
      }
    }
  })

  it.effect("answers the request over the limit with 429, `Retry-After` and the policy, and other users as before", () =>
    Effect.gen(function*() {
      const call = yield* makeLimited()
      const statuses = []
      for (let i = 0; i < 3; i++) {
        const response = yield* call("/tasks", as("alice"))
        assert.strictEqual(response.headers.get("ratelimit-policy"), "\"requests\";q=3;w=60")
        assert.match(response.headers.get("ratelimit") ?? "", new RegExp(`^"requests";r=${2 - i};t=\\d+$`))
        statuses.push(response.status)
      }
      assert.deepStrictEqual(statuses, [200, 200, 200])
      const refused = yield* call("/tasks", as("alice"))
      const { detail, ...fields } = yield* problem(refused)
      assert.strictEqual(refused.status, 429)
      assert.deepInclude(fields, { type: "urn:perennial:problem:rate-limited", limit: 3 })
      const seconds = Number(refused.headers.get("retry-after"))
      assert.isTrue(seconds >= 1 && seconds <= 20, `Retry-After: ${seconds}`)
      assert.include(detail, `in ${seconds} seconds`)
      assert.strictEqual(refused.headers.get("ratelimit"), `"requests";r=0;t=${seconds}`)
      assert.strictEqual((yield* call("/tasks", as("bob"))).status, 200)
    }))

  it.effect("counts before the request does anything: nothing is stored", () =>
    Effect.gen(function*() {
      const call = yield* makeLimited(RateLimit.layerMemory({ requests: 2 }))
      yield* call("/nowhere", as("alice"))
      yield* call("/tasks", as("alice"))
      yield* call("/tasks", { ...post({}), headers: { ...as("alice").headers, "content-type": "application/json" } })
      const start = yield* call("/tasks", post({ message: "a" }, as("alice").headers))
      assert.strictEqual(start.status, 429)
      assert.strictEqual((yield* json(yield* call("/tasks", as("bob")))).items.length, 0)
    }))

  it.effect("bounds the requests of an address without a valid token, and does not affect those with one", () =>
    Effect.gen(function*() {
      const call = yield* makeLimited()
      const statuses = []
      for (const token of ["wrong", "none", "wrong", "wrong", "alice"]) {
        const response = yield* call("/tasks", token === "none" ? {} : as(token))
        statuses.push(response.status)
        yield* body(response)
      }
      assert.deepStrictEqual(statuses, [401, 401, 401, 429, 200])
    }))

  it.effect("does not count health checks", () =>
    Effect.gen(function*() {
      const call = yield* makeLimited(RateLimit.layerMemory({ requests: 1 }))
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* call("/ready")).status, 200)
    }))

  it.effect("accepts requests while the store of the limiter fails", () =>
    Effect.gen(function*() {
      const call = yield* makeLimited(RateLimit.layer({ requests: 1 }).pipe(Layer.provide(failingStore)))
      for (let i = 0; i < 3; i++) assert.strictEqual((yield* call("/tasks", as("alice"))).status, 200)
    }))
})

/** The requests of a user to two servers, which have limiters of their own over one store. */
const shared = <E>(store: Layer.Layer<RateLimiter.RateLimiterStore, E>) =>
  it.live("counts the requests of a user to two servers together", () =>
    Effect.gen(function*() {
      const context = yield* Layer.build(store)
      const limit = RateLimit.layer({ requests: 3 }).pipe(
        Layer.provide(RateLimiter.layer),
        Layer.provide(Layer.succeedContext(context))
      )
      const one = yield* makeLimited(Layer.fresh(limit))
      const other = yield* makeLimited(Layer.fresh(limit))
      const statuses = []
      for (const call of [one, other, one, other, one]) statuses.push((yield* call("/tasks", as("alice"))).status)
      assert.deepStrictEqual(statuses, [200, 200, 200, 429, 429])
      assert.strictEqual((yield* other("/tasks", as("bob"))).status, 200)
    }).pipe(Effect.scoped, Effect.orDie))

withRedis("RateLimit with the Redis store", (url) => {
  shared(layerEmpty(url, (prefix) => RateLimiter.layerStoreRedis({ prefix })))
})

withPostgres("RateLimit with the PostgreSQL store", (url) => {
  shared(
    Layer.unwrap(
      Effect.map(makeSchema(url), (config) => Layer.provide(PgRateLimiterStore.layer, PgClient.layer(config)))
    )
  )

  it.live("P12: the table has a digest of each key, which names no user", () =>
    Effect.gen(function*() {
      const client = Layer.fresh(PgClient.layer(yield* makeSchema(url)))
      const context = yield* Layer.build(Layer.provideMerge(PgRateLimiterStore.layer, client))
      const limit = RateLimit.layer({ requests: 3 }).pipe(
        Layer.provide(RateLimiter.layer),
        Layer.provide(Layer.succeedContext(context))
      )
      const call = yield* makeLimited(limit)
      assert.strictEqual((yield* call("/tasks", as("alice"))).status, 200)
      const sql = Context.get(context, SqlClient.SqlClient)
      assert.deepStrictEqual(
        yield* sql`SELECT key = 'bucket:' || encode(sha256('user:alice'), 'hex') AS digest FROM perennial_rate_limits`,
        [{ digest: true }]
      )
    }).pipe(Effect.scoped, Effect.orDie))
})
