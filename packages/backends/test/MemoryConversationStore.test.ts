import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as MemoryConversationStore from "@perennial/domain/MemoryConversationStore"

ConversationStoreContract.suite("MemoryConversationStore", MemoryConversationStore.layer)
