/**
 * Intents: durable requests to the owner of a task, or to the owners of its child tasks.
 *
 * @since 0.1.0
 */
import { Option, Schema } from "effect"

/**
 * A durable request to the owner of a task: `cancel`, `decision/<toolCallId>`. `end/<attempt>` is one to the owners of its child
 * tasks. Other keys have no meaning.
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

/**
 * The key by which an attempt at a task says that it ends: a child task that is claimed later, and whose parent is still at this
 * attempt, does not begin. Its value has no meaning.
 *
 * @since 0.1.0
 * @category constants
 */
export const endKey = (attempt: number): string => `end/${attempt}`

const decodeJson = Schema.decodeOption(Schema.fromJsonString(Schema.Json))

/**
 * The value of an intent that a store keeps as the text of JSON. Null when the text is not JSON: a cancel stays a cancel, and
 * a decision that cannot be read allows nothing.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeValue = (text: string): Schema.Json => Option.getOrElse(decodeJson(text), () => null)
