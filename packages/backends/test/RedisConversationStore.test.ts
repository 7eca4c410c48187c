import { assert, it } from "@effect/vitest"
import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as RedisConversationStore from "@perennial/backends/RedisConversationStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, messageId, TaskId, UserId } from "@perennial/domain/Ids"
import { DateTime, Effect, type Schema } from "effect"
import { layerEmpty, withRedis } from "./support/redis.ts"

withRedis("RedisConversationStore", (url) => {
  const layer = layerEmpty(url, (prefix) => RedisConversationStore.layerWith({ prefix }))
  ConversationStoreContract.suite("RedisConversationStore", layer)

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
