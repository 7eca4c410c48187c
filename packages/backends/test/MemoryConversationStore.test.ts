import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as MemoryConversationStore from "@perennial/backends/MemoryConversationStore"

ConversationStoreContract.suite("MemoryConversationStore", MemoryConversationStore.layer)
