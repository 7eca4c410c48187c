/** The contract of models, on every provider that this repository has or documents: real SDKs against wire-level fakes. */
import { createGoogle } from "@ai-sdk/google"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import * as AiSdkModel from "@perennial/runtime/AiSdkModel"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { FakeGemini } from "@perennial/runtime/FakeGemini"
import { FakeOpenAi } from "@perennial/runtime/FakeOpenAi"
import * as ModelContract from "@perennial/runtime/ModelContract"
import { Effect, Layer, Redacted } from "effect"
import type { LanguageModel } from "effect/ai"
import { apiOf } from "./support/anthropicApi.ts"

const { fetch } = AiSdkModel

const openai = (model: (url: string) => Layer.Layer<LanguageModel.LanguageModel>) =>
  Layer.effect(
    ModelContract.ModelUnderTest,
    Effect.map(FakeOpenAi, (api) => ({ api, model: model(`${api.url}/v1`) }))
  ).pipe(Layer.provide(FakeOpenAi.layer))

ModelContract.suite(
  "AnthropicModel",
  Layer.effect(
    ModelContract.ModelUnderTest,
    Effect.map(FakeAnthropic, (fake) => ({
      api: apiOf(fake),
      model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url })
    }))
  ).pipe(Layer.provide(FakeAnthropic.layer))
)

ModelContract.suite(
  "AiSdkModel, OpenAI Responses",
  openai((baseURL) => AiSdkModel.layer(createOpenAI({ apiKey: "k", baseURL, fetch })("gpt-5.5")))
)

ModelContract.suite(
  "AiSdkModel, OpenAI chat completions",
  openai((baseURL) => AiSdkModel.layer(createOpenAI({ apiKey: "k", baseURL, fetch }).chat("gpt-4.1"))),
  { without: ["reasoning", "search"] }
)

ModelContract.suite(
  "AiSdkModel, a compatible server of chat completions",
  openai((baseURL) =>
    AiSdkModel.layer(
      createOpenAICompatible({ name: "ollama", apiKey: "k", baseURL, fetch, includeUsage: true })("qwen3")
    )
  ),
  { without: ["search"] }
)

ModelContract.suite(
  "AiSdkModel, Gemini",
  Layer.effect(
    ModelContract.ModelUnderTest,
    Effect.map(FakeGemini, (api) => ({
      api,
      model: AiSdkModel.layer(createGoogle({ apiKey: "k", baseURL: `${api.url}/v1beta`, fetch })("gemini-3-pro"))
    }))
  ).pipe(Layer.provide(FakeGemini.layer))
)
