/** What is particular to models of the AI SDK. What every model does is in `ModelContract.test.ts`. */
import { createGoogle } from "@ai-sdk/google"
import { createOpenAI } from "@ai-sdk/openai"
import { createOpenAICompatible } from "@ai-sdk/openai-compatible"
import type { LanguageModelV4 } from "@ai-sdk/provider"
import { assert, describe, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { LlmAgent } from "@perennial/runtime"
import * as AiSdkModel from "@perennial/runtime/AiSdkModel"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { FakeGemini } from "@perennial/runtime/FakeGemini"
import { FakeOpenAi } from "@perennial/runtime/FakeOpenAi"
import type { Answer } from "@perennial/runtime/FakeReply"
import { CurrentModelLimits } from "@perennial/runtime/ModelSettings"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Logger, Option, Redacted, Stream } from "effect"
import { Model, Prompt } from "effect/ai"
import { Tools, toolsLayer } from "./support/agentToolkit.ts"
import { apiOf } from "./support/anthropicApi.ts"

const openai = (fake: FakeOpenAi["Service"], model = "gpt-5.5") =>
  createOpenAI({ apiKey: "k", baseURL: `${fake.url}/v1` })(model)
const chat = (fake: FakeOpenAi["Service"]) =>
  createOpenAICompatible({ name: "ollama", baseURL: `${fake.url}/v1`, apiKey: "k" })("qwen3")

const ask = (model: LanguageModelV4, settings: AiSdkModel.AiSdkSettings = {}, prompt: Prompt.RawInput = "hi") =>
  Stream.unwrap(
    Effect.map(AiSdkModel.make(model, settings), (model) => model.streamText({ prompt }))
  ).pipe(Stream.runCollect)

const ok: Answer = { actions: [{ text: ["ok"] }] }

describe("AiSdkModel", () => {
  it.live("OpenAI stores nothing, and gets the settings of the model", () =>
    Effect.gen(function*() {
      const fake = yield* FakeOpenAi
      yield* fake.push(ok, ok)
      yield* ask(openai(fake), {
        maxTokens: 500,
        effort: "low",
        headers: { "x-mine": "1" },
        providerOptions: { openai: { serviceTier: "flex" } }
      })
      yield* ask(openai(fake), { providerOptions: { openai: { store: true } } })
      const [first, second] = yield* fake.requests
      assert.deepInclude(first?.body, {
        model: "gpt-5.5",
        store: false,
        include: ["reasoning.encrypted_content"],
        max_output_tokens: 500,
        reasoning: { effort: "low", summary: "detailed" },
        service_tier: "flex"
      })
      assert.strictEqual(first?.headers["x-mine"], "1")
      assert.deepInclude(second?.body, { store: true })
    }).pipe(Effect.provide(FakeOpenAi.layer)))

  it.live("temperature and the longest answer reach a server of chat completions", () =>
    Effect.gen(function*() {
      const fake = yield* FakeOpenAi
      yield* fake.push(ok)
      yield* ask(chat(fake), { temperature: 0.3, maxTokens: 77 })
      assert.deepInclude((yield* fake.requests)[0]?.body, { model: "qwen3", temperature: 0.3, max_tokens: 77 })
    }).pipe(Effect.provide(FakeOpenAi.layer)))

  it.live("a warning of the provider is logged once", () =>
    Effect.gen(function*() {
      const fake = yield* FakeOpenAi
      yield* fake.push(ok, ok)
      const lines: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        lines.push(`${logLevel} ${Array.isArray(message) ? message.join(" ") : String(message)}`)
      })
      const service = yield* AiSdkModel.make(openai(fake), { temperature: 0.3 })
      const asked = Stream.runDrain(service.streamText({ prompt: "hi" }))
      yield* Effect.provide(Effect.andThen(asked, asked), Logger.layer([logger]))
      assert.lengthOf(lines, 1)
      assert.match(lines[0] ?? "", /^Warn The model provider warns\. .*temperature/)
    }).pipe(Effect.provide(FakeOpenAi.layer)))

  it.live("the tools that a provider executes itself are left out", () =>
    Effect.gen(function*() {
      const fake = yield* FakeOpenAi
      const item = {
        type: "web_search_call",
        id: "ws_1",
        status: "completed",
        action: { type: "search", query: "oslo" }
      }
      const added = { type: "response.output_item.added", sequence_number: 1, output_index: 0, item }
      const done = { ...added, type: "response.output_item.done", sequence_number: 2 }
      const raw = [added, done].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("")
      yield* fake.push({ actions: [{ raw }, { text: ["ok"] }] })
      const parts = yield* ask(openai(fake))
      assert.deepStrictEqual(parts.filter(({ type }) => type.startsWith("tool")), [])
      assert.include(parts.map(({ type }) => type), "text-delta")
    }).pipe(Effect.provide(FakeOpenAi.layer)))

  it.live("a URL that the provider does not fetch becomes a note", () =>
    Effect.gen(function*() {
      const fake = yield* FakeOpenAi
      yield* fake.push(ok, ok)
      const file = Prompt.filePart({
        mediaType: "image/png",
        fileName: "a.png",
        data: new URL("https://example.com/a.png")
      })
      const prompt = Prompt.fromMessages([Prompt.userMessage({ content: [file] })])
      const unknown: LanguageModelV4 = Object.assign(Object.create(openai(fake)), { supportedUrls: {} })
      yield* ask(openai(fake), {}, prompt)
      yield* ask(unknown, {}, prompt)
      const bodies = (yield* fake.requests).map(({ body }) => JSON.stringify(body))
      assert.include(bodies[0], "\"image_url\":\"https://example.com/a.png\"")
      assert.include(bodies[1], "[A file of type image/png, which the model cannot read: a.png]")
    }).pipe(Effect.provide(FakeOpenAi.layer)))

  it.live("the layer tells agents the name and the limits of the model", () =>
    Effect.gen(function*() {
      const fake = yield* FakeOpenAi
      const told = Effect.all([Effect.serviceOption(Model.ModelName), CurrentModelLimits])
      const layer = AiSdkModel.layer(openai(fake), { contextTokens: 400_000, maxTokens: 1_000 })
      assert.deepStrictEqual(yield* Effect.provide(told, layer), [
        Option.some("gpt-5.5"),
        { contextTokens: 400_000, answerTokens: 1_000 }
      ])
    }).pipe(Effect.provide(FakeOpenAi.layer)))
})

describe("a conversation that moves between providers", () => {
  const thinks = (id: string): ReadonlyArray<Answer> => [
    {
      actions: [
        { reasoning: [`hm ${id}`], state: `state-${id}` },
        { call: { id: `call_${id}`, name: "weather", args: { city: "Oslo" } } }
      ]
    },
    { actions: [{ reasoning: [`so ${id}`], state: `state-${id}-2` }, { text: [`${id} says 4.`] }] }
  ]

  it.live("Claude, two models of OpenAI, Gemini, a compatible server and Claude again accept each other's history", () =>
    Effect.gen(function*() {
      const anthropic = yield* FakeAnthropic
      const [claude, gemini, open] = [apiOf(anthropic), yield* FakeGemini, yield* FakeOpenAi]
      const models = {
        claude: AnthropicModel.layer({
          apiKey: Redacted.make("k"),
          baseUrl: anthropic.url,
          thinking: { budgetTokens: 2_000 }
        }),
        openai: AiSdkModel.layer(openai(open)),
        other: AiSdkModel.layer(openai(open, "gpt-5-mini")),
        gemini: AiSdkModel.layer(createGoogle({ apiKey: "k", baseURL: `${gemini.url}/v1beta` })("gemini-3-pro")),
        ollama: AiSdkModel.layer(chat(open))
      }
      const agent = (agentId: keyof typeof models) =>
        LlmAgent.make({
          agentId,
          systemPrompt: "Be brief.",
          tools: Tools,
          retry: { times: 0 },
          model: models[agentId]
        })
      const agents = Agents.layerEffect([
        agent("claude"),
        agent("openai"),
        agent("other"),
        agent("gemini"),
        agent("ollama")
      ])
      const order = ["claude", "openai", "gemini", "ollama", "openai", "other", "claude"] as const
      const apis = { claude, openai: open, other: open, gemini, ollama: open }
      const program = Effect.gen(function*() {
        const manager = yield* TaskManager
        for (const [turn, agentId] of order.entries()) {
          yield* apis[agentId].push(...thinks(`${agentId}${turn}`))
          const { id } = yield* manager.start({ message: "hi", conversationId: "c1", agentId })
          const log = yield* Stream.runCollect(yield* manager.events(id))
          const last = log.at(-1)?.event
          assert.strictEqual(last?.type, "done", `${agentId}: ${JSON.stringify(last)}`)
        }
      })
      yield* Effect.provide(
        program,
        TaskRuntime.layerMemory.pipe(
          Layer.provide(agents),
          Layer.provide([toolsLayer, Logger.layer([])])
        )
      )
      const bodyOf = (request: { readonly body: unknown } | undefined) => JSON.stringify(request?.body)
      const asked = yield* open.requests
      assert.notInclude(bodyOf(asked[0]), "state-claude0")
      assert.notInclude(bodyOf(asked[0]), "hm claude0")
      assert.include(bodyOf(asked[0]), "claude0 says 4.")
      const last = (model: string) => bodyOf(asked.findLast(({ body }) => body["model"] === model))
      assert.include(last("gpt-5.5"), "state-openai1-2", "a model gets its own reasoning back")
      assert.notInclude(last("gpt-5-mini"), "state-openai1", "another model of the provider does not")
      assert.notInclude(last("qwen3"), "hm claude0")
      const claudes = (yield* claude.requests).map(bodyOf)
      assert.include(claudes.at(-1), "state-claude0")
      assert.notInclude(claudes.at(-1), "state-openai1")
    }).pipe(Effect.provide([FakeAnthropic.layer, FakeGemini.layer, FakeOpenAi.layer])))
})
