/**
 * A PostgreSQL or Redis of the harness's own, and what can happen to it.
 */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { Clock, Console, Effect, Redacted, Semaphore } from "effect"
import { Redis } from "effect/persistence"
import * as Postgres from "../../packages/backends/test/support/postgresServer.ts"
import * as RedisServer from "../../packages/backends/test/support/redisServer.ts"
import * as Pace from "./pace.ts"
import * as SmallDisk from "./smallDisk.ts"

export const names = ["postgres", "redis"] as const
export type Name = typeof names[number]

/** When a store did not answer, in milliseconds since 1970. */
export interface Outage {
  readonly from: number
  readonly to: number
}

/** Refuses writes until the given effect has ended. */
export type Refuse = (meanwhile: Effect.Effect<void>) => Effect.Effect<void>

export interface Store {
  readonly name: Name
  readonly url: string
  /** Stops it, `fast` in an orderly way where it knows one, `immediate` as a crash would, and starts it again. */
  readonly restart: (how: "fast" | "immediate") => Effect.Effect<void>
  /** Ends every connection to it. */
  readonly disconnectAll: Effect.Effect<void>
  /** The ways in which it can refuse writes for a while. It answers reads meanwhile. */
  readonly refuse: Readonly<Record<string, Refuse>>
  readonly outages: ReadonlyArray<Outage>
  /** When it refused writes. */
  readonly refusals: ReadonlyArray<Outage>
  /** When all connections to it were ended. */
  readonly cuts: ReadonlyArray<number>
  /** When it, or the machine, was slow. */
  readonly slow: ReadonlyArray<Outage>
}

/**
 * What happens to a store, one thing after the other, written down. A restart is not left half done, whatever becomes of who
 * asked for it.
 */
const makeHistory = () => {
  const turn = Semaphore.makeUnsafe(1)
  const outages: Array<Outage> = []
  const refusals: Array<Outage> = []
  const cuts: Array<number> = []
  return {
    outages,
    refusals,
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
      }).pipe(turn.withPermit),
    refusal: <E>(begin: Effect.Effect<unknown, E>, end: Effect.Effect<unknown, E>): Refuse => (meanwhile) =>
      Effect.acquireUseRelease(
        Effect.tap(Clock.currentTimeMillis, Effect.orDie(begin)),
        () => meanwhile,
        (from) =>
          Effect.andThen(
            Effect.orDie(end),
            Effect.map(Clock.currentTimeMillis, (to) => void refusals.push({ from, to }))
          )
      ).pipe(turn.withPermit)
  }
}

const postgres = Effect.gen(function*() {
  const disk = yield* SmallDisk.make("postgres")
  if (disk === undefined) yield* Console.log("Skipped: a full disk. Only root can mount one, on Linux.")
  const server = yield* Postgres.ownServer
  const { cut, cuts, outage, outages, refusal, refusals } = makeHistory()
  const admin = PgClient.layer({ url: server.url, maxConnections: 1 })
  const execute = (...statements: ReadonlyArray<string>) =>
    Effect.flatMap(PgClient.PgClient, (sql) => Effect.forEach(statements, (statement) => sql.unsafe(statement))).pipe(
      Effect.provide(admin)
    )
  const reload = "SELECT pg_reload_conf()"
  const terminate = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'client backend'
    AND pid <> pg_backend_pid()`
  yield* Effect.orDie(
    disk === undefined
      ? execute("CREATE DATABASE perennial")
      : execute(
        `CREATE TABLESPACE small LOCATION '${disk.directory}'`,
        "CREATE DATABASE perennial TABLESPACE small"
      )
  )
  yield* Effect.orDie(execute("CREATE TABLE pace (writes bigint)", "INSERT INTO pace VALUES (0)"))
  const slow = yield* Pace.watch(execute("UPDATE pace SET writes = writes + 1"))
  const url = new URL(Redacted.value(server.url))
  url.pathname = "/perennial"
  const store: Store = {
    name: "postgres",
    url: url.href,
    restart: (how) => outage(Effect.andThen(server.stop(how), server.start)),
    disconnectAll: cut(execute(terminate)),
    refuse: {
      "is read-only": refusal(
        execute("ALTER SYSTEM SET default_transaction_read_only = on", reload),
        execute("ALTER SYSTEM RESET default_transaction_read_only", reload)
      ),
      // Connections that were made meanwhile stay read-only for as long as they live. New ones are not.
      "fails over": refusal(
        execute("ALTER DATABASE perennial SET default_transaction_read_only = on", terminate),
        execute("ALTER DATABASE perennial RESET default_transaction_read_only")
      ),
      ...disk === undefined ? {} : { "has a full disk": refusal(disk.fill, disk.enlarge) }
    },
    outages,
    refusals,
    cuts,
    slow
  }
  return store
})

const redis = Effect.gen(function*() {
  const server = yield* RedisServer.ownServer
  const { cut, cuts, outage, outages, refusal, refusals } = makeHistory()
  const execute = (...command: readonly [string, ...ReadonlyArray<string>]) =>
    Effect.flatMap(Redis.Redis, (redis) => redis.send(...command)).pipe(
      Effect.provide(NodeRedis.layer({ url: server.url }))
    )
  const slow = yield* Pace.watch(execute("INCR", "pace"))
  const set = (setting: string, value: string) => execute("CONFIG", "SET", setting, value)
  const store: Store = {
    name: "redis",
    url: server.url,
    // Redis knows one way only that tests anything: it comes back with what it had answered for.
    restart: () => outage(Effect.andThen(server.kill, server.start)),
    disconnectAll: cut(execute("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")),
    refuse: {
      "is out of memory": refusal(set("maxmemory", "1"), set("maxmemory", "0")),
      // Nobody listens on port 1: it keeps what it has.
      "is a replica": refusal(execute("REPLICAOF", "127.0.0.1", "1"), execute("REPLICAOF", "NO", "ONE")),
      "has too few replicas": refusal(set("min-replicas-to-write", "1"), set("min-replicas-to-write", "0"))
    },
    outages,
    refusals,
    cuts,
    slow
  }
  return store
})

const stores = { postgres, redis }

export const isInstalled = (name: Name): boolean => name === "postgres" ? Postgres.isInstalled : RedisServer.isInstalled

export const make = (name: Name) => stores[name]
