import { assert, describe, it } from "@effect/vitest"
import * as Message from "@perennial/domain/Message"
import * as Settlement from "@perennial/domain/Settlement"
import { LlmAgent } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import { Deferred, Duration, Effect, Fiber, Layer, Redacted } from "effect"
import { type AgentTask, brief, messagesOf, startAgent, task } from "./support/agentTask.ts"
import { Tools, toolsLayer } from "./support/agentToolkit.ts"

const { FakeAnthropic } = Fake

const env = Layer.mergeAll(FakeAnthropic.layer, toolsLayer)
const config = Effect.map(FakeAnthropic, ({ url }) => ({
  agentId: "agent-1",
  systemPrompt: "Be brief.",
  tools: Tools,
  retry: { baseDelay: Duration.millis(1) },
  model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: url })
}))

/** The messages of a task that was cancelled, with those that the settlement adds. */
const cancelled = (run: AgentTask) => {
  const owed = Settlement.settle(run.log, task, { status: "cancelled" })
  return [
    Message.userText("hi"),
    ...messagesOf([...run.log, ...owed.map((event, i) => ({ seq: run.log.length + i + 1, at: 0, event }))])
  ]
}

describe("LlmAgent over the Anthropic SDK", () => {
  it.live("answers with tools, and repeats the request after a rate limit and after a cut connection", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(
        Fake.rateLimited(0.01),
        {
          actions: [
            { thinking: ["h", "m"], signature: "s1" },
            { text: ["Let ", "me ", "see"] },
            { toolUse: { id: "toolu_1", name: "weather", input: { city: "Oslo" } } },
            { toolUse: { id: "toolu_2", name: "slow", input: { millis: 20 } } }
          ]
        },
        { actions: [{ text: ["half"] }, { cut: "reset" }] },
        { actions: [{ text: ["It is ", "4"] }] }
      )
      const run = yield* startAgent(yield* LlmAgent.make(yield* config))
      const { usage } = yield* Fiber.join(run.fiber)
      assert.strictEqual(usage.requests, 2)
      assert.deepStrictEqual(run.events("retry").map((event) => event.reason), ["ModelRateLimited", "ModelUnreachable"])
      assert.deepStrictEqual(brief(run.log).filter((line) => line.startsWith("message")), [
        "message reasoning+text+tool_call+tool_call",
        "message text"
      ])
      const last = (yield* fake.requests).at(-1)
      assert.deepStrictEqual(last?.body.messages.map((message) => message.role), ["user", "assistant", "user"])
      assert.deepStrictEqual(last?.body.messages[1]?.content, [
        { type: "thinking", thinking: "hm", signature: "s1" },
        { type: "text", text: "Let me see" },
        { type: "tool_use", id: "toolu_1", name: "weather", input: { city: "Oslo" } },
        { type: "tool_use", id: "toolu_2", name: "slow", input: { millis: 20 } }
      ])
    }).pipe(Effect.provide(env)))

  it.live("a call whose arguments were cut at max_tokens gets an error result, and is not executed", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(
        {
          actions: [{ cutToolUse: { id: "toolu_1", name: "weather", json: "{\"city\":\"Os" } }],
          stopReason: "max_tokens"
        },
        { actions: [{ text: ["shorter"] }] }
      )
      const run = yield* startAgent(yield* LlmAgent.make(yield* config))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("tool_result").map((event) => event.status), ["error"])
    }).pipe(Effect.provide(env)))

  it.live("the error of a refusal names its category", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({
        actions: [{ text: ["I "] }],
        stopReason: "refusal",
        stopDetails: { type: "refusal", category: "bio", explanation: null }
      })
      const run = yield* startAgent(yield* LlmAgent.make(yield* config))
      const error = yield* Effect.flip(Fiber.join(run.fiber))
      assert.strictEqual(error.detail, "The model refused to answer (bio).")
    }).pipe(Effect.provide(env)))

  const hanging: ReadonlyArray<readonly [string, ReadonlyArray<Fake.Action>]> = [
    ["text", [{ text: ["par", "tial"] }]],
    ["thinking", [{ thinking: ["hm"], signature: "s" }]],
    ["a tool call", [{ text: ["x"] }, { toolUse: { id: "toolu_3", name: "slow", input: { millis: 1 } } }]]
  ]

  it.live.each(hanging)(
    "SCENARIO 21, P7: cancelled during %s, the request is aborted and the next message is accepted",
    ([, actions]) =>
      Effect.gen(function*() {
        const fake = yield* FakeAnthropic
        const reached = yield* Deferred.make<void>()
        yield* fake.push(
          { actions: [...actions, { run: Deferred.succeed(reached, undefined) }, { hang: true }] },
          { actions: [{ text: ["fine"] }] }
        )
        const agent = yield* LlmAgent.make(yield* config)
        const first = yield* startAgent(agent)
        const request = yield* fake.nextRequest
        yield* Deferred.await(reached)
        yield* Fiber.interrupt(first.fiber)
        assert.strictEqual(yield* request.end, "aborted")
        const next = yield* startAgent(agent, { before: cancelled(first), message: "and now?" })
        yield* Fiber.join(next.fiber)
        assert.strictEqual(brief(next.log).at(-1), "message text")
      }).pipe(Effect.provide(env))
  )

  it.live("SCENARIO 21, P7: cancelled while a tool runs, the next message is accepted", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(
        {
          actions: [
            { toolUse: { id: "toolu_1", name: "slow", input: { millis: 60_000 } } },
            { toolUse: { id: "toolu_2", name: "weather", input: { city: "Oslo" } } }
          ]
        },
        { actions: [{ text: ["fine"] }] }
      )
      const weather = yield* Deferred.make<void>()
      const agent = yield* LlmAgent.make({
        ...(yield* config),
        hooks: {
          onEvent: (event) =>
            event.type === "tool_result" ? Effect.asVoid(Deferred.succeed(weather, undefined)) : Effect.void
        }
      })
      const first = yield* startAgent(agent)
      yield* Deferred.await(weather)
      yield* Fiber.interrupt(first.fiber)
      const next = yield* startAgent(agent, { before: cancelled(first), message: "and now?" })
      yield* Fiber.join(next.fiber)
      const results = (yield* fake.requests).at(-1)?.body.messages[2]?.content
      assert.deepStrictEqual(
        Array.isArray(results)
          ? results.map((block) => block.type === "tool_result" ? block.is_error : block.type)
          : [],
        [true, false, "text"]
      )
    }).pipe(Effect.provide(env)))
})
