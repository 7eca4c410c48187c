import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as RedisConversationStore from "@perennial/backends/RedisConversationStore"
import { layerEmpty, sayIsSkipped, url } from "./redisServer.ts"

if (url === undefined) {
  sayIsSkipped("the contract of the conversation store on Redis")
} else {
  ConversationStoreContract.suite(
    "RedisConversationStore",
    layerEmpty(url, (prefix) => RedisConversationStore.layerWith({ prefix }))
  )
}
