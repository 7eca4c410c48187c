/**
 * Intents: durable requests to the owner of a task.
 *
 * @since 0.1.0
 */
import { Option, Schema } from "effect"

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

const decisionPrefix = "decision/"

/**
 * The key of the decision about a tool call.
 *
 * @since 0.1.0
 * @category constants
 */
export const decisionKey = (toolCallId: string): string => `${decisionPrefix}${toolCallId}`

/**
 * Whether a key is one of a decision about a tool call.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isDecisionKey = (key: string): boolean => key.startsWith(decisionPrefix)

const decodeJson = Schema.decodeOption(Schema.fromJsonString(Schema.Json))

/**
 * The value of an intent that a store keeps as the text of JSON. Null when the text is not JSON: a cancel stays a cancel, and
 * a decision that cannot be read allows nothing.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeValue = (text: string): Schema.Json => Option.getOrElse(decodeJson(text), () => null)
