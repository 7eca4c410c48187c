import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import { Layer } from "effect"
import { layerEmpty, withPostgres } from "./support/postgres.ts"

withPostgres("the contract of the conversation store on PostgreSQL", (url) =>
  ConversationStoreContract.suite(
    "SqlConversationStore",
    SqlConversationStore.layer.pipe(Layer.provide(layerEmpty(url)))
  ))
