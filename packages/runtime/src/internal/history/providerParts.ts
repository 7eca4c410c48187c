/**
 * What `effect/ai` has no words for: sources that a text cites, and results of tools that are not declared. Providers write it
 * into the metadata of parts, under the key `perennial`.
 */
import type { Citation } from "@perennial/domain/Message"
import { Schema, Struct } from "effect"
import type { LanguageModel, Prompt, Response } from "effect/ai"

const key = "perennial"

const CitationsOf = Schema.Struct({
  [key]: Schema.Struct({
    citations: Schema.Array(Schema.Struct({
      url: Schema.optionalKey(Schema.String),
      title: Schema.optionalKey(Schema.String),
      citedText: Schema.optionalKey(Schema.String)
    }))
  })
})
const hasCitations = Schema.is(CitationsOf)

const isObject = Schema.is(Schema.Record(Schema.String, Schema.Json))

/** Options without a field of ours. */
const without = (options: Prompt.ProviderOptions, field: string): Prompt.ProviderOptions => {
  const own = options[key]
  const rest = isObject(own) ? Struct.omit(own, [field]) : {}
  return Object.keys(rest).length === 0 ? Struct.omit(options, [key]) : { ...options, [key]: rest }
}

/** The metadata of a text that cites sources. */
export const citing = (citations: ReadonlyArray<Citation>): Response.ProviderMetadata =>
  citations.length === 0 ? {} : { [key]: { citations } }

/** The sources that a text cites, and its other options. */
export const citationsOf = ({ options }: Prompt.TextPart): {
  readonly citations: { readonly citations?: ReadonlyArray<Citation> }
  readonly options: Prompt.ProviderOptions
} =>
  hasCitations(options)
    ? { citations: { citations: options[key].citations }, options: without(options, "citations") }
    : { citations: {}, options }

/**
 * A decoder of `effect/ai` accepts calls of tools that are not declared, but not their results. A result is therefore a call
 * with this metadata, whose parameters are the result. `model` is the model that made it, if no other model may get it back.
 */
export const result = (model?: string): Response.ProviderMetadata => ({
  [key]: { result: true, ...(model === undefined ? {} : { model }) }
})
const isMarked = Schema.is(Schema.Struct({ [key]: Schema.Struct({ result: Schema.Literal(true) }) }))

/**
 * Whether a part may be in the answer to a request. Tools that the provider executes are not declared: only requests whose
 * calls are checked later, as those of agents, accept such parts.
 */
export const declaredFor = ({ toolCallValidation }: LanguageModel.ProviderOptions) =>
(
  part: Response.StreamPartEncoded
): boolean => toolCallValidation === "deferred" || part.type !== "tool-call" || part.providerExecuted !== true

/** Whether a call that the provider executed stands for its result, and its other options. */
export const kindOf = ({ options }: Prompt.ToolCallPart): {
  readonly isResult: boolean
  readonly options: Prompt.ProviderOptions
} =>
  isMarked(options)
    ? { isResult: true, options: without(options, "result") }
    : { isResult: false, options }
