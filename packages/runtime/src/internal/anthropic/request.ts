/** A prompt of `effect/ai` as the body of `POST /v1/messages`. */
import type Anthropic from "@anthropic-ai/sdk"
import { Predicate, Result, type Schema } from "effect"
import { type LanguageModel, type Prompt, Tool } from "effect/ai"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import { Base64 } from "effect/encoding"
import type { ModelSettings } from "../../ModelSettings.ts"

type Block = Anthropic.ContentBlockParam

export const defaultMaxTokens = 16_000

/** The settings that become fields of a request. */
export interface RequestSettings extends Omit<ModelSettings, "thinking"> {
  readonly model?: Anthropic.Model | undefined
  /** The longest answer in tokens, including thinking. 16,000 by default. */
  readonly maxTokens?: number | undefined
  /** The form of the API, which has more kinds, is accepted as well. */
  readonly thinking?: ModelSettings["thinking"] | Anthropic.ThinkingConfigParam
  /** 5 minutes by default. */
  readonly promptCache?: "5m" | "1h" | false | undefined
}

const imageTypes = ["image/jpeg", "image/png", "image/gif", "image/webp"] as const

/** The source of a file: a URL, or base64. */
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

/** A thinking block without a signature is left out, because the API would refuse it. */
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

/** The API accepts only an object. Arguments that `max_tokens` has cut are a text. */
const inputOf = (params: unknown) => Predicate.isReadonlyObject(params) ? params : {}

/**
 * Ids and names with characters that the API accepts, because other providers have other characters. The first valid id is
 * unchanged. Different ids stay different. The result for an id stays the same while the conversation grows.
 */
const makeValid = (first: ReadonlyArray<string> = []) => {
  const given = new Map<string, string>()
  const taken = new Set<string>()
  const valid = (name: string): string => {
    const known = given.get(name)
    if (known !== undefined) return known
    const base = name.replace(/[^a-zA-Z0-9_-]/g, "_").slice(0, 128) || "_"
    let out = base
    for (let n = 2; taken.has(out); n++) out = `${base.slice(0, 120)}_${n}`
    given.set(name, out)
    taken.add(out)
    return out
  }
  for (const name of first) valid(name)
  return valid
}

type Valid = ReturnType<typeof makeValid>

const assistantBlocks = (message: Prompt.AssistantMessage, id: Valid, name: Valid): ReadonlyArray<Block> =>
  message.content.flatMap((part): ReadonlyArray<Block> => {
    switch (part.type) {
      case "text":
        return part.text.trim() === "" ? [] : [{ type: "text", text: part.text }]
      case "reasoning":
        return reasoningBlocks(part)
      case "tool-call":
        if (part.providerExecuted) return []
        return [{ type: "tool_use", id: id(part.id), name: name(part.name), input: inputOf(part.params) }]
      default:
        return []
    }
  })

const asText = (result: unknown): string => typeof result === "string" ? result : JSON.stringify(result) ?? "null"

/** The API refuses an error without a text. */
const resultOf = ({ isFailure, result }: Prompt.ToolResultPart): string => {
  const text = asText(result)
  return isFailure && text.trim() === "" ? "(no message)" : text
}

const toolBlocks = (message: Prompt.ToolMessage, id: Valid): ReadonlyArray<Block> =>
  message.content.flatMap((part): ReadonlyArray<Block> =>
    part.type === "tool-result"
      ? [{ type: "tool_result", tool_use_id: id(part.id), is_error: part.isFailure, content: resultOf(part) }]
      : []
  )

interface Turn {
  readonly role: "user" | "assistant"
  readonly content: Array<Block>
}

const toMessages = (prompt: Prompt.Prompt, tools: ReadonlyArray<string>): {
  readonly system: Array<Anthropic.TextBlockParam>
  readonly messages: Array<Turn>
} => {
  const system: Array<Anthropic.TextBlockParam> = []
  const messages: Array<Turn> = []
  const id = makeValid()
  const name = makeValid(tools)
  // Consecutive messages of one role become one turn: the API wants the results of parallel calls in one message.
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
        push("assistant", assistantBlocks(message, id, name))
        break
      case "tool":
        push("user", toolBlocks(message, id))
    }
  }
  return { system, messages }
}

/**
 * If thinking has a budget, the API wants a turn with tools, over several requests, to begin with thinking. A turn that
 * another provider began does not.
 */
const mayThink = (messages: ReadonlyArray<Turn>): boolean => {
  let at = messages.findLastIndex(({ role }) => role === "assistant")
  if (messages[at]?.content.some(({ type }) => type === "tool_use") !== true) return true
  while (at >= 2 && messages[at - 1]?.content.every(({ type }) => type === "tool_result") === true) at -= 2
  const first = messages[at]?.content[0]?.type
  return first === "thinking" || first === "redacted_thinking"
}

const toTool = (tool: Tool.Any): Anthropic.Tool => {
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

/** A tool that would make the API refuse every request, and the reason. */
export interface LeftOut {
  readonly name: string
  readonly why: string
}

const problemOf = ({ input_schema: schema, name }: Anthropic.Tool): string | undefined => {
  if (!/^[a-zA-Z0-9_-]{1,128}$/.test(name)) return "its name is not of 1 to 128 letters, digits, \"_\" and \"-\""
  const key = ["oneOf", "anyOf", "allOf"].find((key) => key in schema)
  return key === undefined ? undefined : `its parameters have "${key}" at the root, not the fields of one object`
}

const toTools = (all: ReadonlyArray<Tool.Any>) => {
  const tools = new Map<string, Anthropic.Tool>()
  const leftOut: Array<LeftOut> = []
  for (const tool of all.map(toTool)) {
    const { name } = tool
    const why = problemOf(tool) ?? (tools.has(name) ? "another one has the same name" : undefined)
    if (why === undefined) tools.set(name, tool)
    else leftOut.push({ name, why })
  }
  return { tools: [...tools.values()], leftOut }
}

const toToolChoice = (choice: LanguageModel.ProviderOptions["toolChoice"]): Anthropic.ToolChoice => {
  if (choice === "none") return { type: "none" }
  if (choice === "auto") return { type: "auto" }
  if (choice === "required") return { type: "any" }
  if ("tool" in choice) return { type: "tool", name: choice.tool }
  return { type: choice.mode === "required" ? "any" : "auto" }
}

const toOutputConfig = (
  settings: RequestSettings,
  format: LanguageModel.ProviderOptions["responseFormat"]
): Anthropic.OutputConfig => ({
  ...(settings.effort === undefined ? {} : { effort: settings.effort }),
  ...(format.type === "json"
    ? { format: { type: "json_schema", schema: toCodecAnthropic(format.schema).jsonSchema } }
    : {})
})

const toThinking = (
  thinking: Exclude<RequestSettings["thinking"], undefined>
): Anthropic.ThinkingConfigParam => {
  if (typeof thinking === "string") return { type: thinking }
  return "budgetTokens" in thinking ? { type: "enabled", budget_tokens: thinking.budgetTokens } : thinking
}

export const toRequest = (
  settings: RequestSettings & { readonly model: string },
  options: Pick<LanguageModel.ProviderOptions, "prompt" | "tools" | "toolChoice" | "responseFormat">
): { readonly request: Anthropic.MessageCreateParamsNonStreaming; readonly leftOut: ReadonlyArray<LeftOut> } => {
  const { leftOut, tools } = toTools(options.tools)
  const { messages, system } = toMessages(options.prompt, tools.map((tool) => tool.name))
  const lastSystem = system.at(-1)
  const cache = settings.promptCache === false
    ? {}
    : { cache_control: { type: "ephemeral" as const, ttl: settings.promptCache ?? "5m" as const } }
  // Tools and system prompt are the same for every conversation, so they get a cache entry of their own.
  if (lastSystem !== undefined) system[system.length - 1] = { ...lastSystem, ...cache }
  const thinking = settings.thinking === undefined ? undefined : toThinking(settings.thinking)
  const output = toOutputConfig(settings, options.responseFormat)
  const request: Anthropic.MessageCreateParamsNonStreaming = {
    model: settings.model,
    max_tokens: settings.maxTokens ?? defaultMaxTokens,
    messages,
    ...cache,
    ...(system.length === 0 ? {} : { system }),
    ...(tools.length === 0 ? {} : { tools, tool_choice: toToolChoice(options.toolChoice) }),
    ...(thinking === undefined
      ? {}
      : { thinking: thinking.type !== "enabled" || mayThink(messages) ? thinking : { type: "disabled" } }),
    ...(Object.keys(output).length === 0 ? {} : { output_config: output })
  }
  return { request, leftOut }
}
