import { assert, describe, it } from "@effect/vitest"
import { isBoundary, type StoredEvent } from "@perennial/domain/TaskEvent"
import { LlmAgent, ScriptedModel } from "@perennial/runtime"
import { Effect, Fiber, Layer, Ref } from "effect"
import { adjust, type AgentTask, brief, settle, startAgent } from "./support/agentTask.ts"
import { Effects, Tools, toolsLayer } from "./support/agentToolkit.ts"
import { problemOfPrompt } from "./support/anthropicPrompt.ts"

const { Script } = ScriptedModel
const config = { agentId: "agent-1", systemPrompt: "Be brief.", tools: Tools }
const env = Layer.provideMerge(toolsLayer, ScriptedModel.layer())
const slow = (tool: "slow" | "safe_slow") => ({ tool, params: { millis: 10_000 }, id: tool })

/** Runs until the tools of the first message have begun, at most two of them. Then the attempt is interrupted, like a crash. */
const crashInTools = Effect.fnUntraced(function*(...calls: ReadonlyArray<ScriptedModel.Action>) {
  const script = yield* Script
  yield* script.push(["Calling.", ...calls], ["the end"])
  const agent = yield* LlmAgent.make({ ...config, toolConcurrency: 2 })
  const first = yield* startAgent(agent)
  yield* settle
  yield* Fiber.interrupt(first.fiber)
  yield* Ref.set(yield* Effects, [])
  return { agent, first }
})

/** The events of the second attempt. */
const written = (first: AgentTask, second: AgentTask) => brief(second.log.slice(first.log.length))

describe("recovery of an agent", () => {
  it.effect("P10: an interrupted call runs again with the same id if the tool is safe, and does not run again otherwise", () =>
    Effect.gen(function*() {
      const { agent, first } = yield* crashInTools(slow("slow"), slow("safe_slow"))
      const second = yield* startAgent(agent, { log: first.log })
      yield* adjust("10 seconds")
      const { usage } = yield* Fiber.join(second.fiber)
      assert.deepStrictEqual(written(first, second), [
        "tool_result slow interrupted {\"type\":\"interrupted\",\"reason\":\"The call was interrupted before it finished. Its effects are unknown.\"}",
        "tool_call safe_slow {\"millis\":10000}",
        "tool_result safe_slow completed \"slept 10000\"",
        "text the end",
        "message text"
      ])
      assert.deepStrictEqual(yield* Effects.all, ["safe_slow safe_slow"])
      // The usage of the first attempt counts. Its request is not repeated.
      assert.strictEqual(usage.requests, 2)
      assert.strictEqual((yield* (yield* Script).requests).length, 2)
    }).pipe(Effect.provide(env)))

  it.effect("P10: a call that had not begun runs, and a finished call does not run again", () =>
    Effect.gen(function*() {
      const { agent, first } = yield* crashInTools(
        { tool: "weather", params: { city: "Oslo" } },
        slow("slow"),
        { ...slow("slow"), id: "second" },
        { ...slow("slow"), id: "third" }
      )
      assert.deepStrictEqual(first.events("tool_call").map((event) => event.toolCallId), ["call_1", "slow", "second"])
      const second = yield* startAgent(agent, { log: first.log })
      yield* adjust("10 seconds")
      yield* Fiber.join(second.fiber)
      assert.deepStrictEqual(yield* Effects.all, ["slow third"])
      const results = second.events("tool_result").map((event) => [event.toolCallId, event.status])
      assert.deepStrictEqual(results, [
        ["call_1", "completed"],
        ["slow", "interrupted"],
        ["second", "interrupted"],
        ["third", "completed"]
      ])
    }).pipe(Effect.provide(env)))

  it.effect("P10: an earlier decision is used, and a call that waits for a decision is not asked about again", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(
        [50, 60].map((id) => ({ tool: "delete", params: { id }, id: `delete-${id}` })),
        ["the end"]
      )
      const agent = yield* LlmAgent.make(config)
      const first = yield* startAgent(agent)
      yield* first.decide("delete-50", { approved: true })
      yield* settle
      yield* Fiber.interrupt(first.fiber)
      // The crash comes after the decision and before the call.
      const log = first.log.filter(({ event }) => event.type !== "tool_call" && event.type !== "tool_result")
      yield* Ref.set(yield* Effects, [])
      const second = yield* startAgent(agent, { log })
      yield* settle
      assert.deepStrictEqual(yield* Effects.all, ["delete 50"])
      assert.strictEqual(second.events("tool_approval").length, 3)
      yield* second.decide("delete-60", { approved: false })
      yield* Fiber.join(second.fiber)
      assert.strictEqual(second.events("tool_approval").length, 4)
    }).pipe(Effect.provide(env)))

  it.effect("P10: the result of an interrupted call says that a person had changed its arguments", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ tool: "delete", params: { id: 50 }, id: "delete-50" }], ["the end"])
      const agent = yield* LlmAgent.make(config)
      const first = yield* startAgent(agent)
      const decision = { approved: true, args: { id: 51 } }
      yield* first.decide("delete-50", decision)
      yield* settle
      // The crash comes while the tool runs.
      const log = first.log.slice(0, 1 + first.log.findIndex(({ event }) => event.type === "tool_call"))
      yield* (yield* Script).push(["the end"])
      const second = yield* startAgent(agent, { log })
      yield* Fiber.join(second.fiber)
      assert.deepStrictEqual(second.events("tool_result").map((event) => [event.status, event.decision]), [
        ["interrupted", decision]
      ])
    }).pipe(Effect.provide(env)))

  it.effect("P10: no request is made for a task whose last message is complete", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push(["done"])
      const agent = yield* LlmAgent.make(config)
      const first = yield* startAgent(agent)
      const { usage } = yield* Fiber.join(first.fiber)
      const second = yield* startAgent(agent, { log: first.log })
      assert.deepStrictEqual(yield* Fiber.join(second.fiber), { usage })
      assert.deepStrictEqual(written(first, second), [])
      assert.strictEqual((yield* script.requests).length, 1)
    }).pipe(Effect.provide(env)))

  it.effect("maxIterations counts the steps of earlier attempts", () =>
    Effect.gen(function*() {
      const { first } = yield* crashInTools(slow("safe_slow"))
      const agent = yield* LlmAgent.make({ ...config, maxIterations: 2 })
      const second = yield* startAgent(agent, { log: first.log })
      yield* adjust("10 seconds")
      yield* Fiber.join(second.fiber)
      assert.deepStrictEqual((yield* (yield* Script).requests).map((request) => request.toolChoice), ["auto", "none"])
    }).pipe(Effect.provide(env)))

  it.effect("open calls of the last step get a result after a crash, and the task ends", () =>
    Effect.gen(function*() {
      const second = { ...slow("safe_slow"), id: "second" }
      const { first } = yield* crashInTools(slow("safe_slow"), second, { ...slow("slow"), id: "never entered" })
      const next = yield* startAgent(yield* LlmAgent.make({ ...config, maxIterations: 1 }), { log: first.log })
      const { usage } = yield* Fiber.join(next.fiber)
      assert.strictEqual(usage.requests, 1)
      assert.deepStrictEqual(yield* Effects.all, [])
      assert.deepStrictEqual(written(first, next), [
        "tool_result safe_slow interrupted {\"type\":\"interrupted\",\"reason\":\"The call was interrupted before it finished. Its effects are unknown.\"}",
        "tool_result safe_slow interrupted {\"type\":\"interrupted\",\"reason\":\"The call was interrupted before it finished. Its effects are unknown.\"}",
        "tool_result slow error {\"error\":\"The call was not executed: the task has reached its last step.\"}"
      ])
    }).pipe(Effect.provide(env)))

  it.effect("SCENARIO 21: cut after any event, the next attempt sends only requests that the API accepts", () =>
    Effect.gen(function*() {
      const script = yield* Script
      const turns: ReadonlyArray<ScriptedModel.Turn> = [
        [
          { thinking: ["hm"] },
          "Let me see. ",
          { tool: "weather", params: { city: "Oslo" }, id: "1" },
          { tool: "crash", id: "2" },
          { tool: "nope", id: "3" }
        ],
        [{ tool: "weather", params: { city: "Rome" }, id: "4" }],
        ["It is ", "warm."]
      ]
      yield* script.push(...turns)
      const agent = yield* LlmAgent.make(config)
      const whole = yield* startAgent(agent)
      yield* Fiber.join(whole.fiber)
      for (let cut = 1; cut <= whole.log.length; cut++) {
        const log = whole.log.slice(0, cut)
        const answered = log.filter(({ event }) => event.type === "message").length
        const before = (yield* script.requests).length
        yield* script.push(...turns.slice(answered))
        const again = yield* startAgent(agent, { log })
        yield* Fiber.join(again.fiber)
        const requests = (yield* script.requests).slice(before)
        assert.strictEqual(requests.length, turns.length - answered, `cut after ${cut}`)
        for (const { prompt } of requests) {
          assert.isUndefined(problemOfPrompt(prompt))
        }
        assert.deepStrictEqual(finished(again.log), finished(whole.log).map((key) => interruptedAt(log, key)))
      }
    }).pipe(Effect.provide(env)))
})

/** The kinds of the messages and the statuses of the results. Recovery may change only the result of an interrupted call. */
const finished = (log: ReadonlyArray<StoredEvent>): ReadonlyArray<string> =>
  log.filter(({ event }) => isBoundary(event)).map(({ event }) =>
    event.type === "tool_result" ? `${event.toolCallId} ${event.status}` : event.type
  ).toSorted()

const interruptedAt = (log: ReadonlyArray<StoredEvent>, key: string): string => {
  const [id] = key.split(" ")
  const cut = log.some(({ event }) => event.type === "tool_call" && event.toolCallId === id) &&
    !log.some(({ event }) => event.type === "tool_result" && event.toolCallId === id)
  return cut ? `${id} interrupted` : key
}
