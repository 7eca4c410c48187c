/** Agents that promise an answer of a form (`output`), with a model that has no structured output. */
import { assert, describe, it } from "@effect/vitest"
import { awaitOutput, TaskManager } from "@perennial/domain/TaskManager"
import { maxOutputLength } from "@perennial/domain/TaskSummary"
import { LlmAgent, ScriptedModel } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Fiber, Layer, Logger, Redacted, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { brief, settle, startAgent } from "./support/agentTask.ts"
import { Effects, Tools, toolsLayer } from "./support/agentToolkit.ts"

const { Script } = ScriptedModel
const Report = Schema.Struct({ city: Schema.String, at: Schema.Date })
const config = { agentId: "agent-1", systemPrompt: "Be brief.", tools: Tools, output: Report }
const env = Layer.provideMerge(toolsLayer, ScriptedModel.layer())
const at = "2026-11-30T12:00:00.000Z"
const answer = (params: unknown, id?: string) => ({ tool: "final_answer", params, id })
const good = answer({ city: "Oslo", at })
const bad = answer({ city: "Oslo", at: "noon" })

/** The output, or the code of the error, and the number of requests. */
const run = Effect.fnUntraced(function*<Output>(
  agentConfig: LlmAgent.AgentConfig<Toolkit.Tools<typeof Tools>, Output>,
  ...turns: ReadonlyArray<ScriptedModel.Turn>
) {
  const script = yield* Script
  yield* script.push(...turns)
  const task = yield* startAgent(yield* LlmAgent.make(agentConfig))
  const ended = yield* Effect.result(Fiber.join(task.fiber))
  const end = ended._tag === "Success" ? task.events("output").map(({ output }) => output) : ended.failure.error
  return { end, task, requests: yield* script.requests }
})

describe("typed answers", () => {
  it.effect("the model gives the answer by a tool, also where every other call needs a person", () =>
    Effect.gen(function*() {
      const { end, requests, task } = yield* run(
        { ...config, approval: { required: "always" } },
        [good]
      )
      assert.deepStrictEqual(end, [{ city: "Oslo", at }])
      assert.deepStrictEqual(brief(task.log).slice(1), [
        "message tool_call",
        "tool_result final_answer completed \"The answer is accepted.\"",
        "output"
      ])
      assert.include(requests[0]?.tools ?? [], "final_answer")
      assert.strictEqual(requests[0]?.toolChoice, "auto")
    }).pipe(Effect.provide(env)))

  it.effect.each(
    [
      ["words", ["It is noon in Oslo."]],
      ["wrong form", [bad]],
      ["JSON of another form", [JSON.stringify({ city: 5 })]]
    ] as const
  )("the model may repair an answer once: %s", ([, turn]) =>
    Effect.gen(function*() {
      const once = yield* run(config, turn, [good])
      assert.deepStrictEqual(once.end, [{ city: "Oslo", at }])
      assert.deepStrictEqual(once.requests[1]?.toolChoice, { tool: "final_answer" })
      assert.match(JSON.stringify(once.requests[1]?.prompt), /not of the form that is asked for/)
      const twice = yield* run(config, turn, turn, [good])
      assert.strictEqual(twice.end, "OutputInvalid")
    }).pipe(Effect.provide(env)))

  it.effect("words that are JSON of the form are the answer", () =>
    Effect.gen(function*() {
      const { end } = yield* run(config, ["```json\n", JSON.stringify({ city: "Oslo", at }), "\n```"])
      assert.deepStrictEqual(end, [{ city: "Oslo", at }])
    }).pipe(Effect.provide(env)))

  it.effect("the last step asks for the answer, and its repair may be one step more", () =>
    Effect.gen(function*() {
      const call = { tool: "weather", params: { city: "Oslo" } }
      const two = { ...config, maxIterations: 2 }
      const first = yield* run(two, [call], [bad], [good])
      assert.deepStrictEqual(first.end, [{ city: "Oslo", at }])
      assert.deepStrictEqual(first.requests.map(({ toolChoice }) => toolChoice), [
        "auto",
        { tool: "final_answer" },
        { tool: "final_answer" }
      ])
      const stubborn = yield* run(two, [call], [call], [call], [good])
      assert.strictEqual(stubborn.end, "OutputInvalid")
      assert.deepStrictEqual(yield* Effects.all, ["weather Oslo", "weather Oslo"])
    }).pipe(Effect.provide(env)))

  it.effect("calls beside the final answer are not executed", () =>
    Effect.gen(function*() {
      const { end, task } = yield* run(config, [{ tool: "weather", params: { city: "Oslo" }, id: "w" }, good])
      assert.deepStrictEqual(end, [{ city: "Oslo", at }])
      assert.deepStrictEqual(yield* Effects.all, [])
      assert.deepStrictEqual(task.events("tool_result").map(({ status, tool }) => [tool, status]), [
        ["weather", "error"],
        ["final_answer", "completed"]
      ])
    }).pipe(Effect.provide(env)))

  it.effect("P11: a form that is no object has a wrapper; an answer that is too large is none", () =>
    Effect.gen(function*() {
      const list = { ...config, output: Schema.Array(Schema.String) }
      const small = yield* run(list, [answer({ answer: ["a", "b"] })])
      assert.deepStrictEqual(small.end, [["a", "b"]])
      const large = answer({ answer: ["x".repeat(maxOutputLength)] })
      assert.strictEqual((yield* run(list, [large], [large])).end, "OutputInvalid")
    }).pipe(Effect.provide(env)))

  it.effect("P10: a crash after any event repeats no finished request, and gives the same output", () =>
    Effect.gen(function*() {
      const script = yield* Script
      const agent = yield* LlmAgent.make(config)
      const whole = yield* startAgent(agent)
      yield* Fiber.join(whole.fiber)
      for (let events = 1; events < whole.log.length - 1; events++) {
        const first = yield* startAgent(agent, { stopAfter: events })
        yield* settle
        yield* Fiber.interrupt(first.fiber)
        const before = (yield* script.requests).length
        const second = yield* startAgent(agent, { log: first.log })
        yield* Fiber.join(second.fiber)
        const last = second.events("output")
        assert.deepStrictEqual([last.length, last[0]?.output], [1, { city: "Oslo", at }], `after ${events} events`)
        const asked = (yield* script.requests).length - before
        assert.strictEqual(asked, 3 - first.events("message").length, `after ${events} events`)
      }
    }).pipe(Effect.provide(Layer.provideMerge(
      toolsLayer,
      // The answer depends on nothing but the conversation.
      ScriptedModel.layer({
        otherwise: ({ prompt }) => {
          const answered = prompt.content.filter(({ role }) => role === "assistant").length
          return [[{ tool: "weather", params: { city: "Oslo" } }], ["words"], [good]][answered] ?? []
        }
      })
    ))))

  it.effect("a tool of the agent may not have the name of the answer", () =>
    Effect.gen(function*() {
      const tools = Toolkit.make(Tool.make("final_answer"))
      const handlers = tools.toLayer({ final_answer: () => Effect.void })
      const exit = yield* Effect.exit(Effect.provide(LlmAgent.make({ ...config, tools }), handlers))
      assert.match(String(exit), /Agent "agent-1" has a tool "final_answer"/)
    }).pipe(Effect.provide(env)))

  it.live.each([{ thinking: "adaptive" }, { thinking: { budgetTokens: 2_000 } }, {}] as const)(
    "Claude without structured output is asked to call the tool, and is forced only if it does not think: %j",
    (settings) =>
      Effect.gen(function*() {
        const fake = yield* FakeAnthropic
        const call = (input: unknown, id: string) => ({ toolUse: { id, name: "final_answer", input } })
        yield* fake.push(
          { actions: [{ text: ["It is noon."] }] },
          { actions: [call({ city: "Oslo", at }, "toolu_1")] }
        )
        const model = AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url, structuredOutput: false })
        const task = yield* startAgent(yield* LlmAgent.make({ ...config, ...settings, model }))
        yield* Fiber.join(task.fiber)
        assert.deepStrictEqual(task.events("output").map(({ output }) => output), [{ city: "Oslo", at }])
        const [, second] = yield* fake.requests
        const forced = { type: "tool", name: "final_answer" } as const
        assert.deepStrictEqual(second?.body.tool_choice, "thinking" in settings ? { type: "auto" } : forced)
      }).pipe(Effect.scoped, Effect.provide([env, FakeAnthropic.layer, Logger.layer([])]))
  )

  it.effect("the output is stored with the task, and typed for the caller", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const done = yield* manager.start({ message: "hi" })
      const report = yield* awaitOutput(done.id, config)
      assert.deepStrictEqual(report, { city: "Oslo", at: new Date(at) })
      assert.deepStrictEqual((yield* manager.await(done.id)).output, { city: "Oslo", at })
      const [listed] = yield* manager.list()
      assert.deepStrictEqual(listed?.output, { city: "Oslo", at })
      const failed = yield* manager.start({ message: "hi" })
      const error = yield* Effect.flip(awaitOutput(failed.id, config))
      assert.match(error.message, /no output of this form: it ended with the error OutputInvalid/)
      const other = yield* Effect.flip(awaitOutput(done.id, { output: Schema.Struct({ town: Schema.String }) }))
      assert.match(other.message, /no output of this form: .*town/)
    }).pipe(Effect.provide(
      TaskRuntime.layerMemory.pipe(
        Layer.provide(LlmAgent.layer({ ...config, model: ScriptedModel.layer({ turns: [[good], [bad], [bad]] }) })),
        Layer.provide([toolsLayer, Logger.layer([])])
      )
    )))
})
