/**
 * Databases that the store on PostgreSQL refuses at its start, and connections that it gives up after a fail-over.
 */
import { assert, describe, it } from "@effect/vitest"
import * as PgStore from "@perennial/backends/PgStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Context, Deferred, Duration, Effect, Fiber, Layer, Logger, Redacted } from "effect"
import { TestClock } from "effect/testing"
import { hurried, noticing } from "./support/hurried.ts"
import { create, ids, next, runnerId } from "./support/oneTask.ts"
import {
  administer,
  endSessions,
  makeDatabase,
  makeSchema,
  readOnly,
  sayIsSkipped,
  withPostgres
} from "./support/postgres.ts"
import { isInstalled, ownReplica, ownServer } from "./support/postgresServer.ts"

/** Waits of a start are logged. */
const silent = Logger.layer([])

const build = (options: PgStore.Options) =>
  Effect.map(
    Layer.build(Layer.fresh(PgStore.layer(options)).pipe(Layer.provide(silent))),
    (services) => Context.get(services, TaskBackend)
  )

/** Why a store does not start. */
const refusal = (options: PgStore.Options) => Effect.map(Effect.flip(Effect.scoped(build(options))), String)

withPostgres("databases that PgStore refuses in one line", (url) => {
  it.live("of another encoding", () =>
    Effect.gen(function*() {
      const database = yield* makeDatabase(url, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
      assert.strictEqual(
        yield* refusal({ url: database.url }),
        "UnusableStore: The encoding of the database is LATIN1, and texts of users need UTF8. "
          + "Create the database with `ENCODING 'UTF8'`."
      )
    }).pipe(Effect.scoped))

  it.live("that accept no writes, after it has waited; one that accepts them meanwhile is used", () =>
    Effect.gen(function*() {
      const { name, url: address } = yield* makeDatabase(url)
      yield* readOnly(url, name, true)
      let pauses = 0
      const count = Effect.sync(() => {
        pauses++
      })
      assert.strictEqual(
        yield* hurried(refusal({ url: address }), count),
        "UnusableStore: The database accepts no writes: `default_transaction_read_only` is on for it, or for its user."
      )
      assert.strictEqual(pauses, 30)
      const allow = Effect.suspend(() => --pauses === 25 ? readOnly(url, name, false) : Effect.void)
      yield* create(yield* hurried(build({ url: address }), allow))
      assert.isAtMost(pauses, 25)
    }).pipe(Effect.scoped))

  it.live("with a pool that may have no connection", () =>
    Effect.gen(function*() {
      assert.strictEqual(
        yield* refusal({ url, maxConnections: 0 }),
        "UnusableStore: maxConnections is 0. It must be 1 or more."
      )
    }))
})

if (!isInstalled) sayIsSkipped("users and replicas of PostgreSQL")
describe.skipIf(!isInstalled)("servers that PgStore refuses in one line", { timeout: 120_000 }, () => {
  it.live("whose user may have fewer connections than a process needs", () =>
    Effect.gen(function*() {
      const { url } = yield* ownServer
      yield* administer(url, (sql) => sql`CREATE ROLE limited LOGIN CONNECTION LIMIT 2`)
      assert.strictEqual(
        yield* refusal({ url: Redacted.value(url).replace("postgres@", "limited@") }),
        "UnusableStore: The user of the database may have 2 connections, and a process needs 3. "
          + "Raise `CONNECTION LIMIT` of the user and of the database."
      )
    }).pipe(Effect.scoped))

  it.live("that are a replica, after it has waited; one that becomes the primary meanwhile is used", () =>
    Effect.gen(function*() {
      const replica = yield* ownReplica
      assert.strictEqual(
        yield* hurried(refusal({ url: replica.url })),
        "UnusableStore: The database is a replica, which accepts no writes. Connect to the primary."
      )
      let pauses = 0
      const promote = Effect.suspend(() => ++pauses === 3 ? replica.promote : Effect.void)
      yield* create(yield* hurried(build({ url: replica.url }), promote))
      assert.isAtLeast(pauses, 3)
    }).pipe(Effect.scoped))
})

withPostgres("PgStore after a fail-over", (url) => {
  it.live("P8: connections that may only read are replaced, of the pool and of the lease", () =>
    Effect.gen(function*() {
      const { name, url: address } = yield* makeDatabase(url)
      const backend = yield* build({ url: address })
      yield* create(backend)
      yield* readOnly(url, name, true)
      yield* endSessions(url, name)
      // These connections may only read, for as long as they live.
      yield* Effect.forEach(Array.range(1, 8), () => backend.get(ids.taskId), { concurrency: "unbounded" })
      const operations = yield* Effect.forEach(
        [Effect.asVoid(create(backend, next)), Effect.asVoid(backend.heartbeat(runnerId, Duration.hours(1)))],
        (operation) =>
          Effect.gen(function*() {
            const failed = yield* Deferred.make<void>()
            const fiber = yield* Effect.forkScoped(noticing(operation, Deferred.succeed(failed, undefined)))
            yield* Effect.raceFirst(Deferred.await(failed), Fiber.join(fiber))
            return fiber
          })
      )
      yield* readOnly(url, name, false)
      yield* Effect.forEach(operations, (fiber) => Fiber.join(fiber))
      assert.strictEqual((yield* backend.get(next)).id, next)
    }).pipe(Effect.scoped))

  it.effect("a connection that is in use all the time is replaced after half an hour", () =>
    Effect.gen(function*() {
      const { applicationName = "", startupParameters } = yield* makeSchema(url)
      const backend = yield* build({ url, applicationName, startupParameters })
      yield* create(backend)
      const connections = administer(url, (sql) =>
        sql`SELECT pid FROM pg_stat_activity WHERE application_name = ${applicationName}`)
      const use = Effect.andThen(TestClock.adjust("30 seconds"), backend.get(ids.taskId))
      yield* Effect.repeat(use, { times: 57 })
      const before = yield* connections
      yield* Effect.repeat(use, { times: 3 })
      assert.lengthOf(before, 1)
      assert.notDeepEqual(yield* connections, before)
    }).pipe(Effect.scoped))
})
