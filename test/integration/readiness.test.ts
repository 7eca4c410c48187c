/**
 * `GET /ready` follows the ability of each store to write, also while it can still be read.
 */
import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as MemoryStore from "@perennial/backends/MemoryStore"
import * as PgStore from "@perennial/backends/PgStore"
import * as RedisStore from "@perennial/backends/RedisStore"
import * as SqliteClient from "@perennial/backends/SqliteClient"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { Agents } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskBackendError } from "@perennial/domain/TaskError"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Exit, Layer, Logger, Queue, Redacted } from "effect"
import { Redis } from "effect/persistence"
import { SqlClient } from "effect/sql"
import { join } from "node:path"
import { endSessions, makeDatabase, readOnly, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { sayIsSkipped } from "../../packages/backends/test/support/redis.ts"
import * as RedisServer from "../../packages/backends/test/support/redisServer.ts"
import { directory } from "../support/stores.ts"
import * as Talker from "../support/talker.ts"

type Store<E> = Layer.Layer<TaskBackend | ConversationStore, E>

/** A way in which a store stops to accept writes, and accepts them again. */
interface Trouble {
  readonly begin: Effect.Effect<unknown>
  readonly end: Effect.Effect<unknown>
}

/** The store, and the exit of each renewal of a lease in it. */
const observed = <E>(store: Store<E>, exits: Queue.Queue<Exit.Exit<unknown, unknown>>): Store<E> =>
  Layer.provideMerge(
    Layer.effect(
      TaskBackend,
      Effect.map(TaskBackend, (backend) => ({
        ...backend,
        heartbeat: (...args: Parameters<typeof backend.heartbeat>) =>
          Effect.onExit(backend.heartbeat(...args), (exit) => Queue.offer(exits, exit))
      }))
    ),
    store
  )

const serve = Effect.fnUntraced(function*<E>(store: Store<E>) {
  const exits = yield* Queue.unbounded<Exit.Exit<unknown, unknown>>()
  const web = yield* Effect.acquireRelease(
    Effect.sync(() =>
      Server.toWebHandler(Layer.merge(
        TaskRuntime.layer.pipe(
          Layer.provide(Agents.layer([Talker.makeTalker().agent])),
          Layer.provide(TaskLimits.layer({ leaseTtl: "1500 millis" })),
          Layer.provideMerge(observed(store, exits)),
          // A lease that cannot be renewed is logged.
          Layer.provide(Logger.layer([]))
        ),
        Tokens.layer([{ userId: UserId.make("alice"), secret: Redacted.make("secret") }])
      ))
    ),
    (web) => Effect.promise(() => web.dispose())
  )
  const call = (path: string) =>
    Effect.promise(async () => {
      const headers = { authorization: "Bearer secret" }
      const response = await web.handler(new Request(`http://localhost${path}`, { headers }))
      return { status: response.status, body: await response.json() as { readonly detail?: string } }
    })
  /** Waits until two renewals in a row have ended so: the first of them was told to the lease before the second began. */
  const renewals = Effect.fnUntraced(function*(succeed: boolean) {
    yield* Queue.clear(exits)
    let left = 2
    while (left > 0) left = Exit.isSuccess(yield* Queue.take(exits)) === succeed ? left - 1 : 2
  })
  /** Waits until the server is ready. On a busy machine a renewal may be late, and the server says so: then later ones are awaited. */
  const becomesReady = Effect.gen(function*() {
    do yield* renewals(true)
    while ((yield* call("/ready")).status !== 200)
  })
  return { becomesReady, call, renewals }
})

const follows = Effect.fnUntraced(function*<E>(
  store: Store<E>,
  troubles: Readonly<Record<string, Trouble>>
) {
  const { becomesReady, call, renewals } = yield* serve(store)
  // The first request builds the handlers, which takes long.
  assert.strictEqual((yield* call("/health")).status, 200)
  yield* becomesReady
  for (const [name, { begin, end }] of Object.entries(troubles)) {
    yield* begin
    yield* renewals(false)
    const { body, status } = yield* call("/ready")
    assert.strictEqual(status, 503, name)
    assert.match(body.detail ?? "", /^The store is not ready: it has not accepted a write for \d+s\.$/, name)
    assert.strictEqual((yield* call("/health")).status, 200, name)
    yield* end
    yield* becomesReady
  }
})

describe("/ready", () => {
  it.live("memory: a store that refuses writes", () =>
    Effect.gen(function*() {
      let refuses = false
      const store = Layer.provideMerge(
        Layer.effect(
          TaskBackend,
          Effect.map(TaskBackend, (backend) => ({
            ...backend,
            heartbeat: (...args: Parameters<typeof backend.heartbeat>) =>
              Effect.suspend(() =>
                refuses
                  ? Effect.fail(new TaskBackendError({ operation: "heartbeat", cause: "refused" }))
                  : backend.heartbeat(...args)
              )
          }))
        ),
        MemoryStore.layer
      )
      const set = (value: boolean) => Effect.sync(() => (refuses = value))
      yield* follows(store, { refuses: { begin: set(true), end: set(false) } })
    }).pipe(Effect.scoped))

  it.live("SQLite: a database that may only be read", () =>
    Effect.gen(function*() {
      const client = yield* Layer.build(SqliteClient.layer({ filename: join(yield* directory, "test.db") }))
      const sql = Context.get(client, SqlClient.SqlClient)
      const store = SqliteStore.layerNoClient.pipe(Layer.provide(Layer.succeedContext(client)))
      yield* follows(store, {
        "read-only": {
          begin: Effect.orDie(sql`PRAGMA query_only = ON`),
          end: Effect.orDie(sql`PRAGMA query_only = OFF`)
        }
      })
    }).pipe(Effect.scoped))
})

withPostgres("/ready on PostgreSQL", (server) => {
  it.live("connections that may only read", () =>
    Effect.gen(function*() {
      const { name, url } = yield* makeDatabase(server)
      yield* follows(PgStore.layer({ url }), {
        "read-only": {
          begin: Effect.andThen(readOnly(server, name, true), endSessions(server, name)),
          end: readOnly(server, name, false)
        }
      })
    }).pipe(Effect.scoped))
})

if (!RedisServer.isInstalled) sayIsSkipped("/ready on Redis")
describe.skipIf(!RedisServer.isInstalled)("/ready on Redis", () => {
  it.live("a full memory, a replica, too few replicas", () =>
    Effect.gen(function*() {
      const { url } = yield* RedisServer.ownServer
      const { send } = Context.get(yield* Layer.build(NodeRedis.layer({ url })), Redis.Redis)
      const trouble = (begin: ReadonlyArray<string>, end: ReadonlyArray<string>): Trouble => {
        const [first = "", ...rest] = begin
        const [second = "", ...others] = end
        return { begin: Effect.orDie(send(first, ...rest)), end: Effect.orDie(send(second, ...others)) }
      }
      const config = (name: string, on: string, off: string) =>
        trouble(["CONFIG", "SET", name, on], ["CONFIG", "SET", name, off])
      yield* follows(RedisStore.layer({ url }), {
        "out of memory": config("maxmemory", "1", "0"),
        replica: trouble(["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"]),
        "too few replicas": config("min-replicas-to-write", "1", "0")
      })
    }).pipe(Effect.scoped))

  it.live("a server that is away", () =>
    Effect.gen(function*() {
      const { kill, start, url } = yield* RedisServer.ownServer
      yield* follows(RedisStore.layer({ url }), { away: { begin: kill, end: start } })
    }).pipe(Effect.scoped))
})
