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

/**
 * How long `reason` may be, in characters.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxReasonLength = 1_000

/**
 * How large `args` may be, in characters of JSON: 64 Ki.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxArgsLength = 64 * 1024

const isJson = Schema.is(Schema.Json)

/**
 * Which field of a decision cannot be accepted, and why, to be read after the field's name; nothing if it can. Checked
 * where a decision is given, not where a stored one is read, so that the bounds may change (P11).
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { Decision } from "@perennial/domain"
 *
 * Decision.problemOf({ approved: true, args: { id: 1 } }) // => undefined
 * Decision.problemOf({ approved: false, reason: "x".repeat(2_000) })?.problem // => "has 2000 characters: at most 1000 are accepted"
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const problemOf = (
  { args, reason }: Decision
): { readonly field: "reason" | "args"; readonly problem: string } | undefined => {
  if (reason !== undefined && reason.length > maxReasonLength) {
    return {
      field: "reason",
      problem: `has ${reason.length} characters: at most ${maxReasonLength} are accepted`
    }
  }
  if (args === undefined) return undefined
  if (!isJson(args)) return { field: "args", problem: "is not JSON" }
  const { length } = JSON.stringify(args)
  return length > maxArgsLength
    ? { field: "args", problem: `has ${length} characters of JSON: at most ${maxArgsLength} are accepted` }
    : undefined
}
