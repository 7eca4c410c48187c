/** Makes the prompts of one task, short enough for the model. */
import type { Message } from "@perennial/domain/Message"
import type { Usage } from "@perennial/domain/Usage"
import { Prompt, Tool } from "effect/ai"
import * as History from "../../History.ts"
import type { ModelLimits } from "../../ModelSettings.ts"

export interface PromptOptions {
  readonly system: Prompt.SystemMessage
  readonly tools: () => Readonly<Record<string, Tool.Any>>
  /** The largest answer, as the agent configures it. */
  readonly maxTokens: number | undefined
  /** The largest prompt, as the agent configures it. */
  readonly maxContextTokens: number | undefined
}

const toolTokens = new WeakMap<Tool.Any, number>()

/** The estimated tokens of the definition of a tool. */
const tokensOf = (tool: Tool.Any): number => {
  const known = toolTokens.get(tool)
  if (known !== undefined) return known
  const definition = [tool.name, Tool.getDescription(tool), Tool.getJsonSchema(tool)]
  const tokens = History.estimateTextTokens(JSON.stringify(definition))
  toolTokens.set(tool, tokens)
  return tokens
}

/** The largest factor between the estimate and the real number. The factor depends on the script and the kind of the text. */
const mostWrong = 3

export class PromptFitting {
  readonly #options: PromptOptions
  /** Real tokens for one estimated token, from the last request. */
  #factor = 1
  /** The estimate of the last prompt. */
  #sent = 0
  /** The largest prompt, in estimated tokens, after a model refused a prompt. */
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

  /** Records the real tokens of the last prompt. */
  learn(usage: Usage): void {
    const tokens = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens
    if (tokens > 0) this.#factor = Math.min(mostWrong, Math.max(1 / mostWrong, tokens / this.#sent))
  }

  /** Makes a shorter prompt after the model refused the last one, if possible. Later prompts are shorter, too. */
  shorter(history: ReadonlyArray<Message>, limits: ModelLimits): Prompt.Prompt | undefined {
    const refused = this.#sent
    this.#most = refused * 0.6
    const prompt = this.prompt(history, limits)
    return this.#sent < refused ? prompt : undefined
  }
}
