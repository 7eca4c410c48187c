/** Usage of model requests, times of retries, and ends of answers: from the API to the log. */
import { assert, describe, it } from "@effect/vitest"
import { LlmAgent } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import { Effect, Redacted } from "effect"
import { env, eventOf, run, runWith, summary } from "./support/overAnthropic.ts"

const { FakeAnthropic } = Fake

const whole: Fake.Reply = { actions: [{ text: ["whole"] }] }

describe("a task over the Anthropic SDK, usage and retries", () => {
  const later: ReadonlyArray<readonly [status: number, type: string]> = [
    [529, "overloaded_error"],
    [503, "api_error"],
    [502, "unknown_error"],
    [429, "rate_limit_error"]
  ]

  it.live.each(later)("%i is repeated at the time that the API names", ([status, type]) =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(Fake.errorReply(status, type, "Oh", { "retry-after-ms": "100" }), whole)
      const [retry] = eventOf(yield* run, "retry")
      // Without the header the agent would wait for one millisecond.
      assert.isAbove(retry?.delayMillis ?? 0, 1)
    }).pipe(Effect.provide(env)))

  it.live("an answer that was cut at max_tokens is marked as cut", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["half a"] }], stopReason: "max_tokens" })
      yield* fake.push({ actions: [{ text: ["whole"] }] })
      assert.deepStrictEqual(eventOf(yield* run, "message").map(({ truncated }) => truncated), [true])
      assert.deepStrictEqual(eventOf(yield* run, "message").map(({ truncated }) => truncated), [undefined])
    }).pipe(Effect.provide(env)))

  it.live("P11: the budget counts the usage of a paused answer, before the answer continues and after a failure", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const paused: Fake.Reply = {
        actions: [{ text: ["on and "] }],
        stopReason: "pause_turn",
        usage: { input_tokens: 40, output_tokens: 10 }
      }
      yield* fake.push(paused, { actions: [{ text: ["par"] }, { cut: "end" }] }, paused, whole)
      const agent = LlmAgent.layer({
        agentId: "agent-1",
        systemPrompt: "",
        retry: { baseDelay: "1 millis" },
        budget: { maxTotalTokens: 100 },
        model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url })
      })
      const log = yield* runWith(agent)
      assert.deepStrictEqual(summary(log), {
        messages: ["partial: on and "],
        retries: ["ModelUnreachable"],
        end: "error BudgetExceeded"
      })
      assert.strictEqual((yield* fake.requests).length, 3)
    }).pipe(Effect.provide(FakeAnthropic.layer)))

  it.live("the usage of a paused answer that failed is part of the usage of the next answer", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const usage = { input_tokens: 40, output_tokens: 10 }
      yield* fake.push(
        { actions: [{ text: ["on and "] }], stopReason: "pause_turn", usage },
        { actions: [{ text: ["par"] }, { cut: "end" }] },
        { actions: [{ text: ["whole"] }], usage }
      )
      const end = (yield* run).at(-1)?.event
      assert.deepInclude(end?.type === "done" ? end.usage : {}, { requests: 2, inputTokens: 80, outputTokens: 20 })
    }).pipe(Effect.provide(env)))

  it.live("usage is read from a server that leaves out fields whose value is null", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push({ actions: [{ text: ["fine"] }], usage: { input_tokens: 7, output_tokens: 5 }, bare: true })
      const end = (yield* run).at(-1)?.event
      assert.deepInclude(end?.type === "done" ? end.usage : {}, { requests: 1, inputTokens: 7, outputTokens: 5 })
    }).pipe(Effect.provide(env)))
})
