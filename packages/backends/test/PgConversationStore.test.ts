import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import { Layer } from "effect"
import { layerEmpty, sayIsSkipped, url } from "./support/postgres.ts"

if (url === undefined) {
  sayIsSkipped("the contract of the conversation store on PostgreSQL")
} else {
  ConversationStoreContract.suite(
    "SqlConversationStore on PostgreSQL",
    SqlConversationStore.layer.pipe(Layer.provide(layerEmpty(url)))
  )
}
