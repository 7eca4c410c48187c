/** The prompts of one task, such that the model can take them: short enough, and without files that it has refused. */
import type { Message } from "@perennial/domain/Message"
import type { Usage } from "@perennial/domain/Usage"
import { type AiError, Prompt } from "effect/ai"
import * as History from "../../History.ts"
import type { ModelLimits } from "../../ModelSettings.ts"
import { isFileRefused, isTooLong, refusedFileOf } from "./modelError.ts"
import type { OfferedTools } from "./offeredTools.ts"
import { RefusedFiles } from "./refusedFiles.ts"

export interface PromptOptions {
  readonly system: Prompt.SystemMessage
  readonly tools: OfferedTools
  /** The largest answer, as the agent configures it. */
  readonly maxTokens: number | undefined
  /** The largest prompt, as the agent configures it. */
  readonly maxContextTokens: number | undefined
}

/** The largest factor between the estimate and the real number. The factor depends on the script and the kind of the text. */
const mostWrong = 3

export class PromptFitting {
  readonly #options: PromptOptions
  /** Real tokens for one estimated token, from the last request. */
  #factor = 1
  /** The estimate of the last prompt. */
  #sent = 0
  /** The messages of the last prompt, which the system prompt precedes. */
  #messages: ReadonlyArray<Message> = []
  readonly #files = new RefusedFiles()
  /** The largest prompt, in estimated tokens, after a model refused a prompt. */
  #most = Number.POSITIVE_INFINITY

  constructor(options: PromptOptions) {
    this.#options = options
  }

  prompt(history: ReadonlyArray<Message>, limits: ModelLimits): Prompt.Prompt {
    const { maxContextTokens = Infinity, maxTokens = limits.answerTokens ?? 0, system, tools } = this.#options
    const window = limits.contextTokens === undefined ? Infinity : limits.contextTokens - maxTokens
    const fixed = History.estimateTextTokens(system.content) + tools.tokens
    const room = Math.min(Math.min(maxContextTokens, window) / this.#factor, this.#most) - fixed
    const messages = History.limitFiles(this.#files.replace(History.repair(history)))
    const fitted = History.fit(messages, { maxTokens: Math.max(1, room) })
    this.#messages = fitted
    this.#sent = fixed + History.estimateTokens(fitted)
    return Prompt.fromMessages([system, ...fitted.map(History.toPromptMessage)])
  }

  /** Records the real tokens of the last prompt. */
  learn(usage: Usage): void {
    const tokens = usage.inputTokens + usage.cacheReadTokens + usage.cacheWriteTokens
    if (tokens > 0) this.#factor = Math.min(mostWrong, Math.max(1 / mostWrong, tokens / this.#sent))
  }

  /**
   * A prompt without what the model has refused of the last one: shorter, or without a file. Undefined if the model has
   * refused something else, or if nothing can be left out. Later prompts are the same in this.
   */
  amended(
    error: AiError.AiError,
    history: ReadonlyArray<Message>,
    limits: ModelLimits
  ): Prompt.Prompt | undefined {
    if (isTooLong(error)) return this.#shorter(history, limits)
    if (!isFileRefused(error)) return undefined
    const position = refusedFileOf(error)
    const inMessages = position === undefined ? undefined : { ...position, message: position.message - 1 }
    return this.#files.add(this.#messages, inMessages) ? this.prompt(history, limits) : undefined
  }

  #shorter(history: ReadonlyArray<Message>, limits: ModelLimits): Prompt.Prompt | undefined {
    const refused = this.#sent
    this.#most = refused * 0.6
    const prompt = this.prompt(history, limits)
    return this.#sent < refused ? prompt : undefined
  }
}
