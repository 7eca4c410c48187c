/**
 * Servers that implement Anthropic's API with deviations. Their answers are understood, or the request is repeated. No part
 * of an answer is dropped.
 */
import { assert, describe, it } from "@effect/vitest"
import { LlmAgent } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import { Effect, Redacted } from "effect"
import { Effects } from "./support/agentToolkit.ts"
import { env, eventOf, run, runWith, summary } from "./support/overAnthropic.ts"

const { FakeAnthropic } = Fake

const whole: Fake.Reply = { actions: [{ text: ["who", "le"] }] }

const recorded: Fake.StreamReply = {
  actions: [
    { thinking: ["let me ", "see"], signature: "sig" },
    { text: ["I ", "look"] },
    { toolUse: { id: "toolu_1", name: "weather", input: { city: "Oslo" } } },
    { toolUse: { id: "toolu_2", name: "weather", input: { city: "Rome" } } }
  ]
}

const quirks: ReadonlyArray<ReadonlyArray<Fake.Quirk>> = [
  ["no-starts"],
  ["no-ends"],
  ["one-index"],
  ["no-event-lines"],
  ["second-message-delta"],
  ["no-ids"],
  ["empty-object-first"],
  ["arguments-at-start"],
  ["in-one-piece"],
  ["no-starts", "no-ends", "no-event-lines", "second-message-delta", "no-ids", "empty-object-first"],
  ["one-index", "no-ends", "arguments-at-start"]
]

describe("D29: the stream of a gateway", () => {
  it.live.each(quirks.map((all) => [all.join(", "), all] as const))(
    "%s: text, thinking and calls arrive",
    ([, quirks]) =>
      Effect.gen(function*() {
        const fake = yield* FakeAnthropic
        yield* fake.push({ ...recorded, quirks }, whole)
        const log = yield* run
        assert.deepStrictEqual(summary(log), { messages: ["I look", "whole"], retries: [], end: "done" })
        const [answer] = eventOf(log, "message")
        assert.deepStrictEqual(answer?.message.content.map(({ type }) => type), [
          "reasoning",
          "text",
          "tool_call",
          "tool_call"
        ])
        assert.sameMembers([...yield* Effects.all], ["weather Oslo", "weather Rome"])
      }).pipe(Effect.provide(env))
  )

  it.live("the request is repeated if the stop reason announces calls and the answer has none", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ ...recorded, quirks: ["no-calls"] }, whole)
      assert.deepStrictEqual(summary(yield* run), {
        messages: ["whole"],
        retries: ["ModelResponseInvalid"],
        end: "done"
      })
    }).pipe(Effect.provide(env)))

  it.live("a refusal stays a refusal if a second `message_delta` has no stop reason", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const stopDetails = { type: "refusal", category: "bio", explanation: null } as const
      yield* fake.push({
        actions: [{ text: ["I "] }],
        stopReason: "refusal",
        stopDetails,
        quirks: ["second-message-delta"]
      })
      const log = yield* run
      assert.deepStrictEqual(summary(log).end, "error ModelRefused")
      assert.include(eventOf(log, "error")[0]?.detail, "(bio)")
    }).pipe(Effect.provide(env)))

  it.live.each([
    ["nothing", []],
    ["white space", [{ text: [" \n"] }]],
    ["thinking", [{ thinking: ["hm"], signature: "s" }]]
  ] as ReadonlyArray<readonly [string, ReadonlyArray<Fake.Action>]>)(
    "an answer of only %s is not a success: the request is repeated, and then the task fails",
    ([, actions]) =>
      Effect.gen(function*() {
        const fake = yield* FakeAnthropic
        yield* fake.push({ actions }, whole)
        assert.deepStrictEqual(summary(yield* run), { messages: ["whole"], retries: ["AnswerEmpty"], end: "done" })
        yield* fake.otherwise(() => ({ actions }))
        assert.deepStrictEqual(summary(yield* run), {
          messages: [],
          retries: ["AnswerEmpty", "AnswerEmpty", "AnswerEmpty", "AnswerEmpty"],
          end: "error AnswerEmpty"
        })
      }).pipe(Effect.provide(env))
  )

  it.live("`input: null` is a call without arguments", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const call = { toolUse: { id: "toolu_1", name: "whoami", input: null } }
      yield* fake.push({ actions: [call], quirks: ["arguments-at-start"] }, whole)
      const log = yield* run
      assert.deepStrictEqual(eventOf(log, "tool_result").map(({ status }) => status), ["completed"])
    }).pipe(Effect.provide(env)))
})

describe("D28: errors of a gateway", () => {
  const agentOf = (fake: Fake.FakeAnthropic["Service"], baseDelay: "1 millis" | "100 millis") =>
    LlmAgent.layer({
      agentId: "agent-1",
      systemPrompt: "",
      retry: { baseDelay },
      model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url }),
      fallbacks: [AnthropicModel.layer({ apiKey: Redacted.make("other"), baseUrl: fake.url })]
    })

  const credit = "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade."

  it.live.each(
    [
      ["400 of the API itself", Fake.errorReply(400, "invalid_request_error", credit)],
      ["403 of a gateway", Fake.errorReply(403, "insufficient_quota", "You have no credit left.")],
      ["429 of a gateway", Fake.errorReply(429, "insufficient_quota", "You exceeded your current quota")]
    ] as const
  )("the fallback model is used after an exhausted quota: %s", ([, reply]) =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(reply, whole)
      const log = yield* runWith(agentOf(fake, "1 millis"))
      assert.deepStrictEqual(summary(log), { messages: ["whole"], retries: ["ModelQuotaExhausted"], end: "done" })
      const [, second] = yield* fake.requests
      assert.strictEqual(second?.headers["authorization"], "Bearer other")
    }).pipe(Effect.provide(FakeAnthropic.layer)))

  const headers = ["0", "-5", "0.001", "Thu, 01 Jan 1970 00:00:00 GMT", "soon", ""]

  it.live.each(headers)(
    "P11: retries wait for the back-off if `retry-after` is %o",
    (value) =>
      Effect.gen(function*() {
        const fake = yield* FakeAnthropic
        const limited = Fake.errorReply(429, "rate_limit_error", "Oh", { "retry-after": value })
        yield* fake.push(limited, limited, limited, whole)
        const agents = LlmAgent.layer({
          agentId: "agent-1",
          systemPrompt: "",
          retry: { baseDelay: "20 millis" },
          model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url })
        })
        const log = yield* runWith(agents)
        const delays = eventOf(log, "retry").map(({ delayMillis }) => delayMillis)
        assert.lengthOf(delays, 3)
        for (const [at, delay] of delays.entries()) assert.isAtLeast(delay, 15 * 2 ** at)
      }).pipe(Effect.provide(FakeAnthropic.layer))
  )

  it.live.each(
    [
      ["of a new type", "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"new_error\"}}\n\n"],
      ["without a type", "event: error\ndata: {\"error\":{\"message\":\"Oh\"}}\n\n"],
      ["that is no JSON", "event: error\ndata: upstream failed\n\n"],
      ["without the line `event:`", "data: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\"}}\n\n"]
    ] as const
  )("a request with an error in its stream is repeated: %s", ([, raw]) =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["par"] }, { raw }, { hang: true }] }, whole)
      assert.deepStrictEqual(summary(yield* run), { messages: ["whole"], retries: ["ModelOverloaded"], end: "done" })
    }).pipe(Effect.provide(env)))
})
