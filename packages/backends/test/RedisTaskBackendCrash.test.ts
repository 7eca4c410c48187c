import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as RedisStore from "@perennial/backends/RedisStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { AgentId, ClaimId, ConversationId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import type { Wake } from "@perennial/domain/Wake"
import { Array, Context, Duration, Effect, Fiber, Layer, Logger, Option, Queue, Stream } from "effect"
import { sayIsSkipped } from "./support/redis.ts"
import { isInstalled, ownServer } from "./support/redisServer.ts"

const runnerId = RunnerId.make("runner")
const claimId = ClaimId.make("claim")
const userId = UserId.make("alice")
const names = Array.range(1, 8)
/** Each task appends `appends` times between two kills, `size` events each time. */
const appends = 60
const size = 3
const kills = 4

const layer = (url: string) =>
  RedisStore.layerNoClient().pipe(
    Layer.provide(NodeRedis.layer({ url })),
    // The client logs every broken connection.
    Layer.provide(Logger.layer([]))
  )

const begin = (backend: TaskBackend["Service"]) =>
  Effect.forEach(names, (n) =>
    Effect.gen(function*() {
      const id = TaskId.make(`t${n}`)
      const conversationId = ConversationId.make(`c${n}`)
      yield* backend.create(
        { id, conversationId, userId, agentId: AgentId.make("agent"), input: userText("hello"), spec: {} },
        { onBusy: "reject", maxQueued: 0 }
      )
      return Option.getOrThrow(yield* backend.claim(id, { runnerId, claimId, expectedToken: 0 }))
    }))

const text = (id: TaskId, seq: number): StoredEvent => ({
  seq,
  at: 1,
  event: { type: "text", taskId: id, conversationId: ConversationId.make(`c${id.slice(1)}`), content: `${id}/${seq}` }
})

const history = Effect.fnUntraced(function*(backend: TaskBackend["Service"], id: TaskId) {
  const all: Array<StoredEvent> = []
  for (;;) {
    const page = yield* backend.events(id, { after: all.length, limit: 1000, maxBytes: 1_000_000 })
    if (page.events.length === 0) return all
    all.push(...page.events)
  }
})

if (!isInstalled) {
  sayIsSkipped("Redis killed while it appends")
}

describe.skipIf(!isInstalled)("RedisTaskBackend on a server that is killed", () => {
  it.live(
    "P1, P3, P5: no acknowledged event is lost or written twice, and the backend reconnects by itself",
    () =>
      Effect.gen(function*() {
        const server = yield* ownServer
        const context = yield* Layer.build(layer(server.url))
        const backend = Context.get(context, TaskBackend)
        yield* backend.heartbeat(runnerId, Duration.hours(1))
        const claims = yield* begin(backend)
        const half = yield* Queue.unbounded<void>()

        for (let kill = 0; kill < kills; kill++) {
          const writers = yield* Effect.forkChild(Effect.forEach(claims, ({ taskId, token }) =>
            Effect.gen(function*() {
              for (let n = 0; n < appends; n++) {
                const first = 2 + size * (kill * appends + n)
                const events = Array.map(Array.range(first, first + size - 1), (seq) => text(taskId, seq))
                const [result] = yield* backend.append([{ claim: { taskId, token }, events }])
                assert.deepStrictEqual(result, { ok: true, intents: 0 })
                if (n === appends / 2) yield* Queue.offer(half, undefined)
              }
            }), { concurrency: "unbounded" }))
          yield* Queue.take(half)
          yield* server.kill
          yield* server.start
          yield* Fiber.join(writers)
          yield* Queue.clear(half)
        }

        yield* server.kill
        yield* server.start
        for (const { taskId } of claims) {
          const events = yield* history(backend, taskId)
          assert.deepStrictEqual(events.slice(1), Array.makeBy(kills * appends * size, (i) => text(taskId, i + 2)))
        }
        // The owners of the tasks survived as well.
        const { owned } = yield* backend.heartbeat(runnerId, Duration.hours(1))
        assert.strictEqual(owned.length, names.length)
        assert.deepStrictEqual(yield* backend.unowned({ limit: 10 }), [])
      }).pipe(Effect.scoped),
    { timeout: 120_000 }
  )

  it.live(
    "hints arrive again after a restart; the first hint of each process then is `all`",
    () =>
      Effect.gen(function*() {
        const server = yield* ownServer
        const process = Effect.map(Layer.build(Layer.fresh(layer(server.url))), Context.get(TaskBackend))
        const [mine, other] = [yield* process, yield* process]
        const hints = yield* Queue.unbounded<Wake>()
        const aboutTasks = Stream.filter(other.wakes, ({ kind }) => kind !== "user")
        yield* Stream.runForEach(aboutTasks, (wake) => Queue.offer(hints, wake)).pipe(
          Effect.provide(Logger.layer([])),
          Effect.forkScoped
        )
        assert.deepStrictEqual(yield* Queue.take(hints), { kind: "all" })
        yield* server.kill
        yield* server.start
        assert.deepStrictEqual(yield* Queue.take(hints), { kind: "all" })
        const [claim] = yield* begin(mine)
        yield* mine.putIntent(TaskId.make("t1"), { key: "decision/x", value: 1 })
        assert.deepStrictEqual(yield* Queue.take(hints), { kind: "intent", taskId: claim?.taskId })
      }).pipe(Effect.scoped),
    { timeout: 120_000 }
  )

  it.live("messages of conversations survive, and further messages can be appended", () =>
    Effect.gen(function*() {
      const server = yield* ownServer
      const store = Context.get(yield* Layer.build(layer(server.url)), ConversationStore)
      const key = { id: ConversationId.make("c1"), userId }
      yield* store.create(key)
      const writer = yield* Effect.forkChild(Effect.forEach(Array.range(1, 50), (n) => store.setTitle(key.id, `${n}`)))
      yield* server.kill
      yield* server.start
      yield* Fiber.join(writer)
      assert.strictEqual((yield* store.get(key)).title, "50")
    }).pipe(Effect.scoped), { timeout: 120_000 })
})
