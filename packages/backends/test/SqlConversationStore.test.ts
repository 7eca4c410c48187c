import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import { Layer } from "effect"
import { layerEmpty } from "./sqliteFile.ts"

ConversationStoreContract.suite(
  "SqlConversationStore on SQLite",
  SqlConversationStore.layer.pipe(Layer.provide(layerEmpty))
)
