/**
 * Intents: durable requests to the owner of a task.
 *
 * @since 0.1.0
 */
import type { Schema } from "effect"

/**
 * A durable request to the owner of a task. Keys: `cancel`, `decision/<toolCallId>`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Intent {
  readonly key: string
  readonly value: Schema.Json
}

/**
 * The key of a cancel intent; its value is `{ reason?: string }`.
 *
 * @since 0.1.0
 * @category constants
 */
export const cancelKey = "cancel"

/**
 * The reason that the value of a cancel carries.
 *
 * @since 0.1.0
 * @category accessors
 */
export const cancelReason = (value: Schema.Json): string | undefined => {
  const reason: Schema.Json | undefined = typeof value === "object" && value !== null && "reason" in value
    ? value.reason
    : undefined
  return typeof reason === "string" ? reason : undefined
}

/**
 * The reason of the cancels that a start with `interrupt` records.
 *
 * @since 0.1.0
 * @category constants
 */
export const interruptReason = "interrupted by a newer message"

/**
 * The key of the decision about a tool call.
 *
 * @since 0.1.0
 * @category constants
 */
export const decisionKey = (toolCallId: string): string => `decision/${toolCallId}`
