/** The contract of a provider: typed answers, by structured output where the provider has it, and by a tool elsewhere. */
// A test is an entry point.
// @effect-diagnostics strictEffectProvide:off
import { assert } from "@effect/vitest"
import { awaitOutput, TaskManager } from "@perennial/domain/TaskManager"
import { DateTime, Effect, Layer, Logger, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import type { Action, RecordedRequest } from "../../FakeReply.ts"
import * as LlmAgent from "../../LlmAgent.ts"
import * as TaskRuntime from "../../TaskRuntime.ts"
import { toolName } from "../agent/finalAnswer.ts"
import { type ContractTest, contractTest, type UnderTest } from "./contractTest.ts"

const Now = Tool.make("now", { description: "The time", success: Schema.String })
const Tools = Toolkit.make(Now)

const forecaster = {
  agentId: "forecaster",
  output: Schema.Struct({
    city: Schema.String,
    at: Schema.DateTimeUtcFromString,
    note: Schema.optionalKey(Schema.String)
  })
}

const systemOf = ({ model }: UnderTest) => {
  const agent = LlmAgent.layer({
    ...forecaster,
    systemPrompt: "Be brief.",
    tools: Tools,
    retry: { baseDelay: "1 millis" },
    model
  }).pipe(Layer.provide(Tools.toLayer({ now: () => Effect.succeed("noon") })))
  return TaskRuntime.layerMemory.pipe(Layer.provide([agent, Logger.layer([])]))
}

const run = Effect.gen(function*() {
  const manager = yield* TaskManager
  const { id } = yield* manager.start({ message: "hi" })
  const answer = yield* Effect.result(awaitOutput(id, forecaster))
  return { answer, task: yield* manager.get(id) }
})

const isByTool = ({ body }: RecordedRequest): boolean => JSON.stringify(body).includes(`"${toolName}"`)

/** The answer as this provider was asked for it. A provider with structured output has all fields. */
const answerOf = (request: RecordedRequest, at: string, id: string): Action =>
  isByTool(request)
    ? { call: { id, name: toolName, args: { city: "Oslo", at } } }
    : { text: [JSON.stringify({ city: "Oslo", at, note: null })] }

const noon = "2026-11-30T12:00:00.000Z"

export const outputTests: ReadonlyArray<ContractTest> = [
  contractTest({
    name: "a typed answer, after other tools, is the output of the task",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        let asked = 0
        yield* api.otherwise((request) => ({
          actions: [
            ++asked === 1 ? { call: { id: "call_1", name: "now", args: {} } } : answerOf(request, noon, "call_2")
          ]
        }))
        const { answer, task } = yield* Effect.provide(run, systemOf(underTest))
        assert.deepStrictEqual(task.output, { city: "Oslo", at: noon })
        const at = DateTime.makeUnsafe(noon)
        assert.deepStrictEqual(yield* Effect.fromResult(answer), { city: "Oslo", at })
        assert.strictEqual(asked, 2)
      })
  }),
  contractTest({
    name: "the model repairs an answer of another form once; then the task ends with OutputInvalid",
    body: (underTest) =>
      Effect.gen(function*() {
        const { api } = underTest
        let asked = 0
        yield* api.otherwise((request) => {
          asked++
          return { actions: [answerOf(request, asked === 2 ? noon : "noon", `call_${asked}`)] }
        })
        const layer = systemOf(underTest)
        const [repaired, failed] = yield* Effect.provide(Effect.all([run, run]), layer)
        assert.deepStrictEqual(repaired.task.output, { city: "Oslo", at: noon })
        assert.deepStrictEqual([failed.task.status, failed.task.error?.code], ["error", "OutputInvalid"])
        assert.strictEqual(asked, 4)
      })
  })
]
