/** What the Messages API would say to a prompt, as we send it. */
import type { AnthropicSettings } from "@perennial/runtime/AnthropicModel"
import { problemOf } from "@perennial/runtime/FakeAnthropic"
import type { Prompt } from "effect/ai"
import { toRequest } from "../../src/internal/anthropic/request.ts"

/** Nothing if it would accept the prompt, with and without thinking. */
export const problemOfPrompt = (prompt: Prompt.Prompt): string | undefined => {
  const options = { prompt, tools: [], toolChoice: "auto", responseFormat: { type: "text" } } as const
  const problem = (settings: AnthropicSettings) => problemOf(toRequest({ ...settings, model: "m" }, options).request)
  return problem({}) ?? problem({ thinking: { budgetTokens: 1024 } })
}
