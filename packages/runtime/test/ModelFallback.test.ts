/** An agent whose model fails and that has fallback models. */
import { assert, describe, it } from "@effect/vitest"
import { LlmAgent, ModelError, ScriptedModel } from "@perennial/runtime"
import { Duration, Effect, Fiber, Layer, Stream } from "effect"
import { AiError, LanguageModel, Model, type Response } from "effect/ai"
import { adjust, brief, settle, startAgent, view } from "./support/agentTask.ts"
import { Tools, toolsLayer } from "./support/agentToolkit.ts"

const overloaded: ScriptedModel.Action = { fail: new AiError.InternalProviderError({ description: "Overloaded" }) }
const limited = (retryAfter: Duration.Duration): ScriptedModel.Action => ({
  fail: new AiError.RateLimitError({ retryAfter })
})

const config = { agentId: "agent-1", systemPrompt: "Be brief." }

/** The configuration of an agent with scripted models: the first model and its fallbacks. */
const chain = (
  first: ReadonlyArray<ScriptedModel.Turn>,
  ...others: ReadonlyArray<ReadonlyArray<ScriptedModel.Turn>>
) => ({
  ...config,
  model: ScriptedModel.layer({ turns: first }),
  fallbacks: others.map((turns) => ScriptedModel.layer({ turns }))
})

describe("LlmAgent with fallback models", () => {
  it.effect("SCENARIO 12: the next model answers at once, and the text of the first model is void", () =>
    Effect.gen(function*() {
      const run = yield* startAgent(yield* LlmAgent.make(chain([["half an ans", overloaded]], [["whole answer"]])))
      yield* settle
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log), [
        "ack",
        "text half an ans",
        "retry 2 ModelOverloaded",
        "text whole answer",
        "message text"
      ])
      const [retry] = run.events("retry")
      assert.strictEqual(retry?.delayMillis, 0)
      assert.strictEqual(retry?.discardAfter, 1)
      assert.strictEqual(view(run.log).text, "")
    }))

  it.effect("the begin of each request is an event before its answer: the step, the try, and the name of the model", () =>
    Effect.gen(function*() {
      const named = (name: string, turns: ReadonlyArray<ScriptedModel.Turn>) =>
        Layer.merge(ScriptedModel.layer({ turns }), Layer.succeed(Model.ModelName, name))
      const agent = yield* LlmAgent.make({
        ...config,
        tools: Tools,
        model: named("large", [["half", overloaded]]),
        fallbacks: [named("small", [[{ tool: "whoami" }], ["whole"]])]
      })
      const run = yield* startAgent(agent)
      yield* settle
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(
        run.events("model_request").map(({ model, step, tryNumber }) => [step, tryNumber, model]),
        [
          [1, 1, "large"],
          [1, 2, "small"],
          [2, 1, "small"]
        ]
      )
      const types = run.log.map(({ event }) => event.type)
      assert.deepStrictEqual(types.slice(0, 5), ["ack", "model_request", "text", "retry", "model_request"])
      const unnamed = yield* startAgent(yield* LlmAgent.make(chain([["answer"]])))
      yield* Fiber.join(unnamed.fiber)
      assert.notProperty(unnamed.events("model_request")[0], "model")
    }).pipe(Effect.provide(toolsLayer)))

  const unavailable: ReadonlyArray<readonly [AiError.AiErrorReason, string]> = [
    [new AiError.AuthenticationError({ kind: "InvalidKey" }), "ModelUnauthorized"],
    [new AiError.QuotaExhaustedError({}), "ModelQuotaExhausted"],
    [new AiError.InvalidRequestError({ constraint: ModelError.unknownModel }), "ModelNotFound"],
    [new AiError.RateLimitError({ retryAfter: Duration.hours(2) }), "ModelRateLimited"],
    [new AiError.InvalidResponseError({ description: "not the protocol" }), "ModelResponseInvalid"],
    [new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "" }), "ModelUnreachable"]
  ]

  it.effect.each(unavailable)(
    "the fallback is used at once after this error of the first model: %s",
    ([reason, code]) =>
      Effect.gen(function*() {
        const run = yield* startAgent(yield* LlmAgent.make(chain([[{ fail: reason }]], [["answer"]])))
        yield* settle
        yield* Fiber.join(run.fiber)
        assert.deepStrictEqual(run.events("retry").map((event) => event.reason), [code])
      })
  )

  it.effect("an answer without a `finish` part is incomplete, with any provider", () =>
    Effect.gen(function*() {
      const parts: ReadonlyArray<Response.StreamPartEncoded> = [
        { type: "text-start", id: "0" },
        { type: "text-delta", id: "0", delta: "half" }
      ]
      const model = Layer.effect(
        LanguageModel.LanguageModel,
        LanguageModel.make({ streamText: () => Stream.fromArray(parts), generateText: () => Effect.succeed([]) })
      )
      const run = yield* startAgent(
        yield* LlmAgent.make({ ...config, model, fallbacks: [ScriptedModel.layer({ turns: [["whole"]] })] })
      )
      yield* settle
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log).slice(1), [
        "text half",
        "retry 2 ModelUnreachable",
        "text whole",
        "message text"
      ])
    }))

  it.effect("an invalid request is not sent to the fallback", () =>
    Effect.gen(function*() {
      const wrong = { fail: new AiError.InvalidRequestError({ description: "messages: bad" }) }
      const run = yield* startAgent(yield* LlmAgent.make(chain([[wrong]], [["never asked"]])))
      const error = yield* Effect.flip(Fiber.join(run.fiber))
      assert.strictEqual(error.error, "ModelRequestInvalid")
      assert.deepStrictEqual(run.events("retry"), [])
    }))

  it.effect("the next request goes to the model with the earliest `retry-after`", () =>
    Effect.gen(function*() {
      const agent = yield* LlmAgent.make({
        ...chain([[limited(Duration.seconds(7))], ["first"]], [
          [limited(Duration.seconds(3))],
          [limited(Duration.seconds(60))]
        ]),
        retry: { times: 2 }
      })
      const run = yield* startAgent(agent)
      yield* adjust("1 minute")
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("retry").map((event) => event.delayMillis), [0, 3000, 4000])
      assert.strictEqual(brief(run.log).at(-2), "text first")
    }))

  it.effect("each model gets `retry.times` repetitions, and then the task ends with the last error", () =>
    Effect.gen(function*() {
      const turns = Array.from({ length: 9 }, (): ScriptedModel.Turn => [overloaded])
      const agent = yield* LlmAgent.make({ ...chain(turns, turns), retry: { times: 1 } })
      const run = yield* startAgent(agent)
      yield* adjust("1 hour")
      const error = yield* Effect.flip(Fiber.join(run.fiber))
      assert.strictEqual(error.error, "ModelOverloaded")
      assert.deepStrictEqual(run.events("retry").map((event) => event.tryNumber), [2, 3, 4])
    }))

  it.effect("the model that has answered is used for the rest of the task; the next task begins with the first model", () =>
    Effect.gen(function*() {
      const agent = yield* LlmAgent.make({
        ...chain([[overloaded], ["back"]], [[{ tool: "weather", params: { city: "Oslo" } }], ["It is 4."]]),
        tools: Tools
      })
      const first = yield* startAgent(agent)
      yield* settle
      yield* Fiber.join(first.fiber)
      assert.deepStrictEqual(first.events("retry").map((event) => event.reason), ["ModelOverloaded"])
      assert.include(brief(first.log), "text It is 4.")
      const second = yield* startAgent(agent)
      yield* Fiber.join(second.fiber)
      assert.include(brief(second.log), "text back")
    }).pipe(Effect.provide(toolsLayer)))

  it.effect("the fallback is used after a model was silent for too long", () =>
    Effect.gen(function*() {
      const agent = yield* LlmAgent.make({
        ...chain([["so", { never: true }]], [["answer"]]),
        timeouts: { modelIdle: "30 seconds" }
      })
      const run = yield* startAgent(agent)
      yield* adjust("30 seconds")
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("retry").map((event) => event.reason), ["ModelUnreachable"])
    }))
})
