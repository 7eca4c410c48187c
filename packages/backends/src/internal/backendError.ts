/**
 * The errors of the storage ports, with the operation that failed.
 */
import { ConversationStoreError, TaskBackendError } from "@perennial/domain/TaskError"

export const toTaskBackendError = (operation: string) => (cause: unknown): TaskBackendError =>
  new TaskBackendError({ operation, cause })

export const toConversationStoreError = (operation: string) => (cause: unknown): ConversationStoreError =>
  new ConversationStoreError({ operation, cause })
