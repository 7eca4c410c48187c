import { assert, describe, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import { userText } from "@perennial/domain/Message"
import * as Message from "@perennial/domain/Message"
import { LlmAgent, ModelError, ScriptedModel } from "@perennial/runtime"
import { Duration, Effect, Fiber, Layer } from "effect"
import { AiError } from "effect/ai"
import { adjust, brief, settle, startAgent, view } from "./support/agentTask.ts"
import { Effects, Tools, toolsLayer } from "./support/agentToolkit.ts"

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

  it.effect("SCENARIO 12: a retry does not duplicate the text that the failed request has streamed", () =>
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

  it.effect("fails after 4 repetitions, with a code and a text that quote nothing from the provider", () =>
    Effect.gen(function*() {
      const script = yield* Script
      const turn = ["x", { fail: new AiError.InternalProviderError({ description: "secret sk-123" }) }]
      yield* script.push(turn, turn, turn, turn, turn, ["never reached"])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* adjust("1 hour")
      const error = yield* Effect.flip(Fiber.join(run.fiber))
      assert.strictEqual(error.error, "ModelOverloaded")
      assert.isTrue(error.retryable)
      assert.notInclude(error.message, "secret")
      assert.strictEqual((yield* script.requests).length, 5)
      assert.strictEqual(run.events("retry").length, 4)
    }).pipe(Effect.provide(env)))

  it.effect.each(
    [
      [new AiError.AuthenticationError({ kind: "InvalidKey" }), "ModelUnauthorized"],
      [new AiError.AuthenticationError({ kind: "InsufficientPermissions" }), "ModelForbidden"],
      [new AiError.QuotaExhaustedError({}), "ModelQuotaExhausted"],
      [new AiError.InvalidRequestError({ description: "messages: bad" }), "ModelRequestInvalid"],
      [new AiError.InvalidRequestError({ constraint: ModelError.contextExceeded }), "ContextTooLong"],
      [new AiError.ContentPolicyError({ description: "no" }), "ModelRefused"],
      [new AiError.UnknownError({ description: "?" }), "ModelFailed"],
      [new AiError.RateLimitError({ retryAfter: Duration.hours(2) }), "ModelRateLimited"]
    ] as const
  )("does not repeat a request if a repetition cannot help: %s", ([reason, code]) =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push([{ fail: reason }], ["never reached"])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      const error = yield* Effect.flip(Fiber.join(run.fiber))
      assert.strictEqual(error.error, code)
      assert.strictEqual((yield* script.requests).length, 1)
      assert.deepStrictEqual(brief(run.log), ["ack"])
    }).pipe(Effect.provide(env)))

  it.effect("repeats a request after 2 minutes of silence; the whole answer may take longer", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push([{ drip: "100 seconds" }, "a", "b", "c", { never: true }], ["d"])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      for (let i = 0; i < 3; i++) yield* adjust("100 seconds")
      assert.strictEqual(run.events("text").length, 3)
      yield* adjust("2 minutes")
      yield* adjust("1 second")
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log).slice(-3), ["retry 2 ModelUnreachable", "text d", "message text"])
    }).pipe(Effect.provide(env)))

  it.effect("a refusal ends the task and discards the streamed text", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(["I ", { finish: "content-filter" }])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      const error = yield* Effect.flip(Fiber.join(run.fiber))
      assert.strictEqual(error.error, "ModelRefused")
      assert.isTrue(error.discardText)
      assert.isFalse(error.retryable)
      assert.deepStrictEqual(brief(run.log), ["ack", "text I "])
    }).pipe(Effect.provide(env)))

  it.effect("the last of maxIterations requests forbids tool calls", () =>
    Effect.gen(function*() {
      const script = yield* Script
      const weather = { tool: "weather", params: { city: "Oslo" } }
      yield* script.push([weather], [weather], ["enough"])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, maxIterations: 3 }))
      const { usage } = yield* Fiber.join(run.fiber)
      assert.deepStrictEqual((yield* script.requests).map((request) => request.toolChoice), ["auto", "auto", "none"])
      assert.strictEqual(usage.requests, 3)
      assert.strictEqual(brief(run.log).at(-1), "message text")
    }).pipe(Effect.provide(env)))

  it.effect("tool calls in the last step get error results, and the task ends", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(["Let me see.", { tool: "weather", params: { city: "Oslo" } }])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, maxIterations: 1 }))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("tool_result").map((event) => event.status), ["error"])
      assert.deepStrictEqual(yield* Effects.all, [])
    }).pipe(Effect.provide(env)))

  it.effect("makes no request beyond the budget of tokens", () =>
    Effect.gen(function*() {
      const script = yield* Script
      const weather = { tool: "weather", params: { city: "Oslo" } }
      yield* script.push([weather, { finish: "tool-calls", usage: { input: 90, output: 20 } }], ["never reached"])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, budget: { maxTotalTokens: 100 } }))
      const error = yield* Effect.flip(Fiber.join(run.fiber))
      assert.strictEqual(error.error, "BudgetExceeded")
      assert.strictEqual((yield* script.requests).length, 1)
    }).pipe(Effect.provide(env)))

  it.effect("makes no step beyond the budget of steps, and counts the steps of earlier attempts", () =>
    Effect.gen(function*() {
      const script = yield* Script
      const weather = { tool: "weather", params: { city: "Oslo" } }
      yield* script.push([weather], [weather, { never: true }], [weather], ["never reached"])
      const agent = yield* LlmAgent.make({ ...config, budget: { maxSteps: 2 } })
      const first = yield* startAgent(agent)
      yield* settle
      yield* Fiber.interrupt(first.fiber)
      const second = yield* startAgent(agent, { log: first.log })
      const error = yield* Effect.flip(Fiber.join(second.fiber))
      assert.strictEqual(error.error, "BudgetExceeded")
      assert.strictEqual(error.detail, "The task has used its 2 steps.")
      assert.strictEqual(second.events("tool_result").length, 2)
    }).pipe(Effect.provide(env)))

  it.effect("hooks get every event and the failure; a hook that dies does not affect the task", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(["a"], [{ fail: new AiError.UnknownError({}) }])
      const seen: Array<string> = []
      const agent = yield* LlmAgent.make({
        ...config,
        hooks: {
          onEvent: (event) => Effect.andThen(Effect.sync(() => seen.push(event.type)), Effect.die("hook")),
          onError: () => Effect.andThen(Effect.sync(() => seen.push("failed")), Effect.die("hook"))
        }
      })
      yield* Fiber.join((yield* startAgent(agent)).fiber)
      yield* Effect.flip(Fiber.join((yield* startAgent(agent)).fiber))
      assert.deepStrictEqual(seen, ["model_request", "text", "message", "model_request", "failed"])
    }).pipe(Effect.provide(env)))

  it.effect("`LlmAgent.layer` registers an agent, with its own model", () =>
    Effect.gen(function*() {
      const agent = yield* (yield* Agents).get()
      assert.strictEqual(agent.agentId, "own")
      const run = yield* startAgent(agent)
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log).slice(1), ["text mine", "message text"])
    }).pipe(
      Effect.provide(
        LlmAgent.layer({ agentId: "own", systemPrompt: "", model: ScriptedModel.layer({ turns: [["mine"]] }) })
      )
    ))

  it.effect("removes old turns from a prompt that is too long", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push(["ok"])
      const before = Array.from({ length: 20 }, (_, i) => userText(`${i} ${"x".repeat(400)}`))
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, budget: { maxContextTokens: 1000 } }), { before })
      yield* Fiber.join(run.fiber)
      const [request] = yield* script.requests
      assert.isBelow(request?.prompt.content.length ?? 0, 11)
      assert.strictEqual(request?.prompt.content[0]?.role, "system")
    }).pipe(Effect.provide(env)))
})
