/** The prompts of one task, short enough for the model. */
import type { Message } from "@perennial/domain/Message"
import type { Usage } from "@perennial/domain/Usage"
import { Prompt, Tool } from "effect/ai"
import * as History from "../../History.ts"
import type { ModelLimits } from "../../ModelSettings.ts"

export interface PromptOptions {
  readonly system: Prompt.SystemMessage
  readonly tools: () => Readonly<Record<string, Tool.Any>>
  /** Of the answer, as the agent asks for it. */
  readonly maxTokens: number | undefined
  /** Of the prompt. */
  readonly maxContextTokens: number | undefined
}

const toolTokens = new WeakMap<Tool.Any, number>()

/** What the definition of a tool takes. */
const tokensOf = (tool: Tool.Any): number => {
  const known = toolTokens.get(tool)
  if (known !== undefined) return known
  const definition = [tool.name, Tool.getDescription(tool), Tool.getJsonSchema(tool)]
  const tokens = History.estimateTextTokens(JSON.stringify(definition))
  toolTokens.set(tool, tokens)
  return tokens
}

/** An estimate is wrong by the script and the kind of the text, not by more. */
const mostWrong = 3

export class PromptFitting {
  readonly #options: PromptOptions
  /** Real tokens per estimated one, as far as it is known. */
  #factor = 1
  /** The estimate of the last prompt. */
  #sent = 0
  /** A model has refused more, estimated. */
  #most = Number.POSITIVE_INFINITY

  constructor(options: PromptOptions) {
    this.#options = options
  }

  prompt(history: ReadonlyArray<Message>, limits: ModelLimits): Prompt.Prompt {
    const { maxContextTokens = Infinity, maxTokens = limits.answerTokens ?? 0, system, tools } = this.#options
    const window = limits.contextTokens === undefined ? Infinity : limits.contextTokens - maxTokens
    let fixed = History.estimateTextTokens(system.content)
    for (const tool of Object.values(tools())) fixed += tokensOf(tool)
    const room = Math.min(Math.min(maxContextTokens, window) / this.#factor, this.#most) - fixed
    const messages = History.limitFiles(History.repair(history))
    const fitted = History.fit(messages, { maxTokens: Math.max(1, room) })
    this.#sent = fixed + History.estimateTokens(fitted)
    return Prompt.fromMessages([system, ...fitted.map(History.toPromptMessage)])
  }

  /** Takes note of what the last prompt really took. */
  learn(usage: Usage): void {
    const tokens = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens
    if (tokens > 0) this.#factor = Math.min(mostWrong, Math.max(1 / mostWrong, tokens / this.#sent))
  }

  /** The model has refused the last prompt as too long: a shorter one, if there is any, and so are those to come. */
  shorter(history: ReadonlyArray<Message>, limits: ModelLimits): Prompt.Prompt | undefined {
    const refused = this.#sent
    this.#most = refused * 0.6
    const prompt = this.prompt(history, limits)
    return this.#sent < refused ? prompt : undefined
  }
}
