/** The events of a conversation in one process, with tasks that another process executes. */
import { NodeRedis } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as RedisTaskBackend from "@perennial/backends/RedisTaskBackend"
import { Agents, make as makeAgent } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type EventPlace, placeOf } from "@perennial/domain/EventPlace"
import { ConversationId, UserId } from "@perennial/domain/Ids"
import * as MemoryConversationStore from "@perennial/domain/MemoryConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Array, Context, Effect, Fiber, Layer, Logger, Queue, Stream } from "effect"
import { randomUUID } from "node:crypto"
import { makeSchema, withPostgres } from "./support/postgres.ts"
import { withRedis } from "./support/redis.ts"

const agent = makeAgent("counting", (_, emit) =>
  Effect.gen(function*() {
    for (let i = 0; i < 5; i++) yield* emit([{ type: "text", content: `${i} ` }])
    return { usage: zero }
  }))

const asAlice = Effect.provideService(CurrentUser, UserId.make("alice"))
const c1 = ConversationId.make("c1")

const crosses = Effect.fnUntraced(function*<E>(process: Layer.Layer<TaskBackend, E>) {
  const store = Context.get(yield* Layer.build(MemoryConversationStore.layer), ConversationStore)
  const startProcess = Effect.map(
    Layer.build(Layer.fresh(TaskRuntime.layer.pipe(
      Layer.provide([Layer.fresh(process), Layer.succeed(ConversationStore, store), Agents.layer([agent])])
    ))),
    Context.get(TaskManager)
  )
  const [a, b] = [yield* startProcess, yield* startProcess]
  const say = (process: typeof a) => asAlice(process.start({ message: "a", conversationId: c1, onBusy: "enqueue" }))
  const read = Effect.fnUntraced(function*(from: typeof a, after?: EventPlace) {
    const seen = yield* Queue.unbounded<EventPlace>()
    const reader = yield* Effect.forkScoped(
      Stream.runForEach(
        yield* asAlice(from.conversationEvents(c1, { after })),
        (one) => Queue.offer(seen, placeOf(one))
      )
    )
    return { reader, seen }
  })
  const first = yield* say(a)
  const { reader, seen } = yield* read(b)
  const tasks = [first, ...yield* Effect.forEach(Array.range(1, 9), (i) => say(i % 2 === 0 ? a : b))]
  const ended = yield* Effect.forEach(tasks, ({ id }) => asAlice(a.await(id)))
  const all = ended.flatMap(({ task }) => Array.range(1, task.lastSeq).map((seq) => ({ taskId: task.id, seq })))
  assert.deepStrictEqual(yield* Queue.takeN(seen, all.length), all)

  // Another process, with the same cursor.
  yield* Fiber.interrupt(reader)
  const half = all.length / 2
  const { seen: rest } = yield* read(a, all[half])
  const last = yield* say(b)
  assert.deepStrictEqual(yield* Queue.takeN(rest, all.length - half - 1), all.slice(half + 1))
  assert.deepStrictEqual(yield* Queue.take(rest), { taskId: last.id, seq: 1 })
}, Effect.scoped)

const name = "P1, P2, P3: the events of a conversation are the same in every process, and resume in another one"

withPostgres("the events of a conversation on PostgreSQL", (url) => {
  it.live(
    name,
    () =>
      Effect.flatMap(
        makeSchema(url),
        (schema) => crosses(PgTaskBackend.layer.pipe(Layer.provide(PgClient.layer(schema))))
      ).pipe(Effect.scoped)
  )
})

withRedis("the events of a conversation on Redis", (url) => {
  it.live(name, () =>
    crosses(
      RedisTaskBackend.layerWith({ prefix: `perennial-test:${randomUUID()}:` }).pipe(
        Layer.provide(NodeRedis.layer({ url })),
        Layer.provide(Logger.layer([]))
      )
    ))
})
