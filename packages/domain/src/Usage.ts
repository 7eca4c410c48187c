/**
 * The tokens of model requests.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"

/**
 * Tokens of one or more model requests. `inputTokens` does not include tokens that were read from or written to the prompt
 * cache. `outputTokens` includes `reasoningTokens`. Failed requests are not counted, because their usage is not known.
 *
 * @since 0.1.0
 * @category models
 */
export const Usage = Schema.Struct({
  requests: Schema.Natural,
  inputTokens: Schema.Natural,
  cacheReadTokens: Schema.Natural,
  cacheWriteTokens: Schema.Natural,
  outputTokens: Schema.Natural,
  reasoningTokens: Schema.Natural
}).annotate({ identifier: "Usage" })

/**
 * @since 0.1.0
 * @category models
 */
export type Usage = typeof Usage.Type

/**
 * Nothing used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const zero: Usage = {
  requests: 0,
  inputTokens: 0,
  cacheReadTokens: 0,
  cacheWriteTokens: 0,
  outputTokens: 0,
  reasoningTokens: 0
}

/**
 * The sum of two usages.
 *
 * @since 0.1.0
 * @category combinators
 */
export const add = (a: Usage, b: Usage): Usage => ({
  requests: a.requests + b.requests,
  inputTokens: a.inputTokens + b.inputTokens,
  cacheReadTokens: a.cacheReadTokens + b.cacheReadTokens,
  cacheWriteTokens: a.cacheWriteTokens + b.cacheWriteTokens,
  outputTokens: a.outputTokens + b.outputTokens,
  reasoningTokens: a.reasoningTokens + b.reasoningTokens
})

/**
 * Whether nothing was used.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isZero = (usage: Usage): boolean => usage.requests === 0 && total(usage) === 0

/**
 * All tokens of a usage: input, cache and output.
 *
 * @since 0.1.0
 * @category accessors
 */
export const total = (usage: Usage): number =>
  usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens + usage.outputTokens
