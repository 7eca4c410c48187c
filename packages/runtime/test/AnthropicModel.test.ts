import { assert, describe, it } from "@effect/vitest"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import { CurrentModelSettings, type ModelSettings } from "@perennial/runtime/ModelSettings"
import { ConfigProvider, Effect, Layer, Logger, Redacted, Schema, Stream } from "effect"
import { LanguageModel, Prompt, Tool, Toolkit } from "effect/ai"
import { pdf, png } from "./support/files.ts"

const { FakeAnthropic } = Fake

const modelWith = (settings: AnthropicModel.AnthropicSettings = {}) =>
  Layer.unwrap(
    Effect.map(FakeAnthropic, ({ url }) =>
      AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: url, ...settings }))
  ).pipe(
    Layer.provideMerge(FakeAnthropic.layer)
  )
const env = modelWith()

const Weather = Tool.make("weather", {
  description: "The weather in a city",
  parameters: Schema.Struct({ city: Schema.String }),
  success: Schema.Struct({ degrees: Schema.Finite })
})
const Tools = Toolkit.make(Weather, Tool.make("now", { description: "The time" }))
const handlers = Tools.toLayer({
  weather: ({ city }) => Effect.succeed({ degrees: city.length }),
  now: () => Effect.void
})

const ask = (prompt: Prompt.RawInput) =>
  Stream.unwrap(Effect.map(LanguageModel.LanguageModel, (model) => model.streamText({ prompt })))

describe("AnthropicModel", () => {
  it.live("decodes all parts of a stream, and encodes them in the next request", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({
        actions: [
          { thinking: ["let me ", "think"], signature: "sig" },
          { redactedThinking: "xyz" },
          { ping: true },
          { text: ["hel", "lo"] },
          {
            raw:
              "event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":9,\"content_block\":{\"type\":\"new\"}}\n\n"
          },
          { raw: "event: something_new\ndata: {\"type\":\"something_new\"}\n\n" },
          { toolUse: { id: "toolu_1", name: "weather", input: { city: "Oslo" } } }
        ],
        usage: {
          input_tokens: 5,
          cache_read_input_tokens: 100,
          cache_creation_input_tokens: 7,
          output_tokens: 42,
          output_tokens_details: { thinking_tokens: 12 }
        }
      })
      const toolkit = yield* Tools
      const parts = yield* LanguageModel.streamText({
        prompt: [{ role: "system", content: "be brief" }, { role: "user", content: "hi" }],
        toolkit,
        disableToolCallResolution: true,
        toolCallValidation: "deferred"
      }).pipe(Stream.runCollect)
      assert.deepStrictEqual(parts.map((part) => part.type), [
        "response-metadata",
        "reasoning-start",
        "reasoning-delta",
        "reasoning-delta",
        "reasoning-end",
        "reasoning-start",
        "reasoning-end",
        "text-start",
        "text-delta",
        "text-delta",
        "text-end",
        "tool-params-start",
        "tool-params-delta",
        "tool-params-delta",
        "tool-params-delta",
        "tool-params-end",
        "tool-call",
        "finish"
      ])
      const finish = parts.find((part) => part.type === "finish")
      assert.strictEqual(finish?.reason, "tool-calls")
      assert.deepStrictEqual({ ...finish?.usage.inputTokens }, {
        uncached: 5,
        total: 112,
        cacheRead: 100,
        cacheWrite: 7
      })
      assert.deepStrictEqual({ ...finish?.usage.outputTokens }, { total: 42, reasoning: 12, text: 30 })

      const [first] = yield* fake.requests
      assert.strictEqual(first?.body.model, "claude-opus-5-5")
      assert.deepStrictEqual(first?.body.system, [
        { type: "text", text: "be brief", cache_control: { type: "ephemeral", ttl: "5m" } }
      ])
      assert.deepStrictEqual(first?.body.tools?.map((tool) => "name" in tool ? tool.name : ""), ["weather", "now"])
      assert.strictEqual(first?.headers.authorization, "Bearer k")

      yield* fake.push({ actions: [{ text: ["done"] }] })
      const response = yield* LanguageModel.generateText({
        prompt: Prompt.concat(Prompt.concat(Prompt.make("hi"), Prompt.fromResponseParts(parts)), [{
          role: "tool",
          content: [{ type: "tool-result", id: "toolu_1", name: "weather", isFailure: false, result: { degrees: 4 } }]
        }])
      })
      assert.strictEqual(response.text, "done")
      assert.deepStrictEqual((yield* fake.requests).at(-1)?.body.messages, [
        { role: "user", content: [{ type: "text", text: "hi" }] },
        {
          role: "assistant",
          content: [
            { type: "thinking", thinking: "let me think", signature: "sig" },
            { type: "redacted_thinking", data: "xyz" },
            { type: "text", text: "hello" },
            { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Oslo" } }
          ]
        },
        {
          role: "user",
          content: [{ type: "tool_result", tool_use_id: "toolu_1", is_error: false, content: "{\"degrees\":4}" }]
        }
      ])
    }).pipe(Effect.provide([env, handlers])))

  it.live("images, documents and text files reach the model; other files are replaced by a note", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["ok"] }] })
      const file = (mediaType: string, data: string | URL, fileName?: string): Prompt.UserMessagePart =>
        Prompt.filePart({ mediaType, data, ...(fileName === undefined ? {} : { fileName }) })
      yield* Stream.runDrain(ask(Prompt.fromMessages([Prompt.userMessage({
        content: [
          file("image/png", png),
          file("image/tiff", new URL("https://example.com/a.tiff")),
          file("application/pdf", pdf, "a.pdf"),
          file("text/csv", "aGk=", "a.csv"),
          file("audio/mpeg", "aGk=", "a.mp3")
        ]
      })])))
      const [request] = yield* fake.requests
      assert.deepStrictEqual(request?.body.messages[0]?.content, [
        { type: "image", source: { type: "base64", media_type: "image/png", data: png } },
        { type: "image", source: { type: "url", url: "https://example.com/a.tiff" } },
        { type: "document", title: "a.pdf", source: { type: "base64", media_type: "application/pdf", data: pdf } },
        { type: "document", title: "a.csv", source: { type: "text", media_type: "text/plain", data: "hi" } },
        { type: "text", text: "[A file of type audio/mpeg, which the model cannot read: a.mp3]" }
      ])
    }).pipe(Effect.provide(env)))

  const settings: ReadonlyArray<readonly [AnthropicModel.AnthropicSettings, ModelSettings, object]> = [
    [{}, {}, { max_tokens: 16_000, cache_control: { type: "ephemeral", ttl: "5m" } }],
    [
      { maxTokens: 500, effort: "low", promptCache: "1h" },
      { temperature: 0.5 },
      { max_tokens: 500, output_config: { effort: "low" }, cache_control: { type: "ephemeral", ttl: "1h" } }
    ],
    [
      { maxTokens: 500, effort: "low", promptCache: "1h", thinking: { type: "between_tools" } },
      { maxTokens: 4_000, effort: "max", promptCache: false, thinking: { budgetTokens: 2_000 } },
      { max_tokens: 4_000, output_config: { effort: "max" }, thinking: { type: "enabled", budget_tokens: 2_000 } }
    ],
    [
      { promptCache: false, thinking: { type: "adaptive", display: "omitted" } },
      {},
      { max_tokens: 16_000, thinking: { type: "adaptive", display: "omitted" } }
    ],
    [{ promptCache: false, thinking: "adaptive" }, { thinking: "disabled" }, {
      max_tokens: 16_000,
      thinking: { type: "disabled" }
    }]
  ]

  it.live.each(settings)("settings: layer %j, agent %j", ([own, ofAgent, sent]) =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["ok"] }] })
      yield* Stream.runDrain(ask("hi")).pipe(Effect.provideService(CurrentModelSettings, ofAgent))
      const [request] = yield* fake.requests
      const { messages: _, model: __, stream: ___, ...rest } = request?.body ?? {}
      assert.deepStrictEqual(rest, sent)
    }).pipe(Effect.provide(modelWith(own))))

  it.live("tools that the API would refuse are left out, with one warning each", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["ok"] }] }, { actions: [{ text: ["ok"] }] })
      const dynamic = (name: string, parameters: object) => Tool.dynamic(name, { parameters: { ...parameters } })
      const tools = [
        dynamic("fine", { type: "object", properties: { a: { anyOf: [{ type: "string" }] } } }),
        dynamic("dotted.name", { type: "object" }),
        dynamic("x".repeat(129), { type: "object" }),
        dynamic("either", { type: "object", oneOf: [{ required: ["a"] }, { required: ["b"] }] })
      ]
      const toolkit = {
        tools: Object.fromEntries([...tools, dynamic("fine", { type: "object" })].map((tool, i) => [i, tool])),
        handle: () => Effect.die("not called")
      }
      const lines: Array<string> = []
      const logger = Logger.make(({ message }) => {
        lines.push(String(message))
      })
      const asked = LanguageModel.streamText({ prompt: "hi", toolkit, disableToolCallResolution: true }).pipe(
        Stream.runDrain,
        Effect.provide(Logger.layer([logger]))
      )
      yield* asked
      yield* asked
      for (const { body } of yield* fake.requests) {
        assert.deepStrictEqual(body.tools?.map((tool) => "name" in tool ? tool.name : ""), ["fine"])
      }
      const reasons = lines.flatMap((line) =>
        /The tool "(.{1,11}).*" is left out of requests to Claude/.exec(line)?.[1] ?? []
      )
      assert.deepStrictEqual(reasons, ["dotted.name", "xxxxxxxxxxx", "either", "fine"])
    }).pipe(Effect.provide(env)))

  it.live("loses no part of a fast stream", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: Array.from({ length: 5000 }, (_, i) => `${i} `) }] })
      const parts = yield* Stream.runCollect(ask("hi"))
      const text = parts.map((part) => part.type === "text-delta" ? part.delta : "").join("")
      assert.strictEqual(text, Array.from({ length: 5000 }, (_, i) => `${i} `).join(""))
    }).pipe(Effect.provide(env)))

  it.live("returns structured output", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["{\"title\":\"Hello\"}"] }] })
      const response = yield* LanguageModel.generateObject({
        prompt: "hi",
        schema: Schema.Struct({ title: Schema.String }),
        objectName: "title"
      })
      assert.deepStrictEqual(response.value, { title: "Hello" })
      assert.strictEqual((yield* fake.requests)[0]?.body.output_config?.format?.type, "json_schema")
    }).pipe(Effect.provide(env)))

  it.live("reads the key, the base URL and the model from the environment", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["ok"] }] })
      const provider = ConfigProvider.fromUnknown({
        ANTHROPIC_API_KEY: "from-env",
        ANTHROPIC_BASE_URL: fake.url,
        PERENNIAL_MODEL: "claude-haiku-5-5"
      })
      yield* Stream.runDrain(ask("hi")).pipe(
        Effect.provide(AnthropicModel.layerConfig()),
        Effect.provideService(ConfigProvider.ConfigProvider, provider)
      )
      const [request] = yield* fake.requests
      assert.strictEqual(request?.headers.authorization, "Bearer from-env")
      assert.strictEqual(request?.body.model, "claude-haiku-5-5")
    }).pipe(Effect.provide(FakeAnthropic.layer)))

  it.effect("refuses an empty key when the layer is built", () =>
    Effect.gen(function*() {
      const provider = ConfigProvider.fromUnknown({ ANTHROPIC_API_KEY: "" })
      const error = yield* Effect.flip(Layer.build(AnthropicModel.layerConfig())).pipe(
        Effect.provideService(ConfigProvider.ConfigProvider, provider)
      )
      assert.include(error.message, "ANTHROPIC_API_KEY")
    }))
})
