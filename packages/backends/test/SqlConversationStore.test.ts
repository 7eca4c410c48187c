import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { Context, Effect, Layer } from "effect"
import { layerEmpty } from "./sqliteFile.ts"
import { spoilSqlMessages } from "./support/spoil.ts"

ConversationStoreContract.suite(
  "SqlConversationStore on SQLite",
  SqlConversationStore.layer.pipe(Layer.provide(layerEmpty)),
  {
    spoilable: Effect.flatMap(
      Layer.build(Layer.fresh(SqlConversationStore.layer.pipe(Layer.provideMerge(layerEmpty)))),
      (context) =>
        Effect.map(
          Effect.provide(spoilSqlMessages, context),
          (spoil) => ({ store: Context.get(context, ConversationStore), spoil })
        )
    )
  }
)
