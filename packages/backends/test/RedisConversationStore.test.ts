import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as RedisConversationStore from "@perennial/backends/RedisConversationStore"
import { layerEmpty, withRedis } from "./support/redis.ts"

withRedis("RedisConversationStore", (url) => {
  ConversationStoreContract.suite(
    "RedisConversationStore",
    layerEmpty(url, (prefix) => RedisConversationStore.layerWith({ prefix }))
  )
})
