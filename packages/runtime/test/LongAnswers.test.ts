/** Answers that are larger than the limit of one event (P11). */
import { assert, describe, it } from "@effect/vitest"
import type { Agent } from "@perennial/domain/Agent"
import * as Message from "@perennial/domain/Message"
import * as TaskView from "@perennial/domain/TaskView"
import { LlmAgent, ScriptedModel } from "@perennial/runtime"
import { Effect, Fiber, Layer } from "effect"
import { brief, settle, startAgent } from "./support/agentTask.ts"
import { Effects, Tools, toolsLayer } from "./support/agentToolkit.ts"
import { checkEnded, untilEnded } from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

const { Script } = ScriptedModel
const config = { agentId: "agent-1", systemPrompt: "Be brief.", tools: Tools }
const env = Layer.provideMerge(toolsLayer, ScriptedModel.layer())

const line = "A long line of text with \"quotes\" and 😀.\n"
const long = line.repeat(8_000)

/** Runs one task to its end, with default limits except for the size of events. */
const run = Effect.fnUntraced(function*(agent: Agent, eventBytes?: number) {
  const both = yield* shared
  const { manager } = yield* startProcess(both, [agent], eventBytes === undefined ? {} : { eventBytes })
  const { id } = yield* manager.start({ message: "x" })
  const { status } = yield* untilEnded(both, id)
  const log = yield* checkEnded(both, id)
  const result = yield* manager.await(id)
  return { status, log, result, view: log.reduce(TaskView.apply, TaskView.empty) }
})

describe("long answers", () => {
  it.effect("an answer that needs several events is kept whole, as one answer", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ thinking: ["hm"] }, ...Array.from({ length: 80 }, () => line.repeat(100))])
      const { log, result, status, view } = yield* run(yield* LlmAgent.make(config))
      assert.strictEqual(status, "completed")
      const pieces = log.flatMap(({ event }) => event.type === "message" ? [event] : [])
      assert.deepStrictEqual(pieces.map(({ continued, usage }) => [continued, usage.requests]), [
        [true, 0],
        [undefined, 1]
      ])
      assert.deepStrictEqual(view.messages.map(({ message }) => Message.text(message)), [long])
      assert.strictEqual(result.message === undefined ? "" : Message.text(result.message), long)
      assert.strictEqual(result.usage?.requests, 1)
    }).pipe(Effect.provide(env)))

  it.effect("a text that is too large for one event is divided into several events", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([long])
      const { log, status, view } = yield* run(yield* LlmAgent.make(config), 10_000)
      assert.strictEqual(status, "completed")
      for (const { event } of log) assert.isAtMost(JSON.stringify(event).length, 12_000)
      assert.deepStrictEqual(view.messages.map(({ message }) => Message.text(message)), [long])
    }).pipe(Effect.provide(env)))

  it.effect("a call with too long arguments is refused, and too long thinking is not kept", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push(
        [
          { thinking: ["h".repeat(300_000)] },
          { tool: "weather", params: { city: "x".repeat(300_000) } },
          { tool: "weather", params: { city: "Oslo" } }
        ],
        ["ok"]
      )
      const { log, status } = yield* run(yield* LlmAgent.make(config))
      assert.strictEqual(status, "completed")
      const results = log.flatMap(({ event }) => event.type === "tool_result" ? [event] : [])
      assert.deepStrictEqual(results.map((event) => event.status), ["error", "completed"])
      assert.include(JSON.stringify(results[0]?.result), "its arguments are too long")
      assert.deepStrictEqual(yield* Effects.all, ["weather Oslo"])
      const [, next] = yield* script.requests
      assert.deepStrictEqual(next?.prompt.content.map(({ role }) => role), ["system", "user", "assistant", "tool"])
    }).pipe(Effect.provide(env)))

  it.effect("P10: a long answer with a call is one step, also after a crash", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push([long, { tool: "weather", params: { city: "Oslo" } }], [{ never: true }], ["ok"])
      const agent = yield* LlmAgent.make({ ...config, budget: { maxSteps: 2 } })
      const first = yield* startAgent(agent)
      yield* settle
      yield* Fiber.interrupt(first.fiber)
      const second = yield* startAgent(agent, { log: first.log })
      yield* settle
      const { usage } = yield* Fiber.join(second.fiber)
      assert.strictEqual(usage.requests, 2)
      assert.strictEqual(brief(second.log).at(-1), "message text")
      assert.deepStrictEqual(yield* Effects.all, ["weather Oslo"])
    }).pipe(Effect.provide(env)))
})
