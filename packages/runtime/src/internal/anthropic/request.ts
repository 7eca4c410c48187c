/** A prompt of `effect/ai` as the body of `POST /v1/messages`. */
import type Anthropic from "@anthropic-ai/sdk"
import type { LanguageModel, Tool } from "effect/ai"
import { toCodecAnthropic } from "effect/ai/AnthropicStructuredOutput"
import type { AnswerForm, ModelSettings } from "../../ModelSettings.ts"
import { type PartPosition, toMessages, type Turn } from "./messages.ts"
import { type LeftOut, toToolChoice, toTools } from "./tools.ts"

export const defaultMaxTokens = 16_000

/** The settings that become fields of a request. */
export interface RequestSettings extends Omit<ModelSettings, "thinking"> {
  readonly model?: Anthropic.Model | undefined
  /** The longest answer in tokens, including thinking. 16,000 by default. */
  readonly maxTokens?: number | undefined
  /** The form of the API, which has more kinds, is accepted as well. */
  readonly thinking?: ModelSettings["thinking"] | Anthropic.ThinkingConfigParam
  /**
   * Tools that the API executes itself within an answer, such as `{ type: "web_search_20250305", name: "web_search" }`. Their
   * names are taken: an agent's tool of the same name is left out.
   */
  readonly serverTools?: ReadonlyArray<Anthropic.ToolUnion> | undefined
  /** 5 minutes by default. */
  readonly promptCache?: "5m" | "1h" | false | undefined
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

const toOutputConfig = (
  settings: RequestSettings,
  format: LanguageModel.ProviderOptions["responseFormat"],
  form: AnswerForm | undefined
): Anthropic.OutputConfig => {
  const schema = format.type === "json" ? toCodecAnthropic(format.schema).jsonSchema : form?.jsonSchema
  return {
    ...(settings.effort === undefined ? {} : { effort: settings.effort }),
    ...(schema === undefined ? {} : { format: { type: "json_schema", schema } })
  }
}

/** A model that thinks cannot be forced to call a tool: the API refuses it. The prompt asks for the call. */
const mayForce = (thinking: Anthropic.ThinkingConfigParam | undefined): boolean =>
  thinking === undefined || thinking.type === "disabled"

const toThinking = (
  thinking: Exclude<RequestSettings["thinking"], undefined>
): Anthropic.ThinkingConfigParam => {
  if (typeof thinking === "string") return { type: thinking }
  return "budgetTokens" in thinking ? { type: "enabled", budget_tokens: thinking.budgetTokens } : thinking
}

export interface BuiltRequest {
  readonly request: Anthropic.MessageCreateParamsNonStreaming
  readonly leftOut: ReadonlyArray<LeftOut>
  /** The tools that the request has, in its order. */
  readonly tools: ReadonlyArray<Tool.Any>
  /** The file of the prompt that became this block of this message of the request. */
  readonly fileAt: (message: number, block: number) => PartPosition | undefined
}

export const toRequest = (
  settings: RequestSettings & { readonly model: string },
  options: Pick<LanguageModel.ProviderOptions, "prompt" | "tools" | "toolChoice" | "responseFormat">,
  { form, refused = new WeakMap() }: {
    readonly refused?: WeakMap<Tool.Any, string>
    readonly form?: AnswerForm | undefined
  } = {}
): BuiltRequest => {
  const { leftOut, sent, tools } = toTools(options.tools, refused, settings.serverTools)
  const { system, turns } = toMessages(options.prompt, settings.model, tools.map((tool) => tool.name))
  const lastSystem = system.at(-1)
  const cache = settings.promptCache === false
    ? {}
    : { cache_control: { type: "ephemeral" as const, ttl: settings.promptCache ?? "5m" as const } }
  // Tools and system prompt are the same for every conversation, so they get a cache entry of their own.
  if (lastSystem !== undefined) system[system.length - 1] = { ...lastSystem, ...cache }
  const wanted = settings.thinking === undefined ? undefined : toThinking(settings.thinking)
  const thinking = wanted?.type !== "enabled" || mayThink(turns) ? wanted : { type: "disabled" as const }
  // Without tools of the agent there is nothing to choose: the API may execute its own.
  const choice = toToolChoice(options.tools.length === 0 ? "auto" : options.toolChoice)
  const isForced = choice.type === "any" || choice.type === "tool"
  const toolChoice = isForced && !mayForce(thinking) ? { type: "auto" as const } : choice
  const output = toOutputConfig(settings, options.responseFormat, form)
  const request: Anthropic.MessageCreateParamsNonStreaming = {
    model: settings.model,
    max_tokens: settings.maxTokens ?? defaultMaxTokens,
    messages: turns.map(({ content, role }) => ({ role, content })),
    ...cache,
    ...(system.length === 0 ? {} : { system }),
    ...(tools.length === 0 ? {} : { tools: [...tools], tool_choice: toolChoice }),
    ...(thinking === undefined ? {} : { thinking }),
    ...(Object.keys(output).length === 0 ? {} : { output_config: output })
  }
  return {
    request,
    leftOut,
    tools: sent,
    fileAt: (message, block) => turns[message]?.files.get(block)
  }
}
