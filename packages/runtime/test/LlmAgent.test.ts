import { assert, describe, it } from "@effect/vitest"
import { userText } from "@perennial/domain/Message"
import * as Message from "@perennial/domain/Message"
import { LlmAgent, ScriptedModel } from "@perennial/runtime"
import { Duration, Effect, Fiber, Layer } from "effect"
import { AiError } from "effect/ai"
import { adjust, brief, settle, startAgent, view } from "./support/agentTask.ts"
import { Tools, toolsLayer } from "./support/agentToolkit.ts"

const { Script } = ScriptedModel
const config = { agentId: "agent-1", systemPrompt: "Be brief.", tools: Tools }
const env = Layer.provideMerge(toolsLayer, ScriptedModel.layer())
const overloaded = { fail: new AiError.InternalProviderError({ description: "Overloaded" }) }

describe("LlmAgent", () => {
  it.effect("streams text and thinking, then the whole message", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ thinking: ["h", "m"] }, { drip: "1 second" }, "hel", "lo"])
      const agent = yield* LlmAgent.make(config)
      const run = yield* startAgent(agent)
      yield* settle
      assert.deepStrictEqual(brief(run.log), ["ack", "reasoning hm"])
      yield* adjust("1 second")
      assert.deepStrictEqual(brief(run.log).slice(2), ["text hel"])
      yield* adjust("1 second")
      const { usage } = yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log).slice(3), ["text lo", "message reasoning+text"])
      assert.strictEqual(usage.requests, 1)
      assert.deepStrictEqual(run.events("message")[0]?.usage, usage)
      assert.deepStrictEqual(run.events("message")[0]?.message.content, [
        { type: "reasoning", text: "hm", providerData: { anthropic: { signature: "scripted" } } },
        { type: "text", text: "hello" }
      ])
    }).pipe(Effect.provide(env)))

  it.effect("sends the system prompt, the whole history, the settings and the tools", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push(["ok"])
      const agent = yield* LlmAgent.make({ ...config, temperature: 0.5 })
      const before = [userText("one"), { role: "assistant" as const, content: [{ type: "text" as const, text: "1" }] }]
      const run = yield* startAgent(agent, { before, message: "two" })
      yield* Fiber.join(run.fiber)
      const [request] = yield* script.requests
      assert.deepStrictEqual(request?.prompt.content.map((message) => message.role), [
        "system",
        "user",
        "assistant",
        "user"
      ])
      assert.deepStrictEqual(request?.settings, { temperature: 0.5 })
      assert.strictEqual(request?.toolChoice, "auto")
      assert.include(request?.tools ?? [], "weather")
    }).pipe(Effect.provide(env)))

  it.effect("SCENARIO 12: a retry does not duplicate what the failed request has streamed", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push(
        [{ fail: new AiError.RateLimitError({ retryAfter: Duration.seconds(7) }) }],
        ["half an ans", overloaded],
        ["whole answer"]
      )
      const agent = yield* LlmAgent.make(config)
      const run = yield* startAgent(agent)
      yield* adjust("6999 millis")
      assert.strictEqual((yield* script.requests).length, 1)
      yield* adjust("1 millis")
      assert.strictEqual((yield* script.requests).length, 2)
      yield* adjust("1 second")
      const { usage } = yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log), [
        "ack",
        "retry 2 ModelRateLimited",
        "text half an ans",
        "retry 3 ModelOverloaded",
        "text whole answer",
        "message text"
      ])
      assert.strictEqual(run.events("retry")[0]?.delayMillis, 7000)
      assert.isAtMost(run.events("retry")[1]?.delayMillis ?? 0, 1000)
      const shown = view(run.log)
      assert.deepStrictEqual(shown.messages.map(({ message }) => Message.text(message)), ["whole answer"])
      assert.strictEqual(shown.text, "")
      assert.strictEqual(usage.requests, 1)
    }).pipe(Effect.provide(env)))
})
