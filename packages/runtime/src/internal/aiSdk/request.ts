/** A prompt of `effect/ai` as the options of a call of the AI SDK. */
import type {
  LanguageModelV4CallOptions,
  LanguageModelV4FilePart,
  LanguageModelV4FunctionTool,
  LanguageModelV4Message,
  LanguageModelV4ProviderTool,
  LanguageModelV4TextPart,
  LanguageModelV4ToolChoice,
  LanguageModelV4ToolResultOutput,
  SharedV4ProviderOptions
} from "@ai-sdk/provider"
import { Option, Predicate, Result, Schema } from "effect"
import { type LanguageModel, type Prompt, Tool } from "effect/ai"
import { toCodecOpenAI } from "effect/ai/OpenAiStructuredOutput"
import { Base64 } from "effect/encoding"
import type { AnswerForm, ModelSettings } from "../../ModelSettings.ts"

/** What the request depends on beside the prompt. */
export interface Target {
  /** The name of the model, as its thinking has it. */
  readonly model: string
  /** The URLs that the provider fetches itself, by media type: `*`, `image/*`, `application/pdf`. */
  readonly urls: Readonly<Record<string, ReadonlyArray<RegExp>>>
}

export interface RequestSettings extends ModelSettings {
  /**
   * Tools that the provider executes itself within an answer, as its package makes them, by the names that the model sees:
   * `{ web_search: openai.tools.webSearch() }`. Their names are taken: an agent's tool of the same name is left out.
   */
  readonly providerTools?: Readonly<Record<string, ProviderTool>> | undefined
  readonly providerOptions?: SharedV4ProviderOptions | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** A tool of a provider package that the provider executes itself. */
export interface ProviderTool {
  readonly id: `${string}.${string}`
  readonly args: { readonly [name: string]: unknown }
}

interface ProviderOptions {
  readonly providerOptions?: SharedV4ProviderOptions
}

const isJson = Schema.is(Schema.Json)
const isJsonObject = Schema.is(Schema.Record(Schema.String, Schema.Json))
const isOptions = Schema.is(Schema.Record(Schema.String, Schema.Record(Schema.String, Schema.MutableJson)))

/** Each provider reads what is under its own name. The key `perennial` is ours. */
const optionsOf = ({ options }: { readonly options: Prompt.ProviderOptions }): ProviderOptions => {
  const { perennial: _, ...others } = options
  const known = Object.fromEntries(Object.entries(others).filter(([, data]) => Predicate.isReadonlyObject(data)))
  return Object.keys(known).length > 0 && isOptions(known) ? { providerOptions: known } : {}
}

const isFetched = (url: URL, mediaType: string, { urls }: Target): boolean =>
  Object.entries(urls).some(([type, patterns]) =>
    (type === "*" || type === "*/*" || type === mediaType || type === `${mediaType.split("/")[0]}/*`) &&
    patterns.some((pattern) => pattern.test(url.href))
  )

const parseUrl = Schema.decodeOption(Schema.URLFromString)

const urlOf = (data: Prompt.FilePart["data"]): URL | undefined => {
  if (data instanceof URL) return data
  return Predicate.isString(data) && /^https?:/.test(data) ? Option.getOrUndefined(parseUrl(data)) : undefined
}

/** A text file becomes text, which every model reads. Of a URL that the provider does not fetch, the model is told. */
const filePart = (part: Prompt.FilePart, target: Target): LanguageModelV4TextPart | LanguageModelV4FilePart => {
  const { data, fileName, mediaType } = part
  const name = fileName ?? "unnamed"
  const url = urlOf(data)
  const filename = fileName === undefined ? {} : { filename: fileName }
  if (url !== undefined) {
    return isFetched(url, mediaType, target)
      ? { type: "file", mediaType, ...filename, data: { type: "url", url }, ...optionsOf(part) }
      : { type: "text", text: `[A file of type ${mediaType}, which the model cannot read: ${name}]` }
  }
  if (mediaType.startsWith("text/") && Predicate.isString(data)) {
    const text = Result.getOrElse(Base64.decodeString(data), () => "")
    return { type: "text", text: `<file name=${JSON.stringify(name)}>\n${text}\n</file>` }
  }
  return data instanceof URL
    ? { type: "text", text: `[A file of type ${mediaType}: ${name}]` }
    : { type: "file", mediaType, ...filename, data: { type: "data", data }, ...optionsOf(part) }
}

const outputOf = ({ isFailure, result }: Prompt.ToolResultPart): LanguageModelV4ToolResultOutput => {
  if (Predicate.isString(result)) return { type: isFailure ? "error-text" : "text", value: result }
  const value = toMutableJson(result)
  return { type: isFailure ? "error-json" : "json", value }
}

const toMutableJson = (value: unknown): Schema.MutableJson => {
  const json = isJson(value) ? value : null
  return Schema.is(Schema.MutableJson)(json) ? json : null
}

/** Whether this model has made a part: its thinking, or a call of a tool that its provider executed. */
const isMadeBy = ({ options }: { readonly options: Prompt.ProviderOptions }, model: string): boolean => {
  const data = options["perennial"]
  return isJsonObject(data) && data["model"] === model
}

/** A message is foreign if another model has thought for it. Its thinking, and the ids that refer to it, stay away. */
const isForeign = ({ content }: Prompt.AssistantMessage, { model }: Target): boolean =>
  content.some((part) => part.type === "reasoning" && !isMadeBy(part, model))

const assistantMessage = (message: Prompt.AssistantMessage, target: Target): ReadonlyArray<LanguageModelV4Message> => {
  const foreign = isForeign(message, target)
  const own = (part: Prompt.AssistantMessagePart) => foreign ? {} : optionsOf(part)
  const content = message.content.flatMap(
    (part): Extract<LanguageModelV4Message, { role: "assistant" }>["content"] => {
      switch (part.type) {
        case "reasoning":
          return foreign ? [] : [{ type: "reasoning", text: part.text, ...own(part) }]
        case "text":
          return [{ type: "text", text: part.text, ...own(part) }]
        case "tool-result":
          if (!isMadeBy(part, target.model)) return []
          return [{
            type: "tool-result",
            toolCallId: part.id,
            toolName: part.name,
            output: outputOf(part),
            ...optionsOf(part)
          }]
        case "tool-call":
          if (part.providerExecuted && !isMadeBy(part, target.model)) return []
          return [{
            type: "tool-call",
            toolCallId: part.id,
            toolName: part.name,
            ...(part.providerExecuted ? { providerExecuted: true } : {}),
            // Providers accept objects only. Arguments that were cut or not JSON are texts.
            input: Predicate.isReadonlyObject(part.params) ? part.params : {},
            ...own(part)
          }]
        default:
          return []
      }
    }
  )
  return content.length === 0 ? [] : [{ role: "assistant", content }]
}

const toMessages = (message: Prompt.Message, target: Target): ReadonlyArray<LanguageModelV4Message> => {
  switch (message.role) {
    case "system":
      // Some servers accept no message without content.
      return message.content.trim() === ""
        ? []
        : [{ role: "system", content: message.content, ...optionsOf(message) }]
    case "user":
      return [{
        role: "user",
        content: message.content.map((part) =>
          part.type === "file" ? filePart(part, target) : { type: "text", text: part.text, ...optionsOf(part) }
        )
      }]
    case "assistant":
      return assistantMessage(message, target)
    case "tool":
      return [{
        role: "tool",
        content: message.content.flatMap((part) =>
          part.type === "tool-result"
            ? [{
              type: "tool-result",
              toolCallId: part.id,
              toolName: part.name,
              output: outputOf(part),
              ...optionsOf(part)
            }]
            : []
        )
      }]
  }
}

const toToolChoice = (choice: LanguageModel.ProviderOptions["toolChoice"]): LanguageModelV4ToolChoice => {
  if (Predicate.isString(choice)) return { type: choice }
  if ("tool" in choice) return { type: "tool", toolName: choice.tool }
  return { type: choice.mode === "required" ? "required" : "auto" }
}

const toTool = (tool: Tool.Any): LanguageModelV4FunctionTool => {
  const strict = Tool.getStrictMode(tool) === true
  const description = Tool.getDescription(tool)
  return {
    type: "function",
    name: tool.name,
    inputSchema: { type: "object", ...Tool.getJsonSchema(tool, strict ? { transformer: toCodecOpenAI } : {}) },
    ...(description === undefined ? {} : { description }),
    ...(strict ? { strict } : {})
  }
}

/** The tools of the agent, and then those that the provider executes itself. */
const toTools = (
  tools: ReadonlyArray<Tool.Any>,
  providerTools: Readonly<Record<string, ProviderTool>> = {}
): ReadonlyArray<LanguageModelV4FunctionTool | LanguageModelV4ProviderTool> => [
  ...tools.filter(({ name }) => !Object.hasOwn(providerTools, name)).map(toTool),
  ...Object.entries(providerTools).map(([name, { args, id }]) => ({
    type: "provider" as const,
    id,
    name,
    args: { ...args }
  }))
]

const reasoningOf = ({ effort, thinking }: ModelSettings): Pick<LanguageModelV4CallOptions, "reasoning"> => {
  if (thinking === "disabled") return { reasoning: "none" }
  return effort === undefined ? {} : { reasoning: effort }
}

const toResponseFormat = (
  format: LanguageModel.ProviderOptions["responseFormat"],
  form: AnswerForm | undefined
): Pick<LanguageModelV4CallOptions, "responseFormat"> => {
  if (format.type === "json") {
    return {
      responseFormat: { type: "json", name: format.objectName, schema: toCodecOpenAI(format.schema).jsonSchema }
    }
  }
  return form === undefined ? {} : { responseFormat: { type: "json", name: form.name, schema: form.jsonSchema } }
}

export const toCallOptions = (
  settings: RequestSettings,
  asked: Pick<LanguageModel.ProviderOptions, "prompt" | "tools" | "toolChoice" | "responseFormat">,
  target: Target,
  form?: AnswerForm
): LanguageModelV4CallOptions => {
  const { headers, maxTokens, providerOptions, temperature } = settings
  const tools = toTools(asked.tools, settings.providerTools)
  // Without tools of the agent there is nothing to choose: the provider may execute its own.
  const choice = asked.tools.length === 0 ? "auto" : asked.toolChoice
  return {
    prompt: asked.prompt.content.flatMap((message) => toMessages(message, target)),
    ...(tools.length === 0 ? {} : { tools: [...tools], toolChoice: toToolChoice(choice) }),
    ...toResponseFormat(asked.responseFormat, form),
    ...(maxTokens === undefined ? {} : { maxOutputTokens: maxTokens }),
    ...(temperature === undefined ? {} : { temperature }),
    ...(providerOptions === undefined ? {} : { providerOptions }),
    ...(headers === undefined ? {} : { headers }),
    ...reasoningOf(settings)
  }
}
