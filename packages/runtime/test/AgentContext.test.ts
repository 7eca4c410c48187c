/** How an agent shortens prompts that are too long for the model. */
import { assert, describe, it } from "@effect/vitest"
import { type Message, userText } from "@perennial/domain/Message"
import { History, LlmAgent, ModelError, ScriptedModel } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { CurrentModelLimits, type ModelLimits } from "@perennial/runtime/ModelSettings"
import { Effect, Fiber, Layer, Logger, Redacted } from "effect"
import { AiError } from "effect/ai"
import { brief, startAgent } from "./support/agentTask.ts"
import { Tools, toolsLayer } from "./support/agentToolkit.ts"
import { pngOf } from "./support/files.ts"

const tooLong: ScriptedModel.Action = {
  fail: new AiError.InvalidRequestError({ constraint: ModelError.contextExceeded })
}
const config = { agentId: "agent-1", systemPrompt: "Be brief." }

const modelWith = (limits: ModelLimits) => Layer.merge(ScriptedModel.layer(), Layer.succeed(CurrentModelLimits, limits))

/** Turns of about 1,000 tokens each. */
const turns = (count: number): ReadonlyArray<Message> =>
  Array.from({ length: count }, (_, i): ReadonlyArray<Message> => [
    userText(`question ${i}`),
    { role: "assistant", content: [{ type: "text", text: `${i} `.padEnd(3_000, "x") }] }
  ]).flat()

/** The estimated size of each prompt that the model got, in tokens. */
const sizes = Effect.map(
  Effect.flatMap(ScriptedModel.Script, (script) => script.requests),
  (requests) => requests.map(({ prompt }) => History.estimateTextTokens(JSON.stringify(prompt.content)))
)

const read = (bytes: number): ScriptedModel.Action => ({ tool: "read", params: { bytes } })

describe("LlmAgent, context of the model", () => {
  it.effect("without settings, a prompt and the longest answer fit into the context that the provider names", () =>
    Effect.gen(function*() {
      yield* (yield* ScriptedModel.Script).push(["ok"], ["ok"])
      const agent = yield* LlmAgent.make(config)
      yield* Fiber.join((yield* startAgent(agent, { before: turns(20) })).fiber)
      const longer = yield* LlmAgent.make({ ...config, maxTokens: 500 })
      yield* Fiber.join((yield* startAgent(longer, { before: turns(20) })).fiber)
      const [first = 0, second = 0] = yield* sizes
      // The sizes include the characters that JSON adds.
      assert.isBelow(first, 8_100)
      assert.isAbove(second, first)
      assert.isBelow(second, 9_600)
    }).pipe(Effect.provide(modelWith({ contextTokens: 10_000, answerTokens: 2_000 }))))

  it.effect("the system prompt and the tools count as part of the prompt", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedModel.Script
      for (const more of [{}, { tools: Tools }, { systemPrompt: "x".repeat(3_000) }]) {
        yield* script.push(["ok"])
        const agent = yield* LlmAgent.make({ ...config, ...more })
        yield* Fiber.join((yield* startAgent(agent, { before: turns(9) })).fiber)
      }
      const counts = (yield* script.requests).map(({ prompt }) => prompt.content.length)
      assert.deepStrictEqual(counts, [20, 12, 12])
    }).pipe(Effect.provide(Layer.mergeAll(modelWith({ contextTokens: 9_600 }), toolsLayer))))

  it.effect("a long task goes on: old tool results are removed, and the last one is kept", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedModel.Script
      yield* script.push(...Array.from({ length: 12 }, () => [read(15_000)]), ["done"])
      const agent = yield* LlmAgent.make({ ...config, tools: Tools, maxIterations: 20 })
      const run = yield* startAgent(agent)
      yield* Fiber.join(run.fiber)
      // The scripted model counts 4 characters as one token.
      for (const size of yield* sizes) assert.isBelow(size * 3 / 4, 20_000)
      for (const { prompt } of (yield* script.requests).slice(1)) {
        const last = prompt.content.at(-1)
        const result = last?.role === "tool" && last.content[0]?.type === "tool-result" ? last.content[0].result : ""
        assert.strictEqual(String(result).length, 15_000)
      }
    }).pipe(Effect.provide(Layer.mergeAll(modelWith({ contextTokens: 20_000 }), toolsLayer))))

  it.effect("the reported size of a prompt corrects the estimate of the next prompt", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedModel.Script
      yield* script.push([read(10), { finish: "tool-calls", usage: { input: 16_000 } }], ["ok"])
      const agent = yield* LlmAgent.make({ ...config, tools: Tools })
      yield* Fiber.join((yield* startAgent(agent, { before: turns(7) })).fiber)
      const [first = 0, second = 0] = yield* sizes
      assert.isAbove(first, 7_000)
      // The model reported twice the estimated size.
      assert.isBelow(second, 5_500)
    }).pipe(Effect.provide(Layer.mergeAll(modelWith({ contextTokens: 10_000 }), toolsLayer))))

  it.effect("a prompt that the model refuses as too long is shortened once, and later prompts stay short", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedModel.Script
      yield* script.push(["half", tooLong], [read(10)], ["ok"])
      const agent = yield* LlmAgent.make({ ...config, tools: Tools })
      const run = yield* startAgent(agent, { before: turns(20) })
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log).slice(1, 4), ["text half", "retry 2 ContextTooLong", "message tool_call"])
      const [refused = 0, ...after] = yield* sizes
      assert.strictEqual(after.length, 2)
      for (const size of after) assert.isBelow(size, refused * 0.65)
    }).pipe(Effect.provide(Layer.mergeAll(ScriptedModel.layer(), toolsLayer))))

  it.effect("a task ends when the shortened prompt is too long as well, or when it cannot be shortened", () =>
    Effect.gen(function*() {
      const script = yield* ScriptedModel.Script
      yield* script.push([tooLong], [tooLong], [tooLong])
      const agent = yield* LlmAgent.make(config)
      const long = yield* startAgent(agent, { before: turns(20) })
      assert.strictEqual((yield* Effect.flip(Fiber.join(long.fiber))).error, "ContextTooLong")
      assert.deepStrictEqual(brief(long.log), ["ack", "retry 2 ContextTooLong"])
      const short = yield* startAgent(agent)
      assert.strictEqual((yield* Effect.flip(Fiber.join(short.fiber))).error, "ContextTooLong")
      assert.deepStrictEqual(brief(short.log), ["ack"])
    }).pipe(Effect.provide(ScriptedModel.layer())))

  it.live("Claude gets at most 200,000 tokens, and no more files than its API accepts", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["ok"] }] }, { actions: [{ text: ["ok"] }] })
      const model = AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url })
      const agent = yield* LlmAgent.make({ ...config, model })
      const long = yield* startAgent(agent, { before: turns(300) })
      yield* Fiber.join(long.fiber)
      const file: Message = {
        role: "user",
        content: [{ type: "file", mediaType: "image/png", data: pngOf(3.6 * 1024 * 1024) }]
      }
      const files = yield* startAgent(agent, { before: Array.from({ length: 6 }, () => file) })
      yield* Fiber.join(files.fiber)
      const [words, images] = yield* fake.requests
      assert.isBelow(JSON.stringify(words?.body).length, 184_000 * 3)
      const blocks = images?.body.messages[0]?.content
      assert.strictEqual(Array.isArray(blocks) && blocks.filter(({ type }) => type === "image").length, 2)
    }).pipe(Effect.scoped, Effect.provide([FakeAnthropic.layer, Logger.layer([])])))
})
