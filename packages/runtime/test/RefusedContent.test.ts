/** Content that a provider refuses. The refused piece is left out, and the conversation goes on. */
import { assert, describe, it } from "@effect/vitest"
import type { UserMessage } from "@perennial/domain/Message"
import { TaskManager } from "@perennial/domain/TaskManager"
import { AgentTools, LlmAgent, ScriptedModel } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Fiber, type JsonSchema, Layer, Logger, Redacted, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { startAgent } from "./support/agentTask.ts"
import { nested } from "./support/agentToolkit.ts"
import { cutPdf, cutPng, pdf, png, pngOf } from "./support/files.ts"
import { env, runInput, summary } from "./support/overAnthropic.ts"

const { FakeAnthropic } = Fake

const fine: Fake.Reply = { actions: [{ text: ["fine"] }] }

const withFiles = (...files: ReadonlyArray<readonly [mediaType: string, data: string]>): UserMessage => ({
  role: "user",
  content: [
    { type: "text", text: "What is this?" },
    ...files.map(([mediaType, data], at) => ({ type: "file", mediaType, data, name: `file ${at}` }) as const)
  ]
})

/** The user's messages in a request: the text of each text block, and the type of each other block. */
const shown = (body: Fake.RecordedRequest["body"] | undefined) =>
  body?.messages.filter(({ role }) => role === "user").map(({ content }) =>
    typeof content === "string" ? [content] : content.map((block) => block.type === "text" ? block.text : block.type)
  )

describe("D25: a file that the provider refuses", () => {
  it.live("is replaced by a note, and the request is repeated; later messages and `regenerate` work, too", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(fine, fine, fine)
      const message = withFiles(["application/pdf", cutPdf], ["image/png", png])
      const first = yield* runInput({ message, conversationId: "c1" })
      assert.deepStrictEqual(summary(first), { messages: ["fine"], retries: ["FileRefused"], end: "done" })
      const [refused, answered] = yield* fake.requests
      assert.deepStrictEqual(shown(refused?.body), [["What is this?", "document", "image"]])
      assert.deepStrictEqual(shown(answered?.body), [[
        "What is this?",
        "[A file of type application/pdf, which the model cannot read: file 0]",
        "image"
      ]])
      const next = yield* runInput({ message: "And now?", conversationId: "c1" })
      assert.strictEqual(summary(next).end, "done")
      const manager = yield* TaskManager
      const again = yield* manager.await((yield* manager.regenerate("c1")).id)
      assert.strictEqual(again.task.status, "completed")
    }).pipe(Effect.provide(env)))

  it.live("is found also if the provider does not name it: the files of the newest messages are left out first", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(fine, fine)
      yield* runInput({ message: withFiles(["image/png", cutPng]), conversationId: "c1" })
      const log = yield* runInput({ message: withFiles(["image/png", png]), conversationId: "c1" })
      assert.deepStrictEqual(summary(log), {
        messages: ["fine"],
        retries: ["FileRefused", "FileRefused"],
        end: "done"
      })
    }).pipe(Effect.provide(env)))

  it.live("P11: after three refusals all files are left out", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(fine)
      const message = withFiles(...Array.from({ length: 8 }, () => ["application/pdf", cutPdf] as const))
      const log = yield* runInput({ message })
      assert.deepStrictEqual(summary(log).retries, ["FileRefused", "FileRefused", "FileRefused", "FileRefused"])
      assert.strictEqual(summary(log).end, "done")
    }).pipe(Effect.provide(env)))

  it.live("is not sent if it is too large, has no image type, or is not of its declared type", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(fine)
      for (
        const message of [
          withFiles(["image/png", pngOf(4.5 * 1024 * 1024)]),
          withFiles(["image/png", pdf], ["image/jpeg", png])
        ]
      ) {
        yield* fake.push(fine)
        assert.deepStrictEqual(summary(yield* runInput({ message, conversationId: "c1" })).retries, [])
      }
      const [, last] = yield* fake.requests
      assert.deepStrictEqual(shown(last?.body), [
        ["What is this?", "[A file of type image/png, which is larger than the model accepts: file 0]"],
        ["What is this?", "[A file of type image/png, which the model cannot read: file 0]", "image"]
      ])
    }).pipe(Effect.provide(env)))

  it.live("is recognized by several error messages of servers", () =>
    Effect.gen(function*() {
      const refusals = [
        "Could not process PDF",
        "messages.0.content.1.image.source.base64.data: At least one of the image dimensions exceed max allowed size",
        "The PDF specified is password protected."
      ]
      const fake = yield* FakeAnthropic
      for (const words of refusals) {
        yield* fake.push(Fake.errorReply(400, "invalid_request_error", words), fine)
        const log = yield* runInput({ message: withFiles(["image/png", png]) })
        assert.deepStrictEqual(summary(log), { messages: ["fine"], retries: ["FileRefused"], end: "done" }, words)
      }
    }).pipe(Effect.provide(env)))
})

describe("D26: thinking with the signature of another model", () => {
  it.live("is not sent to a fallback, and not to the first model after an answer of the fallback", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const modelOf = (model: string) => AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url, model })
      const agents = LlmAgent.layer({
        agentId: "agent-1",
        systemPrompt: "",
        model: modelOf("claude-opus-5-5"),
        fallbacks: [modelOf("claude-sonnet-5-5")],
        retry: { times: 0 },
        tools: Toolkit.empty
      })
      const noTool = { toolUse: { id: "toolu_1", name: "none", input: {} } }
      yield* fake.push(
        { actions: [{ thinking: ["hm"], signature: "of opus" }, { redactedThinking: "secret of opus" }, noTool] },
        Fake.overloaded,
        { actions: [{ thinking: ["hm"], signature: "of sonnet" }, { text: ["one"] }] },
        { actions: [{ text: ["two"] }] }
      )
      const turns = Effect.gen(function*() {
        const first = yield* runInput({ message: "hi", conversationId: "c1" })
        assert.deepStrictEqual(summary(first).retries, ["ModelOverloaded"])
        assert.deepStrictEqual(summary(first).end, "done")
        const second = yield* runInput({ message: "and now?", conversationId: "c1" })
        assert.deepStrictEqual(summary(second), { messages: ["two"], retries: [], end: "done" })
      })
      yield* Effect.provide(turns, TaskRuntime.layerMemory.pipe(Layer.provide(agents)))
      const { body } = (yield* fake.requests).at(-1) ?? assert.fail()
      const thinking = body.messages.flatMap(({ content }) => typeof content === "string" ? [] : content).filter(
        ({ type }) => type === "thinking" || type === "redacted_thinking"
      )
      // The first model gets its own thinking.
      assert.deepStrictEqual(thinking, [
        { type: "thinking", thinking: "hm", signature: "of opus" },
        { type: "redacted_thinking", data: "secret of opus" }
      ])
    }).pipe(Effect.provide(FakeAnthropic.layer)))
})

describe("D27: a tool that the provider refuses", () => {
  const schemas = {
    "a property name with brackets": { properties: { "filter[id]": { type: "string" } } },
    "an empty property name in a nested object": { properties: { a: { type: "object", properties: { "": {} } } } },
    "draft-04": { properties: { n: { type: "number", minimum: 0, exclusiveMinimum: true } } },
    "a list of types for the items": { properties: { a: { type: "array", items: [{ type: "string" }] } } },
    "a dangling reference": { properties: { a: { $ref: "#/definitions/Gone" } } },
    "an empty enum": { properties: { a: { enum: [] } } },
    "an unknown type": { properties: { a: { type: "any" } } },
    "required: true": { properties: { a: { type: "string", required: true } } },
    "`anyOf` at the root": { anyOf: [{ required: ["a"] }] }
  }

  const weather = Tool.make("weather", { parameters: Schema.Struct({ city: Schema.String }), success: Schema.String })

  it.live.each(Object.entries(schemas))("is left out with one warning: %s", ([, schema]) =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const odd = Tool.dynamic("odd", { parameters: { type: "object", ...schema } })
      const tools = Toolkit.make(odd, weather)
      const agents = LlmAgent.layer({
        agentId: "agent-1",
        systemPrompt: "",
        tools,
        model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url })
      }).pipe(Layer.provide(tools.toLayer({ odd: () => Effect.void, weather: ({ city }) => Effect.succeed(city) })))
      const warnings: Array<string> = []
      const logger = Logger.make(({ logLevel, message }) => {
        if (logLevel === "Warn") warnings.push(String(message))
      })
      yield* fake.push({ actions: [{ toolUse: { id: "toolu_1", name: "weather", input: { city: "Oslo" } } }] }, fine)
      yield* fake.otherwise(() => fine)
      const log = yield* Effect.gen(function*() {
        const log = yield* runInput({ message: "hi" })
        yield* runInput({ message: "again" })
        return log
      }).pipe(
        Effect.provide(TaskRuntime.layerMemory.pipe(Layer.provide(agents), Layer.provide(Logger.layer([logger]))))
      )
      assert.deepStrictEqual(summary(log), { messages: ["", "fine"], retries: [], end: "done" })
      assert.lengthOf(warnings, 1)
      assert.match(warnings[0] ?? "", /^The tool "odd" is left out/)
      for (const { body } of (yield* fake.requests).slice(-3)) {
        assert.deepStrictEqual(body.tools?.map((tool) => "name" in tool ? tool.name : ""), ["weather"])
      }
    }).pipe(Effect.provide(FakeAnthropic.layer)))

  const definitions: ReadonlyArray<readonly [string, JsonSchema.JsonSchema]> = [
    ["cannot be written", { type: "object", default: 1n }],
    ["is nested too deep", { type: "object", default: nested(100) }]
  ]

  it.effect.each(definitions)(
    "is left out with any provider if its definition %s",
    ([, parameters]) =>
      Effect.gen(function*() {
        const script = yield* ScriptedModel.Script
        yield* script.push(["ok"])
        const tools = Toolkit.make(Tool.dynamic("odd", { parameters }), weather)
        const withHandlers = yield* Effect.provide(
          AgentTools.fromToolkit(tools),
          tools.toLayer({ odd: () => Effect.void, weather: ({ city }) => Effect.succeed(city) })
        )
        const agent = yield* LlmAgent.make({ agentId: "agent-1", systemPrompt: "", tools: withHandlers })
        yield* Fiber.join((yield* startAgent(agent)).fiber)
        assert.deepStrictEqual((yield* script.requests)[0]?.tools, ["weather"])
      }).pipe(Effect.provide(ScriptedModel.layer()))
  )
})
