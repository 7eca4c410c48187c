import { assert, it } from "@effect/vitest"
import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, UserId } from "@perennial/domain/Ids"
import { Effect, Layer } from "effect"
import { layerEmpty } from "./sqliteFile.ts"
import { explain, layerRecording, Statements } from "./support/recordedSql.ts"

ConversationStoreContract.suite(
  "SqlConversationStore on SQLite",
  SqlConversationStore.layer.pipe(Layer.provide(layerEmpty))
)

it.effect("P11: a list of conversations reads no more of them than it may answer with", () =>
  Effect.gen(function*() {
    const store = yield* ConversationStore
    const options = { userId: UserId.make("alice"), limit: 10 }
    assert.deepStrictEqual(yield* explain(store.list(options)), [
      "SEARCH perennial_conversations USING INDEX perennial_conversations_newest (user_id=?)"
    ])
    const [page] = yield* explain(store.list({ ...options, before: ConversationId.make("c1") }))
    assert.strictEqual(
      page,
      "SEARCH perennial_conversations USING INDEX perennial_conversations_newest (user_id=? AND (created_at,id)<(?,?))"
    )
  }).pipe(Effect.provide(
    SqlConversationStore.layer.pipe(
      Layer.provideMerge(layerRecording),
      Layer.provide(layerEmpty),
      Layer.provideMerge(Layer.sync(Statements, () => []))
    )
  )))
