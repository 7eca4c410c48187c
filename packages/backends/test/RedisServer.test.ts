/**
 * Servers that the store on Redis refuses at its start, and connections that it gives up after a fail-over.
 */
import { assert, describe, it } from "@effect/vitest"
import * as RedisClient from "@perennial/backends/RedisClient"
import * as RedisStore from "@perennial/backends/RedisStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Context, Duration, Effect, Layer, Logger } from "effect"
import { Redis } from "effect/persistence"
import { gate } from "./support/gate.ts"
import { hurried } from "./support/hurried.ts"
import { create, ids, next, runnerId } from "./support/oneTask.ts"
import { sayIsSkipped } from "./support/redis.ts"
import { isInstalled, ownServer } from "./support/redisServer.ts"

const build = (url: string) =>
  Effect.map(
    Layer.build(Layer.fresh(RedisStore.layer({ url })).pipe(Layer.provide(Logger.layer([])))),
    (services) => Context.get(services, TaskBackend)
  )

/** Why a store does not start. */
const refusal = (url: string) => Effect.map(Effect.flip(Effect.scoped(build(url))), String)

/** Sends commands, without a store. */
const connect = (url: string) =>
  Effect.map(
    Layer.build(Layer.fresh(RedisClient.layer({ url }))),
    (services) => Context.get(services, Redis.Redis).send
  )

const started = Effect.gen(function*() {
  const { url } = yield* ownServer
  return { url, port: new URL(url).port, send: yield* connect(url) }
})

const noAuthority = (url: string, user: string) => url.replace("//", `//${user}:secret@`)

if (!isInstalled) sayIsSkipped("settings of Redis")
describe.skipIf(!isInstalled)("servers that RedisStore refuses in one line", () => {
  it.live("whose user may not run scripts, or not on the keys of the store", () =>
    Effect.gen(function*() {
      const { send, url } = yield* started
      const permissions = {
        scriptless: ["~*", "+@all", "-@scripting"],
        unnamed: ["~*", "+@all", "-evalsha"],
        elsewhere: ["~other:*", "+@all"],
        reader: ["~*", "+@all", "-@write"]
      }
      for (const [user, allowed] of Object.entries(permissions)) {
        yield* send("ACL", "SETUSER", user, "on", ">secret", ...allowed)
        const line = yield* refusal(noAuthority(url, user))
        assert.match(line, /^UnusableStore: The user of Redis may not run the scripts of the store: [^\n]*$/, user)
        assert.include(line, "Allow `+@all ~perennial:*`.")
      }
      yield* send("ACL", "SETUSER", "enough", "on", ">secret", "~perennial:*", "+@all")
      yield* create(yield* build(noAuthority(url, "enough")))
    }).pipe(Effect.scoped))

  it.live("that are a replica, after it has waited; one that becomes the primary meanwhile is used", () =>
    Effect.gen(function*() {
      const { send, url } = yield* started
      yield* send("REPLICAOF", "127.0.0.1", "1")
      assert.strictEqual(
        yield* hurried(refusal(url)),
        "UnusableStore: Redis is a replica, which accepts no writes. Connect to the primary."
      )
      let pauses = 0
      const promote = Effect.suspend(() => ++pauses === 3 ? Effect.orDie(send("REPLICAOF", "NO", "ONE")) : Effect.void)
      yield* create(yield* hurried(build(url), promote))
    }).pipe(Effect.scoped))

  it.live("that delete keys when their memory is full, or whose memory is full", () =>
    Effect.gen(function*() {
      const { send, url } = yield* started
      yield* send("CONFIG", "SET", "maxmemory", "100mb")
      yield* send("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
      assert.strictEqual(
        yield* refusal(url),
        "UnusableStore: Redis deletes tasks when its memory is full (maxmemory-policy allkeys-lru). "
          + "Set `maxmemory-policy noeviction`."
      )
      // The keys of the store have no time to live.
      yield* send("CONFIG", "SET", "maxmemory-policy", "volatile-lru")
      yield* Effect.scoped(build(url))
      yield* send("CONFIG", "SET", "maxmemory", "1")
      assert.match(
        yield* hurried(refusal(url)),
        /^UnusableStore: Redis accepts no writes: OOM command not allowed [^\n]*\.$/
      )
    }).pipe(Effect.scoped))
})

describe.skipIf(!isInstalled)("RedisStore after a fail-over", () => {
  it.live("P8: connections to a server that became a replica are replaced, of the commands and of the lease", () =>
    Effect.gen(function*() {
      const first = yield* started
      const second = yield* started
      const line = yield* gate(Number(first.port))
      const backend = yield* build(`redis://127.0.0.1:${line.port}`)
      yield* create(backend)
      yield* backend.heartbeat(runnerId, Duration.hours(1))
      line.leadTo(Number(second.port))
      yield* first.send("REPLICAOF", "127.0.0.1", second.port)
      yield* create(backend, next)
      yield* backend.heartbeat(runnerId, Duration.hours(1))
      assert.strictEqual((yield* backend.get(next)).id, next)
      assert.strictEqual(yield* second.send("EXISTS", `perennial:task:${next}`), 1)
      assert.strictEqual(yield* second.send("EXISTS", `perennial:task:${ids.taskId}`), 0)
    }).pipe(Effect.scoped))
})
