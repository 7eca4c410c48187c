/** How an agent reads the answer of a model: the content of the message, and the time-out of a silent model. */
import { assert, describe, it } from "@effect/vitest"
import { LlmAgent, ScriptedModel } from "@perennial/runtime"
import { Effect, Fiber, Latch, Layer, Stream, Tracer } from "effect"
import { LanguageModel, type Response } from "effect/ai"
import { adjust, brief, settle, startAgent } from "./support/agentTask.ts"

const { Script } = ScriptedModel
const config = { agentId: "agent-1", systemPrompt: "Be brief.", timeouts: { modelIdle: "30 seconds" } } as const
const env = ScriptedModel.layer()

describe("an answer of a model", () => {
  const metadata = (value: string) => ({ provider: { value } })

  const finish: Response.StreamPartEncoded = {
    type: "finish",
    reason: "stop",
    usage: {
      inputTokens: { total: 1, uncached: 1, cacheRead: 0, cacheWrite: 0 },
      outputTokens: { total: 1, text: undefined, reasoning: undefined }
    }
  }

  const blocks: ReadonlyArray<
    readonly [
      name: string,
      parts: ReadonlyArray<Response.StreamPartEncoded>,
      content: ReadonlyArray<unknown>
    ]
  > = [
    [
      "the deltas of a block become one text, with all metadata of the provider",
      [
        { type: "text-start", id: "0" },
        { type: "text-delta", id: "0", delta: "a" },
        { type: "text-delta", id: "0", delta: "b", metadata: metadata("of b") },
        { type: "text-delta", id: "0", delta: "c" },
        { type: "text-end", id: "0" }
      ],
      [{ type: "text", text: "abc", providerData: metadata("of b") }]
    ],
    [
      "blocks with alternating deltas stay separate",
      [
        { type: "text-start", id: "0" },
        { type: "reasoning-start", id: "1" },
        { type: "text-start", id: "2" },
        { type: "text-delta", id: "0", delta: "a" },
        { type: "reasoning-delta", id: "1", delta: "x" },
        { type: "text-delta", id: "2", delta: "m" },
        { type: "text-delta", id: "0", delta: "b" },
        { type: "reasoning-delta", id: "1", delta: "y" },
        { type: "text-delta", id: "2", delta: "n" },
        { type: "text-end", id: "0" },
        { type: "reasoning-end", id: "1", metadata: metadata("of 1") },
        { type: "text-end", id: "2" }
      ],
      [
        { type: "text", text: "ab" },
        { type: "reasoning", text: "xy", providerData: metadata("of 1") },
        { type: "text", text: "mn" }
      ]
    ]
  ]

  it.effect.each(blocks)("%s", ([, parts, content]) =>
    Effect.gen(function*() {
      const model = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({ generateText: () => Effect.never, streamText: () => Stream.make(...parts, finish) })
      )
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, model }))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("message").map(({ message }) => message.content), [content])
    }))
})

describe("an answer that its provider reports as failed", () => {
  it.effect("is repeated, although it has text", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(["half an", { finish: "error" }], ["whole"])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* settle
      yield* adjust("10 seconds")
      assert.deepStrictEqual(brief(run.log), [
        "ack",
        "text half an",
        "retry 2 ModelOverloaded",
        "text whole",
        "message text"
      ])
    }).pipe(Effect.provide(env)))
})

describe("a silent model", () => {
  it.effect("P11: each answer has its own time-out, independent of other answers of the agent", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(
        ["first", { never: true }],
        [{ drip: "10 seconds" }, ..."0123456"],
        [
          { never: true }
        ],
        ["again"],
        ["again"]
      )
      const agent = yield* LlmAgent.make(config)
      const first = yield* startAgent(agent)
      const talks = yield* startAgent(agent)
      yield* adjust("20 seconds")
      const second = yield* startAgent(agent)
      yield* adjust("9 seconds")
      assert.deepStrictEqual(brief(first.log), ["ack", "text first"])
      yield* adjust("1 second")
      assert.deepStrictEqual(brief(first.log), ["ack", "text first", "retry 2 ModelUnreachable"])
      yield* adjust("19 seconds")
      assert.deepStrictEqual(brief(second.log), ["ack"])
      yield* adjust("1 second")
      assert.deepStrictEqual(brief(second.log), ["ack", "retry 2 ModelUnreachable"])
      yield* adjust("1 minute")
      for (const { fiber } of [first, talks, second]) yield* Fiber.join(fiber)
      assert.deepStrictEqual(talks.events("retry"), [])
    }).pipe(Effect.provide(env)))

  it.effect("the time-out does not run while the agent waits for its events to become durable", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(["slowly ", "kept"])
      const kept = Latch.makeUnsafe()
      const agent = yield* LlmAgent.make({
        ...config,
        hooks: { onEvent: ({ type }) => type === "text" ? kept.await : Effect.void }
      })
      const run = yield* startAgent(agent)
      yield* adjust("10 minutes")
      assert.deepStrictEqual(brief(run.log), ["ack", "text slowly "])
      yield* kept.open
      yield* settle
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log), ["ack", "text slowly ", "text kept", "message text"])
    }).pipe(Effect.provide(env)))
})

describe("spans of an agent", () => {
  it.effect("a tracer gets a span of each request to a model; the end of an answer is no failure", () =>
    Effect.gen(function*() {
      const seen: Array<Tracer.Span> = []
      const path = (span: Tracer.AnySpan): string =>
        span._tag === "ExternalSpan"
          ? "external"
          : span.parent._tag === "None"
          ? span.name
          : `${path(span.parent.value)} > ${span.name}`
      const tracer = Tracer.make({
        span: (options) => {
          const span = new Tracer.NativeSpan(options)
          seen.push(span)
          return span
        }
      })
      yield* (yield* Script).push(["hello"])
      const run = yield* Effect.withTracer(startAgent(yield* LlmAgent.make(config)), tracer)
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(seen.map(path), ["LanguageModel.streamText"])
      assert.deepStrictEqual(seen.map(({ status }) => status._tag === "Ended" && status.exit._tag), ["Success"])
    }).pipe(Effect.provide(env)))
})
