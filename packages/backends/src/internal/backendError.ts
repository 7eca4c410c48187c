/**
 * The errors of the storage ports, with the operation that failed.
 */
import { ConversationStoreError, TaskBackendError } from "@perennial/domain/TaskError"
import { WebhookStoreError } from "@perennial/domain/WebhookStore"

export const toTaskBackendError = (operation: string) => (cause: unknown): TaskBackendError =>
  new TaskBackendError({ operation, cause })

export const toConversationStoreError = (operation: string) => (cause: unknown): ConversationStoreError =>
  new ConversationStoreError({ operation, cause })

export const toWebhookStoreError = (operation: string) => (cause: unknown): WebhookStoreError =>
  new WebhookStoreError({ operation, cause })
