/**
 * Keeps tasks and conversations in memory: both ports in one layer, for tests and first steps.
 *
 * The store keeps every promise until its process ends.
 *
 * @since 0.1.0
 */
import { Layer } from "effect"
import type { ConversationStore } from "./ConversationStore.ts"
import * as MemoryConversationStore from "./MemoryConversationStore.ts"
import * as MemoryTaskBackend from "./MemoryTaskBackend.ts"
import type { TaskBackend } from "./TaskBackend.ts"

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<TaskBackend | ConversationStore> = Layer.merge(
  MemoryTaskBackend.layer,
  MemoryConversationStore.layer
)
