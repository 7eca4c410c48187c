/** The parts that a model of the AI SDK streams, as parts of `effect/ai`. */
import type {
  LanguageModelV4Content,
  LanguageModelV4FinishReason,
  LanguageModelV4StreamPart,
  LanguageModelV4Usage,
  SharedV4ProviderMetadata
} from "@ai-sdk/provider"
import { Option, Schema } from "effect"
import type { Response } from "effect/ai"
import * as ProviderParts from "../history/providerParts.ts"

interface Metadata {
  readonly metadata?: { readonly [provider: string]: Schema.Json }
}

const toJson = Schema.encodeUnknownOption(Schema.fromJsonString(Schema.Unknown))
const parseMetadata = Schema.decodeOption(Schema.fromJsonString(Schema.Record(Schema.String, Schema.Json)))
const parseJson = Schema.decodeOption(Schema.fromJsonString(Schema.Unknown))

/** Some providers write `undefined` into what is JSON by its type. JSON text does not have it. */
const metadataOf = (part: { readonly providerMetadata?: SharedV4ProviderMetadata | undefined }): Metadata => {
  if (part.providerMetadata === undefined) return {}
  const metadata = Option.getOrUndefined(Option.flatMap(toJson(part.providerMetadata), parseMetadata))
  return metadata === undefined || Object.keys(metadata).length === 0 ? {} : { metadata }
}

const isAnnotated = Schema.is(Schema.Struct({
  annotations: Schema.Array(
    Schema.Struct({ url: Schema.optional(Schema.String), title: Schema.optional(Schema.String) })
  )
}))

/** Where OpenAI says which sources a text cites. */
const citing = ({ providerMetadata = {} }: { readonly providerMetadata?: SharedV4ProviderMetadata | undefined }) =>
  ProviderParts.citing(
    Object.values(providerMetadata).flatMap((data) => isAnnotated(data) ? data.annotations : []).flatMap(
      ({ title, url }) => url === undefined ? [] : [{ url, ...(title === undefined ? {} : { title }) }]
    )
  )

/** The model whose thinking a part is: no other model gets it back. */
export const thinkingOf = (model: string) => ({ perennial: { model } })

/** An empty text means no arguments. A text that is not JSON is kept: the schema of the parameters rejects it. */
const paramsOf = (input: string): unknown => input.trim() === "" ? {} : Option.getOrElse(parseJson(input), () => input)

/** `pause_turn` is Anthropic's: the model continues the answer in the next request. */
const reasonOf = ({ raw, unified }: LanguageModelV4FinishReason): Response.FinishReason => {
  if (raw === "pause_turn") return "pause"
  return unified === "interrupted" ? "error" : unified
}

export const finishPart = (finish: {
  readonly usage: LanguageModelV4Usage
  readonly finishReason: LanguageModelV4FinishReason
  readonly providerMetadata?: SharedV4ProviderMetadata | undefined
}): Response.FinishPartEncoded => {
  const { cacheRead, cacheWrite, noCache, total } = finish.usage.inputTokens
  return {
    type: "finish",
    reason: reasonOf(finish.finishReason),
    usage: {
      inputTokens: { total, uncached: noCache, cacheRead, cacheWrite },
      outputTokens: finish.usage.outputTokens
    },
    ...metadataOf(finish)
  }
}

/** Left out: files that the model makes. */
export const toStreamParts = (
  part: LanguageModelV4StreamPart,
  model: string
): ReadonlyArray<Response.StreamPartEncoded> => {
  switch (part.type) {
    case "text-end":
      return [{ type: part.type, id: part.id, metadata: { ...metadataOf(part).metadata, ...citing(part) } }]
    case "text-start":
    case "reasoning-end":
      return [{ type: part.type, id: part.id, ...metadataOf(part) }]
    case "reasoning-start":
      return [{ type: part.type, id: part.id, metadata: { ...metadataOf(part).metadata, ...thinkingOf(model) } }]
    case "text-delta":
    case "reasoning-delta":
      return [{ type: part.type, id: part.id, delta: part.delta, ...metadataOf(part) }]
    case "tool-input-start":
      return part.providerExecuted === true ? [] : [{ type: "tool-params-start", id: part.id, name: part.toolName }]
    case "tool-call":
      return toolCall(part, model)
    case "tool-result":
      return toolResult(part, model)
    case "source":
      return [sourcePart(part)]
    case "response-metadata":
      return [{
        type: "response-metadata",
        ...(part.id === undefined ? {} : { id: part.id }),
        ...(part.modelId === undefined ? {} : { modelId: part.modelId })
      }]
    case "finish":
      return [finishPart(part)]
    default:
      return []
  }
}

const toolCall = (
  part: Extract<LanguageModelV4Content, { readonly type: "tool-call" }>,
  model: string
): ReadonlyArray<Response.ToolCallPartEncoded> => {
  const call = { type: "tool-call", id: part.toolCallId, name: part.toolName, params: paramsOf(part.input) } as const
  return part.providerExecuted === true
    ? [{ ...call, providerExecuted: true, metadata: { ...metadataOf(part).metadata, ...thinkingOf(model) } }]
    : [{ ...call, ...metadataOf(part) }]
}

/** The result of a tool that the provider executed. */
const toolResult = (
  part: Extract<LanguageModelV4Content, { readonly type: "tool-result" }>,
  model: string
): ReadonlyArray<Response.ToolCallPartEncoded> =>
  part.preliminary === true ? [] : [{
    type: "tool-call",
    id: part.toolCallId,
    name: part.toolName,
    params: part.result,
    providerExecuted: true,
    metadata: { ...metadataOf(part).metadata, ...ProviderParts.result(model) }
  }]

const sourcePart = (
  part: Extract<LanguageModelV4Content, { readonly type: "source" }>
): Response.UrlSourcePartEncoded | Response.DocumentSourcePartEncoded =>
  part.sourceType === "url" && URL.canParse(part.url)
    ? { type: "source", sourceType: "url", id: part.id, url: part.url, title: part.title ?? "" }
    : {
      type: "source",
      sourceType: "document",
      id: part.id,
      mediaType: part.sourceType === "document" ? part.mediaType : "text/html",
      title: part.title ?? (part.sourceType === "url" ? part.url : "")
    }

/** A part of an answer in one piece. */
export const toParts = (part: LanguageModelV4Content, model: string): ReadonlyArray<Response.PartEncoded> => {
  switch (part.type) {
    case "text":
      return [{ type: "text", text: part.text, ...metadataOf(part) }]
    case "reasoning":
      return [{
        type: "reasoning",
        text: part.text,
        metadata: { ...metadataOf(part).metadata, ...thinkingOf(model) }
      }]
    // Calls that the provider executed are not declared. Only streams may have them.
    case "tool-call":
      return part.providerExecuted === true ? [] : toolCall(part, model)
    default:
      return []
  }
}
