import { describe } from "@effect/vitest"
import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import { Layer } from "effect"
import { layerEmpty, sayIsSkipped, url } from "./support/postgres.ts"

if (url === undefined) {
  sayIsSkipped("the contract of the conversation store on PostgreSQL")
} else {
  const layer = SqlConversationStore.layer.pipe(Layer.provide(layerEmpty(url)))
  // A server that others use, too.
  describe("on PostgreSQL", { timeout: 30_000 }, () => {
    ConversationStoreContract.suite("SqlConversationStore", layer)
  })
}
