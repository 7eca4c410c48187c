/**
 * The decision of a person about a tool call that waits for approval.
 *
 * @since 0.1.0
 */
import { type Effect, Schema } from "effect"
import * as ContentBounds from "./ContentBounds.ts"
import * as Input from "./Input.ts"
import type { InvalidInput } from "./TaskError.ts"

/**
 * The decision of a person about a tool call. Stored decisions are decoded with this schema.
 *
 * @since 0.1.0
 * @category models
 */
export const Decision = Schema.Struct({
  approved: Schema.Boolean,
  reason: Schema.optionalKey(Schema.String),
  /** Replaces the arguments of the call. Ignored unless `approved`. */
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
 * How large `args` may be, in characters of JSON: 64 Ki, nested at most 64 levels deep.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxArgsLength = 64 * 1024

/**
 * A decision as a person gives it, with bounds (P11). `Decision`, which decodes stored decisions, has no bounds, so that the
 * bounds may change.
 *
 * @since 0.1.0
 * @category models
 */
export const DecisionInput = Schema.Struct({
  approved: Decision.fields.approved,
  reason: Schema.optionalKey(
    ContentBounds.WellFormedText.check(
      Schema.makeFilter(({ length }: string) =>
        length > maxReasonLength ? `has ${length} characters: at most ${maxReasonLength} are accepted` : undefined
      )
    )
  ),
  args: Schema.optionalKey(ContentBounds.boundedJsonSchema(maxArgsLength))
}).annotate({ identifier: "DecisionInput" })

/**
 * Decodes and checks the decision that a person gives.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { Decision } from "@perennial/domain"
 * import { Effect } from "effect"
 *
 * Effect.runSync(Decision.decode({ approved: true, args: { id: 1 } })) // => { approved: true, args: { id: 1 } }
 * const refused = Effect.runSync(Effect.flip(Decision.decode({ approved: false, reason: "x".repeat(2_000) })))
 * refused.message // => "`reason` has 2000 characters: at most 1000 are accepted."
 * ```
 *
 * @since 0.1.0
 * @category decoding
 */
export const decode: (decision: Decision) => Effect.Effect<Decision, InvalidInput> = Input.decoder(
  DecisionInput,
  "decision"
)
