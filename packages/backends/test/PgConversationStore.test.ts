import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { Context, Effect, Layer } from "effect"
import { layerHurried } from "./support/hurried.ts"
import { layerEmpty, withPostgres } from "./support/postgres.ts"
import { spoilSqlMessages } from "./support/spoil.ts"

withPostgres("the contract of the conversation store on PostgreSQL", (url) =>
  ConversationStoreContract.suite(
    "SqlConversationStore",
    SqlConversationStore.layer.pipe(Layer.provide(layerEmpty(url)), Layer.merge(layerHurried)),
    {
      spoilable: Effect.flatMap(
        Layer.build(Layer.fresh(SqlConversationStore.layer.pipe(Layer.provideMerge(layerEmpty(url))))),
        (context) =>
          Effect.map(
            Effect.provide(spoilSqlMessages, context),
            (spoil) => ({ store: Context.get(context, ConversationStore), spoil })
          )
      )
    }
  ))
