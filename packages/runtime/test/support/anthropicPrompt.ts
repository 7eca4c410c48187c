/** Checks a prompt like the Messages API. */
import type { AnthropicSettings } from "@perennial/runtime/AnthropicModel"
import { problemOf } from "@perennial/runtime/FakeAnthropic"
import type { Prompt } from "effect/ai"
import { toRequest } from "../../src/internal/anthropic/request.ts"

/** The error of the API for the prompt, with or without thinking. It is undefined if the API accepts the prompt. */
export const problemOfPrompt = (prompt: Prompt.Prompt): string | undefined => {
  const options = { prompt, tools: [], toolChoice: "auto", responseFormat: { type: "text" } } as const
  const problem = (settings: AnthropicSettings) => problemOf(toRequest({ ...settings, model: "m" }, options).request)
  return problem({}) ?? problem({ thinking: { budgetTokens: 1024 } })
}
