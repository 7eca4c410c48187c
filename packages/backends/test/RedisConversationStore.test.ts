import { NodeRedis } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as RedisConversationStore from "@perennial/backends/RedisConversationStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, messageId, TaskId, UserId } from "@perennial/domain/Ids"
import { Context, DateTime, Effect, Layer, Logger, type Schema } from "effect"
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
})
