/**
 * The layers that provide both storage ports.
 */
import { assert, describe, it } from "@effect/vitest"
import * as MemoryStore from "@perennial/backends/MemoryStore"
import * as PgStore from "@perennial/backends/PgStore"
import * as RedisStore from "@perennial/backends/RedisStore"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, Layer, Redacted } from "effect"
import { join } from "node:path"
import { directory } from "./sqliteFile.ts"
import { create, ids } from "./support/oneTask.ts"
import { makeSchema, withPostgres } from "./support/postgres.ts"
import { layerEmpty, withRedis } from "./support/redis.ts"

const userId = UserId.make("alice")

const write = Effect.gen(function*() {
  const conversations = yield* ConversationStore
  yield* conversations.create({ id: ids.conversationId, userId })
  yield* create(yield* TaskBackend)
})

const read = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const conversations = yield* ConversationStore
  const task = yield* backend.get(ids.taskId, { userId })
  const conversation = yield* conversations.get({ id: ids.conversationId, userId })
  return [task.id, conversation.id]
})

describe("MemoryStore", () => {
  it.effect("provides both ports", () =>
    Effect.gen(function*() {
      yield* write
      assert.deepStrictEqual(yield* read, [ids.taskId, ids.conversationId])
    }).pipe(Effect.provide(MemoryStore.layer)))
})

/** Writes with a first build of the layer, and reads the same data with a second build. */
const survives = Effect.fnUntraced(function*<E>(layer: Layer.Layer<TaskBackend | ConversationStore, E>) {
  yield* Effect.provide(write, Layer.fresh(layer))
  assert.deepStrictEqual(yield* Effect.provide(read, Layer.fresh(layer)), [ids.taskId, ids.conversationId])
})

describe("SqliteStore", () => {
  it.effect("P1: both ports write to the file, and the next process reads what they wrote", () =>
    Effect.gen(function*() {
      yield* survives(SqliteStore.layer({ filename: join(yield* directory, "test.db") }))
    }))
})

withPostgres("PgStore", (url) => {
  it.live("P1: takes the URL as a string; both ports write to the database, and the next process reads it", () =>
    Effect.gen(function*() {
      const { startupParameters } = yield* makeSchema(url)
      yield* survives(PgStore.layer({ url: Redacted.value(url), maxConnections: 3, startupParameters }))
    }))
})

withRedis("RedisStore", (url) => {
  it.effect("P1: both ports write below the prefix, and the next process reads what they wrote", () =>
    Layer.build(layerEmpty(url, (prefix) =>
      Layer.effectDiscard(Effect.gen(function*() {
        yield* survives(RedisStore.layer({ url, prefix }))
        yield* Effect.flip(Effect.provide(read, RedisStore.layer({ url, prefix: `${prefix}other:` })))
      })))))
})
