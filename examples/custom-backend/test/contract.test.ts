import * as ConversationStoreContract from "@perennial/backends/ConversationStoreContract"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import * as FileConversationStore from "../src/FileConversationStore.ts"
import * as FileTaskBackend from "../src/FileTaskBackend.ts"
import { overEmpty } from "./files.ts"

TaskBackendContract.suite("FileTaskBackend", overEmpty(FileTaskBackend.layer))
ConversationStoreContract.suite("FileConversationStore", overEmpty(FileConversationStore.layer))
