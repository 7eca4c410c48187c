import { assert, describe, it } from "@effect/vitest"
import { type AgentHooks, LlmAgent, ScriptedModel, TaskData } from "@perennial/runtime"
import { Effect, Exit, Fiber, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { startAgent } from "./support/agentTask.ts"

const Search = Toolkit.make(Tool.make("search", { success: Schema.String }))

const handlers = Search.toLayer({
  search: () =>
    Effect.as(Effect.forEach([1, 2, 3], (hit) => TaskData.emit("hit", { hit }), { discard: true }), "3 hits")
})

const model = ScriptedModel.layer({ turns: [[{ tool: "search" }], ["ok"]] })
const config = { agentId: "a", systemPrompt: "", tools: Search, model }

describe("data events", () => {
  it.effect("a tool writes data events into the log of its task, all in order and before its result", () =>
    Effect.gen(function*() {
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("data").map(({ data, name }) => [name, data]), [
        ["hit", { hit: 1 }],
        ["hit", { hit: 2 }],
        ["hit", { hit: 3 }]
      ])
      const types = run.log.map(({ event }) => event.type)
      assert.isBelow(types.lastIndexOf("data"), types.indexOf("tool_result"))
    }).pipe(Effect.provide(handlers)))

  it.effect("a hook can write data events, and is not called for them", () =>
    Effect.gen(function*() {
      const seen: Array<string> = []
      const onEvent: AgentHooks.AgentHooks["onEvent"] = (event) => {
        seen.push(event.type)
        return event.type === "message" ? TaskData.emit("cost", { cents: 2 }) : Effect.void
      }
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, hooks: { onEvent } }))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(
        run.events("data").map(({ name }) => name),
        ["cost", "hit", "hit", "hit", "cost"]
      )
      assert.notInclude(seen, "data")
    }).pipe(Effect.provide(handlers)))

  it.effect("outside of a task, data events are ignored", () =>
    Effect.gen(function*() {
      assert.isTrue(Exit.isSuccess(yield* Effect.exit(TaskData.emit("hit", 1))))
    }))
})
