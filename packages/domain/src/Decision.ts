/**
 * What a person decides about a tool call that waits for approval.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * A person's answer to a tool call that waits for approval.
 *
 * @since 0.1.0
 * @category models
 */
export const Decision = Schema.Struct({
  approved: Schema.Boolean,
  reason: Schema.optionalKey(Schema.String),
  /** Replaces the arguments of the call; only with `approved`. */
  args: Schema.optionalKey(Schema.Json)
})

/**
 * @since 0.1.0
 * @category models
 */
export type Decision = typeof Decision.Type
