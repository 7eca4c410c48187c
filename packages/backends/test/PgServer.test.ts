/**
 * Databases that the store on PostgreSQL refuses at its start, and connections that it gives up after a fail-over.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import * as PgStore from "@perennial/backends/PgStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Context, Deferred, Duration, Effect, Fiber, Layer, Logger, Redacted, Stream } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { refuseUnusable } from "../src/internal/pgServer.ts"
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

describe("a server of PostgreSQL that starts", () => {
  it.live("is asked again until it takes statements, and fails the start with its error after 30 tries", () =>
    Effect.gen(function*() {
      const starting = new SqlError.SqlError({
        reason: new SqlError.UnknownError({ cause: { code: "57P03" }, message: "the database system is starting up" })
      })
      let left = 3
      const usable = [{ encoding: "UTF8", recovering: "false", read_only: "off", connections: null }]
      const answer = Effect.suspend(() => left-- > 0 ? Effect.fail(starting) : Effect.succeed(usable))
      const sql = yield* SqlClient.make({
        acquirer: Effect.succeed({
          execute: () => answer,
          executeRaw: () => answer,
          executeStream: () => Stream.empty,
          executeValues: () => Effect.succeed([]),
          executeValuesUnprepared: () => Effect.succeed([]),
          executeUnprepared: () => Effect.succeed([])
        }),
        compiler: PgClient.makeCompiler(),
        driver: "pg",
        spanAttributes: []
      })
      yield* hurried(refuseUnusable(sql))
      assert.strictEqual(left, -1)
      left = 1_000
      assert.strictEqual(yield* Effect.flip(hurried(refuseUnusable(sql))), starting)
      assert.strictEqual(1_000 - left, 32)
    }).pipe(Effect.provide(Layer.merge(silent, Reactivity.layer))))
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
