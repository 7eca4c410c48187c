/**
 * Keeps tasks, conversations and webhooks in memory: all ports in one layer, for tests and first steps.
 *
 * The store keeps every promise until its process ends.
 *
 * @since 0.1.0
 */
import { Layer } from "effect"
import type { ConversationStore } from "./ConversationStore.ts"
import * as MemoryConversationStore from "./MemoryConversationStore.ts"
import * as MemoryTaskBackend from "./MemoryTaskBackend.ts"
import * as MemoryWebhookStore from "./MemoryWebhookStore.ts"
import type { TaskBackend } from "./TaskBackend.ts"
import type { WebhookStore } from "./WebhookStore.ts"

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<TaskBackend | ConversationStore | WebhookStore> = Layer.mergeAll(
  MemoryTaskBackend.layer,
  MemoryConversationStore.layer,
  MemoryWebhookStore.layer
)
