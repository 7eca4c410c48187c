/**
 * A connection to Redis that stops answering and is never closed. Each operation that waits for an answer is repeated on
 * another connection.
 */
import { assert, describe, it } from "@effect/vitest"
import * as RedisClient from "@perennial/backends/RedisClient"
import * as RedisStore from "@perennial/backends/RedisStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Context, Duration, Effect, Exit, Fiber, Layer, Logger, Option, Scope, Stream } from "effect"
import { Redis } from "effect/persistence"
import { gate } from "./support/gate.ts"
import { impatiently } from "./support/impatiently.ts"
import { begin, create, firstClaim, ids, runnerId, text } from "./support/oneTask.ts"
import { sayIsSkipped } from "./support/redis.ts"
import { isInstalled, ownServer } from "./support/redisServer.ts"

if (!isInstalled) sayIsSkipped("connections to Redis that go dead")

describe.skipIf(!isInstalled)("RedisTaskBackend on a connection that goes dead", () => {
  /** A process behind a gate. */
  const start = Effect.gen(function*() {
    const server = yield* ownServer
    const line = yield* gate(Number(new URL(server.url).port))
    const scope = yield* Scope.fork(yield* Effect.scope)
    const services = yield* Layer.buildWithScope(
      RedisStore.layerNoClient().pipe(
        Layer.provideMerge(RedisClient.layer({ url: `redis://127.0.0.1:${line.port}` })),
        Layer.provide(Logger.layer([]))
      ),
      scope
    )
    return {
      backend: Context.get(services, TaskBackend),
      store: Context.get(services, ConversationStore),
      redis: Context.get(services, Redis.Redis),
      line,
      server,
      end: Scope.close(scope, Exit.void)
    }
  })

  for (const arrives of [false, true]) {
    it.live(`P8, P9: ${arrives ? "the answer" : "the request"} of \`append\` is lost; the lease is still renewed`, () =>
      Effect.gen(function*() {
        const { backend, line } = yield* start
        const claim = yield* begin(backend)
        const dead = yield* line.cut("content", { arrives })
        const appending = yield* Effect.forkChild(backend.append([{ claim, events: [text(2), text(3)] }]))
        yield* dead
        const { owned } = yield* backend.heartbeat(runnerId, Duration.hours(1))
        assert.deepStrictEqual(owned, [{ taskId: claim.taskId, token: claim.token, intents: 0 }])
        yield* Fiber.interrupt(appending)
      }).pipe(Effect.scoped))

    it.live(`P9: ${arrives ? "the answer" : "the request"} of \`append\` is lost; \`append\` is repeated`, () =>
      Effect.gen(function*() {
        const { backend, line } = yield* start
        const claim = yield* begin(backend)
        const dead = yield* line.cut("content", { arrives })
        const appended = yield* impatiently(backend.append([{ claim, events: [text(2), text(3)] }]), dead)
        assert.deepStrictEqual(appended, [{ ok: true, intents: 0 }])
        const { events } = yield* backend.events(ids.taskId, { after: 0, limit: 10, maxBytes: 10_000 })
        assert.deepStrictEqual(events.map((event) => event.seq), [1, 2, 3])
      }).pipe(Effect.scoped))
  }

  it.live("P8: a heartbeat is lost", () =>
    Effect.gen(function*() {
      const { backend, line } = yield* start
      const { taskId, token } = yield* begin(backend)
      const dead = yield* line.cut("7654321")
      const { owned } = yield* impatiently(backend.heartbeat(runnerId, Duration.millis(7_654_321)), dead)
      assert.deepStrictEqual(owned, [{ taskId, token, intents: 0 }])
    }).pipe(Effect.scoped))

  it.live("the request of the conversation store is lost", () =>
    Effect.gen(function*() {
      const { line, store } = yield* start
      const key = { id: ids.conversationId, userId: UserId.make("alice") }
      const dead = yield* line.cut("alice")
      assert.strictEqual((yield* impatiently(store.create(key), dead)).id, key.id)
    }).pipe(Effect.scoped))

  it.live("P8: the end of the process does not wait for an answer that never comes", () =>
    Effect.gen(function*() {
      const { backend, end, line } = yield* start
      const claim = yield* begin(backend)
      const dead = yield* line.cut("content")
      const appending = yield* Effect.forkChild(backend.append([{ claim, events: [text(2)] }]))
      yield* dead
      yield* end
      yield* Fiber.interrupt(appending)
    }).pipe(Effect.scoped))

  it.live("P8: the end of the process does not wait for a command of the application that is never answered", () =>
    Effect.gen(function*() {
      const { end, line, redis } = yield* start
      const dead = yield* line.cut("anything")
      const asking = yield* Effect.forkChild(redis.send("GET", "anything"))
      yield* dead
      yield* end
      yield* Fiber.interrupt(asking)
    }).pipe(Effect.scoped))

  it.live("the request for hints is repeated", () =>
    Effect.gen(function*() {
      const { backend, line } = yield* start
      const dead = yield* line.cut("XREVRANGE")
      const first = Stream.runHead(backend.wakes).pipe(Effect.provide(Logger.layer([])))
      assert.deepStrictEqual(yield* impatiently(first, dead), Option.some({ kind: "all" as const }))
    }).pipe(Effect.scoped))

  it.live("P8: the end of the process does not wait for a server that is down", () =>
    Effect.gen(function*() {
      const { backend, end, server } = yield* start
      yield* create(backend)
      yield* server.kill
      const claiming = yield* Effect.forkChild(backend.claim(ids.taskId, firstClaim))
      yield* Effect.yieldNow
      yield* end
      yield* Fiber.interrupt(claiming)
    }).pipe(Effect.scoped))
})
