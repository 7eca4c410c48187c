/** A prompt of `effect/ai` as the body of `POST /v1/messages`. */
import type Anthropic from "@anthropic-ai/sdk"
import { Predicate, Result, type Schema } from "effect"
import { type LanguageModel, type Prompt, Tool } from "effect/ai"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import { Base64 } from "effect/encoding"
import type { AnthropicSettings } from "../AnthropicModel.ts"

type Block = Anthropic.ContentBlockParam

const imageTypes = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const

/** Where the bytes of a file are: at a URL, or here in base64. */
const sourceOf = ({ data }: Prompt.FilePart): { readonly url: string } | { readonly base64: string } => {
  if (data instanceof Uint8Array) return { base64: Base64.encode(data) }
  const text = typeof data === "string" ? data : data.href
  return /^https?:/.test(text) ? { url: text } : { base64: text }
}

const fileBlock = (part: Prompt.FilePart): Block => {
  const source = sourceOf(part)
  const title = part.fileName ?? null
  if (part.mediaType.startsWith("image/")) {
    if ("url" in source) return { type: "image", source: { type: "url", url: source.url } }
    const type = imageTypes.find((type) => type === part.mediaType)
    if (type !== undefined) {
      return { type: "image", source: { type: "base64", media_type: type, data: source.base64 } }
    }
  }
  if (part.mediaType === "application/pdf") {
    return "url" in source
      ? { type: "document", title, source: { type: "url", url: source.url } }
      : { type: "document", title, source: { type: "base64", media_type: "application/pdf", data: source.base64 } }
  }
  if (part.mediaType.startsWith("text/") && "base64" in source) {
    const data = Result.getOrElse(Base64.decodeString(source.base64), () => "")
    if (data.trim() !== "") {
      return { type: "document", title, source: { type: "text", media_type: "text/plain", data } }
    }
  }
  return {
    type: "text",
    text: `[A file of type ${part.mediaType}, which the model cannot read: ${title ?? "unnamed"}]`
  }
}

const userBlocks = (message: Prompt.UserMessage): ReadonlyArray<Block> =>
  message.content.flatMap((part): ReadonlyArray<Block> => {
    if (part.type === "file") return [fileBlock(part)]
    return part.text.trim() === "" ? [] : [{ type: "text", text: part.text }]
  })

/** A thinking block without its signature is rejected by the API: then it is left out. */
const reasoningBlocks = (part: Prompt.ReasoningPart): ReadonlyArray<Block> => {
  const data: Schema.Json | undefined = part.options["anthropic"]
  if (data === undefined || data === null || typeof data !== "object") return []
  if ("redactedData" in data && typeof data.redactedData === "string") {
    return [{ type: "redacted_thinking", data: data.redactedData }]
  }
  return "signature" in data && typeof data.signature === "string" && data.signature !== ""
    ? [{ type: "thinking", thinking: part.text, signature: data.signature }]
    : []
}

/** The API takes nothing but an object. Arguments that `max_tokens` has cut are no more than a text. */
const inputOf = (params: unknown) => Predicate.isReadonlyObject(params) ? params : {}

const assistantBlocks = (message: Prompt.AssistantMessage): ReadonlyArray<Block> =>
  message.content.flatMap((part): ReadonlyArray<Block> => {
    switch (part.type) {
      case "text":
        return part.text.trim() === "" ? [] : [{ type: "text", text: part.text }]
      case "reasoning":
        return reasoningBlocks(part)
      case "tool-call":
        if (part.providerExecuted) return []
        return [{ type: "tool_use", id: part.id, name: part.name, input: inputOf(part.params) }]
      default:
        return []
    }
  })

const asText = (result: unknown): string => typeof result === "string" ? result : JSON.stringify(result) ?? "null"

const toolBlocks = (message: Prompt.ToolMessage): ReadonlyArray<Block> =>
  message.content.flatMap((part): ReadonlyArray<Block> =>
    part.type === "tool-result"
      ? [{ type: "tool_result", tool_use_id: part.id, is_error: part.isFailure, content: asText(part.result) }]
      : []
  )

export const toMessages = (prompt: Prompt.Prompt): {
  readonly system: Array<Anthropic.TextBlockParam>
  readonly messages: Array<Anthropic.MessageParam>
} => {
  const system: Array<Anthropic.TextBlockParam> = []
  const messages: Array<{ readonly role: "user" | "assistant"; readonly content: Array<Block> }> = []
  // Neighbours of one role become one turn: results of parallel calls have to come in one message.
  const push = (role: "user" | "assistant", blocks: ReadonlyArray<Block>) => {
    if (blocks.length === 0) return
    const last = messages.at(-1)
    if (last?.role === role) last.content.push(...blocks)
    else messages.push({ role, content: [...blocks] })
  }
  for (const message of prompt.content) {
    switch (message.role) {
      case "system":
        if (message.content.trim() !== "") system.push({ type: "text", text: message.content })
        break
      case "user":
        push("user", userBlocks(message))
        break
      case "assistant":
        push("assistant", assistantBlocks(message))
        break
      case "tool":
        push("user", toolBlocks(message))
    }
  }
  return { system, messages }
}

const toTool = (tool: Tool.Any): Anthropic.ToolUnion => {
  const strict = Tool.getStrictMode(tool) === true
  const description = Tool.getDescription(tool)
  const schema = Tool.getJsonSchema(tool, strict ? { transformer: toCodecAnthropic } : {})
  return {
    name: tool.name,
    ...(description === undefined ? {} : { description }),
    input_schema: { ...schema, type: "object" },
    ...(strict ? { strict } : {})
  }
}

const toToolChoice = (choice: LanguageModel.ProviderOptions["toolChoice"]): Anthropic.ToolChoice => {
  if (choice === "none") return { type: "none" }
  if (choice === "auto") return { type: "auto" }
  if (choice === "required") return { type: "any" }
  if ("tool" in choice) return { type: "tool", name: choice.tool }
  return { type: choice.mode === "required" ? "any" : "auto" }
}

const toOutputConfig = (
  settings: AnthropicSettings,
  format: LanguageModel.ProviderOptions["responseFormat"]
): Anthropic.OutputConfig => ({
  ...(settings.effort === undefined ? {} : { effort: settings.effort }),
  ...(format.type === "json"
    ? { format: { type: "json_schema", schema: toCodecAnthropic(format.schema).jsonSchema } }
    : {})
})

const toThinking = (
  thinking: Exclude<AnthropicSettings["thinking"], undefined>
): Anthropic.ThinkingConfigParam => {
  if (typeof thinking === "string") return { type: thinking }
  return "budgetTokens" in thinking ? { type: "enabled", budget_tokens: thinking.budgetTokens } : thinking
}

export const toRequest = (
  settings: AnthropicSettings & { readonly model: string },
  options: LanguageModel.ProviderOptions
): Anthropic.MessageCreateParamsNonStreaming => {
  const { messages, system } = toMessages(options.prompt)
  const lastSystem = system.at(-1)
  const cache = settings.promptCache === false
    ? {}
    : { cache_control: { type: "ephemeral" as const, ttl: settings.promptCache ?? "5m" as const } }
  // The prefix of tools and system prompt is the same for every conversation: it gets a cache entry of its own.
  if (lastSystem !== undefined) system[system.length - 1] = { ...lastSystem, ...cache }
  const output = toOutputConfig(settings, options.responseFormat)
  return {
    model: settings.model,
    max_tokens: settings.maxTokens ?? 16_000,
    messages,
    ...cache,
    ...(system.length === 0 ? {} : { system }),
    ...(options.tools.length === 0
      ? {}
      : { tools: options.tools.map(toTool), tool_choice: toToolChoice(options.toolChoice) }),
    ...(settings.thinking === undefined ? {} : { thinking: toThinking(settings.thinking) }),
    ...(Object.keys(output).length === 0 ? {} : { output_config: output })
  }
}
