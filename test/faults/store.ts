/**
 * A PostgreSQL or Redis of the harness's own, and what can happen to it.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Clock, Effect, Redacted, Semaphore } from "effect"
import { Redis } from "effect/persistence"
import * as Postgres from "../../packages/backends/test/support/postgresServer.ts"
import * as RedisServer from "../../packages/backends/test/support/redisServer.ts"

export const names = ["postgres", "redis"] as const
export type Name = typeof names[number]

/** When a store did not answer, in milliseconds since 1970. */
export interface Outage {
  readonly from: number
  readonly to: number
}

export interface Store {
  readonly name: Name
  readonly url: string
  /** Stops it, `fast` in an orderly way where it knows one, `immediate` as a crash would, and starts it again. */
  readonly restart: (how: "fast" | "immediate") => Effect.Effect<void>
  /** Ends every connection to it. */
  readonly disconnectAll: Effect.Effect<void>
  readonly outages: ReadonlyArray<Outage>
  /** When all connections to it were ended. */
  readonly cuts: ReadonlyArray<number>
}

/**
 * What happens to a store, one thing after the other, written down. A restart is not left half done, whatever becomes of who
 * asked for it.
 */
const makeHistory = () => {
  const turn = Semaphore.makeUnsafe(1)
  const outages: Array<Outage> = []
  const cuts: Array<number> = []
  return {
    outages,
    cuts,
    outage: (outage: Effect.Effect<unknown>) =>
      Effect.uninterruptible(Effect.gen(function*() {
        const from = yield* Clock.currentTimeMillis
        yield* outage
        outages.push({ from, to: yield* Clock.currentTimeMillis })
      })).pipe(turn.withPermit),
    cut: <E>(cut: Effect.Effect<unknown, E>) =>
      Effect.gen(function*() {
        yield* Effect.orDie(cut)
        cuts.push(yield* Clock.currentTimeMillis)
      }).pipe(turn.withPermit)
  }
}

const postgres = Effect.gen(function*() {
  const server = yield* Postgres.ownServer
  const { cut, cuts, outage, outages } = makeHistory()
  const terminate = Effect.flatMap(
    PgClient.PgClient,
    (sql) =>
      sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'
        AND pid <> pg_backend_pid()`
  )
  const admin = PgClient.layer({ url: server.url, maxConnections: 1 })
  const store: Store = {
    name: "postgres",
    url: Redacted.value(server.url),
    restart: (how) => outage(Effect.andThen(server.stop(how), server.start)),
    disconnectAll: cut(Effect.provide(terminate, admin)),
    outages,
    cuts
  }
  return store
})

const redis = Effect.gen(function*() {
  const server = yield* RedisServer.ownServer
  const { cut, cuts, outage, outages } = makeHistory()
  const kill = Effect.flatMap(Redis.Redis, (redis) => redis.send("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"))
  const store: Store = {
    name: "redis",
    url: server.url,
    // Redis knows one way only that tests anything: it comes back with what it had answered for.
    restart: () => outage(Effect.andThen(server.kill, server.start)),
    disconnectAll: cut(Effect.provide(kill, NodeRedis.layer({ url: server.url }))),
    outages,
    cuts
  }
  return store
})

const stores = { postgres, redis }

export const isInstalled = (name: Name): boolean => name === "postgres" ? Postgres.isInstalled : RedisServer.isInstalled

export const make = (name: Name) => stores[name]
