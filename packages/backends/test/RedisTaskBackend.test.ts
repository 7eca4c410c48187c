import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as RedisTaskBackend from "@perennial/backends/RedisTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { TaskBackend, type Wake } from "@perennial/domain/TaskBackend"
import { Context, Effect, Layer, Logger, Queue, Stream } from "effect"
import { Redis } from "effect/persistence"
import { begin, ids, text } from "./support/oneTask.ts"
import { layerEmpty, withRedis } from "./support/redis.ts"

withRedis("RedisTaskBackend", (url) => {
  TaskBackendContract.suite(
    "RedisTaskBackend",
    layerEmpty(url, (prefix) => RedisTaskBackend.layerWith({ prefix })),
    { time: "store" }
  )
})

class Prefix extends Context.Service<Prefix, { readonly prefix: string }>()(
  "@perennial/backends/test/RedisTaskBackend.test/Prefix"
) {}

withRedis("RedisTaskBackend, hints", (url) => {
  for (const RESP of [2, 3] as const) {
    const layer = (prefix: string) =>
      RedisTaskBackend.layerWith({ prefix }).pipe(
        Layer.provide(NodeRedis.layer({ url, RESP })),
        Layer.provide(Logger.layer([]))
      )
    const layerPrefix = layerEmpty(url, (prefix) => Layer.succeed(Prefix, { prefix }))

    it.live(`P7: another process is told of logs, intents and heads, in RESP${RESP}`, () =>
      Effect.gen(function*() {
        const { prefix } = yield* Prefix
        const process = Effect.map(Layer.build(Layer.fresh(layer(prefix))), Context.get(TaskBackend))
        const [mine, other] = [yield* process, yield* process]
        const hints = yield* Queue.unbounded<Wake>()
        const own = yield* Queue.unbounded<Wake>()
        yield* Effect.forkScoped(Stream.runForEach(other.wakes, (wake) => Queue.offer(hints, wake)))
        yield* Effect.forkScoped(Stream.runForEach(mine.wakes, (wake) => Queue.offer(own, wake)))
        assert.deepStrictEqual(yield* Queue.take(hints), { kind: "all" })
        assert.deepStrictEqual(yield* Queue.take(own), { kind: "all" })

        const claim = yield* begin(mine)
        yield* mine.append([{ claim, events: [text(2)] }])
        yield* mine.putIntent(ids.taskId, { key: "decision/x", value: 1 })
        yield* mine.release(claim)
        const { taskId } = ids
        assert.deepStrictEqual(yield* Queue.takeN(hints, 3), [
          { kind: "log", taskId },
          { kind: "intent", taskId },
          { kind: "head", taskId }
        ])
        // What the other one does comes after what this one did: nothing of its own was echoed.
        yield* other.putIntent(taskId, { key: "decision/y", value: 1 })
        assert.deepStrictEqual(yield* Queue.take(own), { kind: "intent", taskId })
      }).pipe(Effect.scoped, Effect.provide(layerPrefix)))
  }
})

describe("RedisTaskBackend, settings of the server", () => {
  /** What is logged when the layer is built on a server with these settings. */
  const warnings = (reply: (name: string) => Effect.Effect<unknown, Redis.RedisError>) =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      const redis = Redis.Redis.of({
        // Nothing but CONFIG GET is sent.
        send: (_command, _get, name = "") => reply(name) as Effect.Effect<never, Redis.RedisError>,
        eval: () => () => Effect.die("no script"),
        reserve: Effect.die("no connection"),
        subscribe: () => Effect.die("no channel")
      })
      yield* RedisTaskBackend.make().pipe(
        Effect.provideService(Redis.Redis, redis),
        Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(String(message)))]))
      )
      return logged.join("\n")
    })

  const durable: Record<string, string> = {
    appendonly: "yes",
    appendfsync: "always",
    maxmemory: "100000000",
    "maxmemory-policy": "noeviction"
  }

  it.effect("are warned of unless every acknowledged write is on disk and stays", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* warnings((name) => Effect.succeed({ [name]: durable[name] })), "")
      const with_ = (change: Record<string, string>) =>
        warnings((name) => Effect.succeed([name, { ...durable, ...change }[name]]))
      assert.strictEqual(yield* with_({}), "")
      assert.include(yield* with_({ appendonly: "no" }), "appendonly")
      assert.include(yield* with_({ appendfsync: "everysec" }), "power failure")
      assert.include(yield* with_({ "maxmemory-policy": "allkeys-lru" }), "noeviction")
      assert.strictEqual(yield* with_({ maxmemory: "0", "maxmemory-policy": "allkeys-lru" }), "")
      assert.include(
        yield* warnings(() => Effect.fail(new Redis.RedisError({ cause: new Error("NOPERM no permissions") }))),
        "could not be read"
      )
    }))
})
