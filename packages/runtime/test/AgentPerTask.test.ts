import { assert, describe, it } from "@effect/vitest"
import { AgentError, type Agents } from "@perennial/domain/Agent"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { UserId } from "@perennial/domain/Ids"
import { awaitOutput, TaskManager } from "@perennial/domain/TaskManager"
import { AgentPerTask, LlmAgent, ScriptedModel } from "@perennial/runtime"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Effect, Fiber, Layer, Logger, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { settle, startAgent } from "./support/agentTask.ts"

class Plans
  extends Context.Service<Plans, ReadonlyMap<string, string>>()("@perennial/runtime/test/AgentPerTask/Plans")
{}

/** What was built and closed, in order. */
const ledger = () => {
  const entries: Array<string> = []
  const model = (name: string) =>
    ScriptedModel.layer({
      otherwise: ({ prompt, settings, tools }) => [
        `${name} ${JSON.stringify(prompt.content[0]?.content)} ${settings.maxTokens ?? "-"} ${tools.join()}`
      ]
    }).pipe(Layer.tap(() =>
      Effect.acquireRelease(
        Effect.sync(() => void entries.push(`built ${name}`)),
        () => Effect.sync(() => void entries.push(`closed ${name}`))
      )
    ))
  return { entries, model }
}

const run = (agents: Layer.Layer<Agents>, message: string, user = "alice") =>
  Effect.gen(function*() {
    const manager = yield* TaskManager
    const { id } = yield* manager.start({ message, metadata: { language: "no" } })
    return yield* manager.await(id)
  }).pipe(
    Effect.provideService(CurrentUser, UserId.make(user)),
    Effect.provide(TaskRuntime.layerMemory.pipe(Layer.provide(agents), Layer.provide(Logger.layer([]))))
  )

const Extra = Tool.make("extra", { success: Schema.String })
const Extras = Toolkit.make(Extra)

describe("AgentPerTask", () => {
  it.live("model, system prompt, tools and settings follow the user and the task; the model ends with the task", () =>
    Effect.gen(function*() {
      const { entries, model } = ledger()
      const agents = AgentPerTask.layer({
        agentId: "assistant",
        make: Effect.fnUntraced(function*(task) {
          const plan = (yield* Plans).get(task.userId) ?? "free"
          const config = {
            agentId: "ignored",
            systemPrompt: `${task.metadata["language"]} ${plan}`,
            model: model(plan)
          }
          return plan === "free"
            ? yield* LlmAgent.make(config)
            : yield* LlmAgent.make({ ...config, maxTokens: 50, tools: Extras })
        })
      }).pipe(
        Layer.provide(Layer.succeed(Plans, new Map([["bob", "paid"]]))),
        Layer.provide(Extras.toLayer({ extra: () => Effect.succeed("x") }))
      )
      const said = (user: string) =>
        Effect.map(run(agents, "hi", user), ({ message, task }) => {
          assert.strictEqual(task.agentId, "assistant")
          return message?.content.map((part) => part.type === "text" ? part.text : "")
        })
      assert.deepStrictEqual(yield* said("alice"), ["free \"no free\" - "])
      assert.deepStrictEqual(yield* said("bob"), ["paid \"no paid\" 50 extra"])
      assert.deepStrictEqual(entries, ["built free", "closed free", "built paid", "closed paid"])
    }))

  it.effect("P10: the next attempt makes the agent again, and repeats no finished work", () =>
    Effect.gen(function*() {
      let made = 0
      const called: Array<string> = []
      const tools = Extras.toLayer({ extra: () => Effect.sync(() => (called.push("extra"), "x")) })
      const agent = yield* AgentPerTask.make({
        agentId: "agent-1",
        make: (task) =>
          LlmAgent.make({
            agentId: task.agentId,
            systemPrompt: `attempt ${++made}`,
            tools: Extras,
            model: ScriptedModel.layer({
              otherwise: ({ prompt }) => prompt.content.length < 3 ? [{ tool: "extra" }] : ["done"]
            })
          })
      }).pipe(Effect.provide(tools))
      const first = yield* startAgent(agent, { stopAfter: 4 })
      yield* settle
      yield* Fiber.interrupt(first.fiber)
      const second = yield* startAgent(agent, { log: first.log })
      yield* Fiber.join(second.fiber)
      assert.deepStrictEqual([made, called], [2, ["extra"]])
      assert.lengthOf(second.events("message"), 2)
    }))

  it.live("a failure ends the task: an AgentError as it is, any other as SettingsFailed", () =>
    Effect.gen(function*() {
      const failing = (error: AgentError | string) =>
        AgentPerTask.layer({ agentId: "assistant", make: () => Effect.fail(error) })
      const own = new AgentError({ error: "NoPlan", detail: "Buy one.", retryable: false })
      assert.deepStrictEqual((yield* run(failing(own), "hi")).task.error, { code: "NoPlan", detail: "Buy one." })
      const other = yield* run(failing("secret"), "hi")
      assert.strictEqual(other.task.error?.code, "SettingsFailed")
      assert.notInclude(other.task.error?.detail ?? "", "secret")
    }))

  it.live("promises an output to callers", () =>
    Effect.gen(function*() {
      const output = Schema.Struct({ n: Schema.Int })
      const model = ScriptedModel.layer({ otherwise: () => ["{\"n\":1}"] })
      const assistant = {
        agentId: "assistant",
        output,
        make: () => LlmAgent.make({ agentId: "assistant", systemPrompt: "", output, model })
      }
      const value = Effect.flatMap(TaskManager, (manager) =>
        Effect.flatMap(manager.start({ message: "hi" }), ({ id }) => awaitOutput(id, assistant)))
      const layer = TaskRuntime.layerMemory.pipe(Layer.provide([AgentPerTask.layer(assistant), Logger.layer([])]))
      assert.deepStrictEqual(yield* Effect.provide(value, layer), { n: 1 })
    }))
})
