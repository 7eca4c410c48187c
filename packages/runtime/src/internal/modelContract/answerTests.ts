/** The contract of a provider: answers. */
import { assert } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { LanguageModel } from "effect/ai"
import { usageOf } from "../agent/answerParts.ts"
import { ask, type ContractTest, contractTest, finishOf, textOf } from "./contractTest.ts"

const finishes: ReadonlyArray<ContractTest> = (["length", "content-filter"] as const).map((finish) =>
  contractTest({
    name: `an answer can end with the reason \`${finish}\``,
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ actions: [{ text: ["half an"] }], finish })
        const parts = yield* Stream.runCollect(ask())
        assert.strictEqual(finishOf(parts)?.reason, finish)
      })
  })
)

export const answerTests: ReadonlyArray<ContractTest> = [
  contractTest({
    name: "text arrives in pieces, and a finish part with the reason `stop` comes last",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ actions: [{ text: ["Hel", "lo ", "\u{1F44B}"] }] })
        const parts = yield* Stream.runCollect(ask())
        assert.strictEqual(textOf(parts), "Hello \u{1F44B}")
        assert.isAtLeast(parts.filter((part) => part.type === "text-delta").length, 2)
        assert.strictEqual(parts.at(-1)?.type, "finish")
        assert.strictEqual(finishOf(parts)?.reason, "stop")
      })
  }),
  ...finishes,
  contractTest({
    name: "an answer that the model reports as failed is a failure worth another try",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ actions: [{ text: ["half an"] }], finish: "error" })
        const error = yield* Effect.flip(Stream.runDrain(ask()))
        assert.isTrue(error.isRetryable)
      })
  }),
  contractTest({
    name: "usage tells cached and reasoning tokens apart",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({
          actions: [{ text: ["ok"] }],
          usage: { input: 140, cached: 40, output: 50, reasoning: 20 }
        })
        const finish = finishOf(yield* Stream.runCollect(ask()))
        assert.deepInclude(finish === undefined ? {} : usageOf(finish), {
          inputTokens: 100,
          cacheReadTokens: 40,
          outputTokens: 50,
          reasoningTokens: 20
        })
      })
  }),
  contractTest({
    name: "reasoning is streamed beside the text",
    needs: "reasoning",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ actions: [{ reasoning: ["let me ", "see"], state: "state-1" }, { text: ["ok"] }] })
        const parts = yield* Stream.runCollect(ask())
        const reasoning = parts.map((part) => part.type === "reasoning-delta" ? part.delta : "").join("")
        assert.strictEqual(reasoning, "let me see")
        assert.strictEqual(textOf(parts), "ok")
      })
  }),
  contractTest({
    name: "an answer can be asked for in one piece",
    body: ({ api }) =>
      Effect.gen(function*() {
        yield* api.push({ actions: [{ text: ["A ", "title"] }] })
        const { finishReason, text } = yield* LanguageModel.generateText({ prompt: "hi" })
        assert.deepStrictEqual([text, finishReason], ["A title", "stop"])
      })
  })
]
