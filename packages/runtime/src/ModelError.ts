/**
 * What a provider tells an agent beside what `AiError` and `Response` have words for: failures that the agent treats in a
 * way of their own, as the `constraint` of an `AiError.InvalidRequestError`, and why a model refused to answer.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import type { AiError, Response } from "effect/ai"

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
 * The model cannot read a file of the prompt. The agent replaces the file by a note for the model and asks once more. The
 * provider says by `refusedFile` which file it is, if it knows.
 *
 * @since 0.1.0
 * @category constants
 */
export const fileRefused = "file refused"

/**
 * The metadata of an `InvalidRequestError` whose constraint is `fileRefused`: the position of the file in the prompt.
 *
 * @since 0.1.0
 * @category refusals
 */
export const refusedFile = (position: { readonly message: number; readonly part: number }) => ({
  perennial: { refusedFile: { message: position.message, part: position.part } }
})

const RefusedFile = Schema.Struct({
  perennial: Schema.Struct({ refusedFile: Schema.Struct({ message: Schema.Int, part: Schema.Int }) })
})

/**
 * The position of the refused file in the prompt, if the provider says it by `refusedFile`.
 *
 * @since 0.1.0
 * @category refusals
 */
export const refusedFileOf = (
  metadata: AiError.ProviderMetadata
): { readonly message: number; readonly part: number } | undefined =>
  Schema.is(RefusedFile)(metadata) ? metadata.perennial.refusedFile : undefined

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
