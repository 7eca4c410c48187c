/**
 * Makes the stored messages of a conversation acceptable and small enough for the next model request, and maps them to and
 * from the prompts of `effect/ai`. All functions are pure.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category combinators
 */
export { limitFiles } from "./internal/history/files.ts"

/**
 * @since 0.1.0
 * @category combinators
 */
export { fit } from "./internal/history/fit.ts"

/**
 * @since 0.1.0
 * @category conversions
 */
export { fromAssistantMessage, toPromptMessage } from "./internal/history/promptMessages.ts"

/**
 * @since 0.1.0
 * @category combinators
 */
export { repair } from "./internal/history/repair.ts"

/**
 * @since 0.1.0
 * @category accessors
 */
export { estimateTextTokens, estimateTokens } from "./internal/history/tokens.ts"
