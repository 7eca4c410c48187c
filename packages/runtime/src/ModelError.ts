/**
 * What a provider tells an agent beside what `AiError` and `Response` have words for: failures that the agent treats in a
 * way of their own, as the `constraint` of an `AiError.InvalidRequestError`, and why a model refused to answer.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { Response } from "effect/ai"

/**
 * The prompt is larger than the model's context window. The agent shortens it and asks once more.
 *
 * @since 0.1.0
 * @category constants
 */
export const contextExceeded = "context window exceeded"

/**
 * The provider has no such model. The agent asks the next model of its chain.
 *
 * @since 0.1.0
 * @category constants
 */
export const unknownModel = "unknown model"

/**
 * The metadata of a `finish` part whose reason is `content-filter`. The category becomes part of the error that the user
 * sees.
 *
 * @since 0.1.0
 * @category refusals
 */
export const refusal = (category: string) => ({ perennial: { refusal: category } })

const Refusal = Schema.Struct({ perennial: Schema.Struct({ refusal: Schema.String }) })

/**
 * Why the model refused to answer, if the provider says so by `refusal`.
 *
 * @since 0.1.0
 * @category refusals
 */
export const refusalOf = (metadata: Response.ProviderMetadata): string | undefined =>
  Schema.is(Refusal)(metadata) ? metadata.perennial.refusal : undefined
