import { NodeRedis } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as RedisConversationStore from "@perennial/backends/RedisConversationStore"
import type { StoredMessage } from "@perennial/domain/Conversation"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, messageId, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { Context, DateTime, Effect, Layer, Logger, type Schema } from "effect"
import { Redis } from "effect/persistence"
import { layerEmpty, withRedis } from "./support/redis.ts"
import { spoilRedisMessages } from "./support/spoil.ts"

class Prefix extends Context.Service<Prefix, { readonly prefix: string }>()(
  "@perennial/backends/test/RedisConversationStore.test/Prefix"
) {}

withRedis("RedisConversationStore", (url) => {
  const layer = layerEmpty(url, (prefix) => RedisConversationStore.layerWith({ prefix }))
  ConversationStoreContract.suite("RedisConversationStore", layer, {
    spoilable: Effect.gen(function*() {
      const { prefix } = Context.get(
        yield* Layer.build(layerEmpty(url, (prefix) => Layer.succeed(Prefix, { prefix }))),
        Prefix
      )
      const built = yield* Layer.build(
        RedisConversationStore.layerWith({ prefix }).pipe(
          Layer.provideMerge(NodeRedis.layer({ url })),
          Layer.provide(Logger.layer([]))
        )
      )
      return {
        store: Context.get(built, ConversationStore),
        spoil: yield* Effect.provide(spoilRedisMessages(prefix), built)
      }
    })
  })

  it.live("P8: `append` fails with a typed error if a message cannot be encoded; the call itself does not throw", () =>
    Effect.gen(function*() {
      const store = yield* ConversationStore
      const key = { id: ConversationId.make("c1"), userId: UserId.make("alice") }
      yield* store.create(key)
      // Untyped code can emit a bigint, and JSON has no encoding for it.
      const args = 1n as unknown as Schema.Json
      const appending = store.append(key.id, [{
        id: messageId(TaskId.make("t1"), 2),
        taskId: TaskId.make("t1"),
        createdAt: DateTime.makeUnsafe(0),
        message: { role: "assistant", content: [{ type: "tool_call", toolCallId: "call", tool: "t", args }] },
        status: "complete"
      }])
      assert.strictEqual((yield* Effect.flip(appending))._tag, "ConversationStoreError")
      assert.deepStrictEqual(yield* store.messages(key, { limit: 10 }), [])
    }).pipe(Effect.provide(layer)))

  it.live("conversations that an earlier version stored are found by their words and their titles", () =>
    Effect.gen(function*() {
      const { prefix } = yield* Prefix
      const { send } = yield* Redis.Redis
      const store = yield* ConversationStore
      const userId = UserId.make("alice")
      const said = (id: string, i: number, text: string): StoredMessage => ({
        id: messageId(TaskId.make(`${id}t${i}`), 1),
        taskId: TaskId.make(`${id}t${i}`),
        createdAt: DateTime.makeUnsafe(0),
        message: userText(text),
        status: "complete"
      })
      for (const id of ["c1", "c2", "c3"]) {
        yield* store.create({ id: ConversationId.make(id), userId })
        yield* store.append(
          ConversationId.make(id),
          Array.from({ length: 12 }, (_, i) => said(id, i, i === 11 ? "an oak" : `tree ${i}`))
        )
      }
      yield* store.setTitle(ConversationId.make("c2"), "My garden")
      // An earlier version has no such keys.
      yield* send("DEL", ...["words:c1", "words:c2", "words:c3", "searched:alice"].map((key) => prefix + key))
      const find = (text: string) =>
        Effect.map(store.list({ userId, text, limit: 10 }), (found) => found.map(({ id }) => String(id)).toSorted())
      assert.deepStrictEqual(yield* find("oak tree 10"), ["c1", "c2", "c3"])
      assert.deepStrictEqual(yield* find("garden"), ["c2"])
      for (const id of ["c1", "c2", "c3"]) yield* store.delete({ id: ConversationId.make(id), userId })
      assert.deepStrictEqual(yield* send("KEYS", `${prefix}*`), [])
    }).pipe(
      Effect.provide(
        layerEmpty(
          url,
          (prefix) =>
            Layer.mergeAll(RedisConversationStore.layerWith({ prefix }), Layer.succeed(Prefix, { prefix })).pipe(
              Layer.provideMerge(NodeRedis.layer({ url }))
            )
        )
      )
    ))
})
