/** Tools that OpenAI and Gemini execute themselves, and their sources: real provider packages against fakes of the APIs. */
import { createGoogle } from "@ai-sdk/google"
import { createOpenAI } from "@ai-sdk/openai"
import { assert, describe, it } from "@effect/vitest"
import * as Message from "@perennial/domain/Message"
import { TaskManager } from "@perennial/domain/TaskManager"
import { LlmAgent } from "@perennial/runtime"
import * as AiSdkModel from "@perennial/runtime/AiSdkModel"
import { FakeGemini } from "@perennial/runtime/FakeGemini"
import { FakeOpenAi } from "@perennial/runtime/FakeOpenAi"
import type { Answer } from "@perennial/runtime/FakeReply"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Logger, Schema, Stream } from "effect"
import type { LanguageModel } from "effect/ai"
import { eventOf } from "./support/overAnthropic.ts"

const sources = [{ url: "https://a.no/", title: "A" }, { url: "https://b.no/", title: "B" }]
const searched: Answer = {
  actions: [
    { reasoning: ["I look."], state: "state-1" },
    { search: { query: "Oslo", sources } },
    { text: ["It ", "rains."], citations: [{ url: "https://a.no/", title: "A" }] }
  ]
}

const converse = (
  model: Layer.Layer<LanguageModel.LanguageModel>,
  messages: ReadonlyArray<string>,
  fallbacks: ReadonlyArray<Layer.Layer<LanguageModel.LanguageModel>> = []
) =>
  Effect.forEach(messages, (message) =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message, conversationId: "c1" })
      return yield* Stream.runCollect(yield* manager.events(id))
    })).pipe(Effect.provide(TaskRuntime.layerMemory.pipe(Layer.provide([
      LlmAgent.layer({ agentId: "agent-1", systemPrompt: "Be brief.", retry: { times: 0 }, model, fallbacks }),
      Logger.layer([])
    ]))))

const Input = Schema.Struct({ input: Schema.Array(Schema.Record(Schema.String, Schema.Unknown)) })
const inputOf = Schema.decodeUnknownSync(Input)

describe("tools that a provider executes", () => {
  it.live("OpenAI: a search and its sources are in the message, and the search comes back in the next turn", () =>
    Effect.gen(function*() {
      const api = yield* FakeOpenAi
      yield* api.push(searched, { actions: [{ text: ["Bye."] }] })
      const openai = createOpenAI({ apiKey: "k", baseURL: `${api.url}/v1`, fetch: AiSdkModel.fetch })
      const model = AiSdkModel.layer(openai("gpt-5.5"), {
        providerTools: { web_search: openai.tools.webSearch({ searchContextSize: "low" }) }
      })
      const [first = [], second = []] = yield* converse(model, ["Does it rain?", "Thanks."])
      const message = eventOf(first, "message")[0]?.message
      assert.deepStrictEqual(message?.content.map(({ type }) => type), [
        "reasoning",
        "provider_tool_call",
        "provider_tool_result",
        "text"
      ])
      const cited = message === undefined ? [] : Message.citations(message)
      assert.deepStrictEqual(cited.map(({ url }) => url), ["https://a.no/", "https://b.no/"])
      assert.strictEqual(second.at(-1)?.event.type, "done", "the API accepted its own items")
      const [asked, next] = yield* api.requests
      assert.deepInclude(asked?.body["tools"], { type: "web_search", search_context_size: "low" })
      const { input } = inputOf(next?.body)
      assert.deepStrictEqual(input.map(({ role, type }) => type ?? role), [
        "developer",
        "user",
        "reasoning",
        "web_search_call",
        "assistant",
        "user"
      ])
      assert.deepInclude(input[3], {
        id: "ws_resp_1_1",
        action: { type: "search", query: "Oslo", sources: sources.map(({ url }) => ({ type: "url", url })) }
      })
    }).pipe(Effect.scoped, Effect.provide(FakeOpenAi.layer)))

  it.live("another model gets the text of such an answer alone", () =>
    Effect.gen(function*() {
      const api = yield* FakeOpenAi
      yield* api.push(searched, { failure: "unauthorized" }, { actions: [{ text: ["Bye."] }] })
      const openai = createOpenAI({ apiKey: "k", baseURL: `${api.url}/v1`, fetch: AiSdkModel.fetch })
      const providerTools = { web_search: openai.tools.webSearch() }
      const layerOf = (name: string) => AiSdkModel.layer(openai(name), { providerTools })
      const [, second = []] = yield* converse(layerOf("gpt-5.5"), ["Does it rain?", "Thanks."], [layerOf("gpt-mini")])
      assert.strictEqual(second.at(-1)?.event.type, "done")
      const { input } = inputOf((yield* api.requests).at(-1)?.body)
      assert.deepStrictEqual(input.map(({ role, type }) => type ?? role), ["system", "user", "assistant", "user"])
    }).pipe(Effect.scoped, Effect.provide(FakeOpenAi.layer)))

  it.live("Gemini: the sources of a search are those of the text", () =>
    Effect.gen(function*() {
      const api = yield* FakeGemini
      yield* api.push(searched, { actions: [{ text: ["Bye."] }] })
      const google = createGoogle({ apiKey: "k", baseURL: `${api.url}/v1beta`, fetch: AiSdkModel.fetch })
      const model = AiSdkModel.layer(google("gemini-3-pro"), {
        providerTools: { google_search: google.tools.googleSearch({}) }
      })
      const [first = [], second = []] = yield* converse(model, ["Does it rain?", "Thanks."])
      const message = eventOf(first, "message")[0]?.message
      assert.deepStrictEqual(message === undefined ? [] : Message.citations(message), sources)
      assert.strictEqual(second.at(-1)?.event.type, "done")
      assert.include(JSON.stringify((yield* api.requests)[0]?.body), "googleSearch")
    }).pipe(Effect.scoped, Effect.provide(FakeGemini.layer)))
})
