import { assert, describe, it } from "@effect/vitest"
import type { Decision } from "@perennial/domain/Decision"
import { type AgentTools, LlmAgent, ScriptedModel } from "@perennial/runtime"
import { Array as Arr, Effect, Fiber, Layer, Option, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { adjust, type AgentTask, settle, startAgent } from "./support/agentTask.ts"
import { Effects, Tools, toolsLayer } from "./support/agentToolkit.ts"
import { storedLog, untilEnded } from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

const { Script } = ScriptedModel
const config = { agentId: "agent-1", systemPrompt: "Be brief.", tools: Tools }
const env = Layer.provideMerge(toolsLayer, ScriptedModel.layer())

/** The status and the result of each call, ordered by id. */
const resultsOf = (run: AgentTask) =>
  run.events("tool_result")
    .toSorted((a, b) => a.toolCallId.localeCompare(b.toolCallId))
    .map((event) => [event.status, JSON.stringify(event.result)])

/** The tool results in a request to the model. */
const resultsFor = (request: ScriptedModel.ScriptedRequest | undefined) =>
  request?.prompt.content.flatMap(({ content, role }) =>
    role === "tool"
      ? content.flatMap((part) =>
        part.type === "tool-result"
          ? [typeof part.result === "string" ? part.result : JSON.stringify(part.result)]
          : []
      )
      : []
  )

type Required = NonNullable<NonNullable<LlmAgent.AgentConfig["approval"]>["required"]>

describe("approval", () => {
  const remove = (id: number) => ({ tool: "delete", params: { id }, id: `delete-${id}` })

  it.effect("a call that needs approval waits without a time limit, and other calls run meanwhile", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([remove(50), remove(51), remove(52), remove(5)], ["ok"])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, toolConcurrency: 1 }))
      yield* adjust("1 hour")
      assert.deepStrictEqual(yield* Effects.all, ["delete 5"])
      assert.deepStrictEqual(run.events("tool_approval").map((event) => event.args), [{ id: 50 }, { id: 51 }, {
        id: 52
      }])
      yield* run.decide("delete-50", { approved: true })
      yield* settle
      yield* run.decide("delete-51", { approved: false, reason: "keep it" })
      yield* run.decide("delete-52", { approved: true, args: { id: 53 } })
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(yield* Effects.all, ["delete 5", "delete 50", "delete 53"])
      assert.deepStrictEqual(resultsOf(run), [
        ["completed", "\"deleted 5\""],
        ["completed", "\"deleted 50\""],
        ["error", "{\"type\":\"denied\",\"reason\":\"keep it\"}"],
        ["completed", "\"deleted 53\""]
      ])
      assert.deepStrictEqual(run.events("tool_approval").slice(3).map((event) => event.decision?.approved), [
        true,
        false,
        true
      ])
      // A denied call has no `tool_call` event. The event of a call with changed arguments has the new arguments.
      assert.deepStrictEqual(run.events("tool_call").map((event) => event.args), [{ id: 5 }, { id: 50 }, { id: 53 }])
    }).pipe(Effect.provide(env)))

  const changed: ReadonlyArray<readonly [Decision, string]> = [
    [{ approved: true }, "deleted 50"],
    [{ approved: true, args: { id: 51 } }, "A person changed the arguments to {\"id\":51}.\ndeleted 51"],
    [
      { approved: true, args: { id: 51 }, reason: "50 is in use." },
      "A person changed the arguments to {\"id\":51} and said: 50 is in use.\ndeleted 51"
    ],
    [{ approved: true, reason: "Only this once." }, "A person allowed the call and said: Only this once.\ndeleted 50"],
    [{ approved: false, reason: "Keep it." }, "{\"type\":\"denied\",\"reason\":\"Keep it.\"}"]
  ]

  it.effect.each(changed)(
    "the result for the model says what a person has changed: %o",
    ([decision, told]) =>
      Effect.gen(function*() {
        const script = yield* Script
        yield* script.push([remove(50)], ["ok"])
        const run = yield* startAgent(yield* LlmAgent.make(config))
        yield* run.decide("delete-50", decision)
        yield* Fiber.join(run.fiber)
        assert.deepStrictEqual(resultsFor((yield* script.requests)[1]), [told])
        // The event has the unchanged result of the tool.
        assert.notInclude(resultsOf(run)[0]?.[1], "A person")
      }).pipe(Effect.provide(env))
  )

  it.effect("`needsApproval` of a tool gets the arguments and the conversation before the call", () =>
    Effect.gen(function*() {
      const seen: Array<ReadonlyArray<string>> = []
      const Asks = Toolkit.make(Tool.make("asks", {
        success: Schema.String,
        needsApproval: (_, { messages }) => {
          seen.push(messages.map((message) => message.role))
          return Effect.succeed(false)
        }
      }))
      yield* (yield* Script).push([{ tool: "asks" }], [{ tool: "asks" }], ["ok"])
      const agent = yield* Effect.provide(
        LlmAgent.make({ ...config, tools: Asks }),
        Asks.toLayer({ asks: () => Effect.succeed("done") })
      )
      const run = yield* startAgent(agent)
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(seen, [["system", "user"], ["system", "user", "assistant", "tool"]])
    }).pipe(Effect.provide(env)))

  it.effect("arguments that a person has changed are validated, too", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([remove(50)], ["ok"])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* run.decide("delete-50", { approved: true, args: { id: "x" } })
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("tool_result").map((event) => event.status), ["error"])
      assert.deepStrictEqual(yield* Effects.all, [])
    }).pipe(Effect.provide(env)))

  const policies: ReadonlyArray<readonly [Required, Array<string>]> = [
    ["always", ["delete-5", "weather"]],
    ["never", []],
    [(call) => Effect.succeed(call.tool === "weather"), ["weather"]],
    // A policy that fails requires an approval.
    [() => Effect.die("a bug"), ["delete-5", "weather"]]
  ]

  it.effect.each(policies)(
    "the policy of the agent decides which calls wait: %s",
    ([required, waiting]) =>
      Effect.gen(function*() {
        yield* (yield* Script).push([remove(5), { tool: "weather", params: { city: "Oslo" }, id: "weather" }], ["ok"])
        const run = yield* startAgent(yield* LlmAgent.make({ ...config, approval: { required } }))
        yield* settle
        assert.deepStrictEqual(run.events("tool_approval").map((event) => event.toolCallId), waiting)
        for (const toolCallId of waiting) yield* run.decide(toolCallId, { approved: true })
        yield* Fiber.join(run.fiber)
        assert.deepStrictEqual(resultsOf(run).map(([status]) => status), ["completed", "completed"])
      }).pipe(Effect.provide(env))
  )

  it.effect("a call is not executed if `prepare` of its tool fails, and the task goes on", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([remove(5)], ["ok"])
      const tools: AgentTools.AgentTools = { tools: Tools.tools, prepare: () => Effect.die("a bug") }
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, tools }))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(resultsOf(run).map(([status]) => status), ["error"])
    }).pipe(Effect.provide(env)))

  it.effect("after the timeout the call is denied, and its result gives the reason", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push([remove(50)], ["ok"])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, approval: { timeout: "1 hour" } }))
      yield* adjust("59 minutes")
      assert.deepStrictEqual(resultsOf(run), [])
      yield* adjust("1 minute")
      yield* Fiber.join(run.fiber)
      const reason = "Nobody allowed the call within 1h."
      assert.deepStrictEqual(resultsOf(run), [["error", JSON.stringify({ type: "denied", reason })]])
      assert.deepStrictEqual(run.events("tool_approval")[1]?.decision, { approved: false, reason })
      assert.include(JSON.stringify((yield* script.requests)[1]?.prompt.content), reason)
      assert.deepStrictEqual(yield* Effects.all, [])
    }).pipe(Effect.provide(env)))
})

describe("P11: a decision is bounded", () => {
  /** A task that asks for approval of `delete-50`. Its arguments have `padding` additional characters. */
  const asking = Effect.fnUntraced(function*(padding: number) {
    yield* (yield* Script).push(
      [{ tool: "delete", params: { id: 50, padding: "x".repeat(padding) }, id: "delete-50" }],
      ["ok"]
    )
    const both = yield* shared
    const { manager } = yield* startProcess(both, [yield* LlmAgent.make(config)])
    const { id } = yield* manager.start({ message: "Delete 50." })
    yield* settle
    const refused = (decision: Decision) =>
      Effect.map(Effect.flip(manager.decide(id, "delete-50", decision)), ({ message }) => message)
    return { both, id, manager, refused }
  })

  it.effect("a reason or arguments beyond the bound are refused, and nothing is stored", () =>
    Effect.gen(function*() {
      const { both, id, manager, refused } = yield* asking(0)
      assert.strictEqual(
        yield* refused({ approved: false, reason: "x".repeat(300_000) }),
        "`reason` has 300000 characters: at most 1000 are accepted."
      )
      const args = { id: 51, padding: "x".repeat(300_000) }
      assert.strictEqual(
        yield* refused({ approved: true, args }),
        "`args` has 300022 characters of JSON: at most 65536 are accepted."
      )
      assert.strictEqual(
        yield* refused({ approved: true, args: { id: undefined } as unknown as Schema.Json }),
        "`args` is not JSON."
      )
      yield* manager.decide(id, "delete-50", { approved: true, reason: "x".repeat(1_000) })
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
    }).pipe(Effect.provide(env)))

  it.effect("arguments that do not fit into the event beside the original arguments are refused", () =>
    Effect.gen(function*() {
      const { both, id, manager, refused } = yield* asking(200_000)
      const args = { id: 51, padding: "x".repeat(65_000) }
      assert.strictEqual(
        yield* refused({ approved: true, args }),
        "`args` does not fit into an event of 262144 bytes beside the call's own arguments."
      )
      yield* manager.decide(id, "delete-50", { approved: true, args: { id: 51 } })
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
      assert.deepStrictEqual(yield* Effects.all, ["delete 51"])
    }).pipe(Effect.provide(env)))
})

describe("approval with several processes", () => {
  /** A process whose task waits for approval of `delete-50` loses its store. A second process is started. */
  const twoProcesses = Effect.fnUntraced(function*(approval: LlmAgent.AgentConfig["approval"]) {
    yield* (yield* Script).push([{ tool: "delete", params: { id: 50 }, id: "delete-50" }], ["ok"])
    const agent = yield* LlmAgent.make({ ...config, approval })
    const both = yield* shared
    const a = yield* startProcess(both, [agent])
    const { id } = yield* a.manager.start({ message: "Delete 50." })
    yield* settle
    const asked = yield* storedLog(both, id)
    assert.strictEqual(asked.at(-1)?.event.type, "tool_approval")
    a.line.cut()
    const b = yield* startProcess(both, [agent])
    const results = Effect.map(
      storedLog(both, id),
      (log) => log.flatMap(({ event }) => event.type === "tool_result" ? [event.result] : [])
    )
    return { both, id, manager: b.manager, results }
  })

  it.effect("the record of the task shows the waiting call until it is decided, also after a recovery", () =>
    Effect.gen(function*() {
      const { both, id, manager } = yield* twoProcesses({ required: "tool" })
      const waiting = Effect.map(manager.get(id), ({ waiting }) => waiting?.map(({ toolCallId }) => toolCallId))
      assert.deepStrictEqual(yield* waiting, ["delete-50"])
      const asked = yield* both.backend.get(id)
      yield* adjust("12 seconds")
      assert.deepStrictEqual((yield* manager.get(id)).waiting, asked.waiting)
      assert.strictEqual((yield* manager.get(id)).attempt, 2)
      yield* manager.decide(id, "delete-50", { approved: true })
      yield* untilEnded(both, id)
      assert.isUndefined(yield* waiting)
    }).pipe(Effect.provide(env)))

  it.effect("a call that waited before records showed it appears when the task is resumed", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ tool: "delete", params: { id: 50 }, id: "delete-50" }], ["ok"])
      const agent = yield* LlmAgent.make(config)
      const both = yield* shared
      const append: typeof both.backend.append = (batch) =>
        both.backend.append(Arr.map(batch, ({ claim, events }) => ({ claim, events })))
      const a = yield* startProcess({ ...both, backend: { ...both.backend, append } }, [agent])
      const { id } = yield* a.manager.start({ message: "Delete 50." })
      yield* settle
      assert.notProperty(yield* both.backend.get(id), "waiting")
      yield* a.terminate
      const b = yield* startProcess(both, [agent])
      yield* adjust("2 seconds")
      assert.deepStrictEqual((yield* b.manager.approvals()).items.map(({ args }) => args), [{ id: 50 }])
    }).pipe(Effect.provide(env)))

  const given: ReadonlyArray<readonly [string, Decision, Schema.Json]> = [
    ["allowed", { approved: true }, "deleted 50"],
    ["allowed with other arguments", { approved: true, args: { id: 51 } }, "deleted 51"],
    ["denied", { approved: false, reason: "keep it" }, { type: "denied", reason: "keep it" }]
  ]

  it.effect.each(given)(
    "P8: a call that waits survives the death of its process, and is %s in another process",
    ([, decision, result]) =>
      Effect.gen(function*() {
        const { both, id, manager, results } = yield* twoProcesses(undefined)
        yield* adjust("12 seconds")
        yield* manager.decide(id, "delete-50", decision)
        yield* untilEnded(both, id)
        assert.deepStrictEqual(yield* results, [result])
      }).pipe(Effect.provide(env))
  )

  it.effect("results say what a person has changed also after a crash, and in later turns", () =>
    Effect.gen(function*() {
      const { both, id, manager } = yield* twoProcesses(undefined)
      yield* manager.decide(id, "delete-50", { approved: true, args: { id: 51 } })
      const { conversationId } = yield* untilEnded(both, id)
      const script = yield* Script
      yield* script.push(["ok"])
      const next = yield* manager.start({ message: "Which one?", conversationId })
      yield* untilEnded(both, next.id)
      const told = ["A person changed the arguments to {\"id\":51}.\ndeleted 51"]
      assert.deepStrictEqual((yield* script.requests).slice(-2).map(resultsFor), [told, told])
    }).pipe(Effect.provide(env)))

  it.effect("P8: a decision that is made while the task has no owner is used", () =>
    Effect.gen(function*() {
      const { both, id, manager, results } = yield* twoProcesses(undefined)
      yield* manager.decide(id, "delete-50", { approved: true })
      yield* untilEnded(both, id)
      assert.deepStrictEqual(yield* results, ["deleted 50"])
      assert.deepStrictEqual(yield* Effects.all, ["delete 50"])
    }).pipe(Effect.provide(env)))

  it.effect("the timeout runs from the question, also if another process takes over the task", () =>
    Effect.gen(function*() {
      const { both, id, manager, results } = yield* twoProcesses({ timeout: "1 minute" })
      yield* adjust("59 seconds")
      assert.deepStrictEqual(yield* results, [])
      yield* adjust("1 second")
      assert.deepStrictEqual(yield* results, [{ type: "denied", reason: "Nobody allowed the call within 1m." }])
      const late = yield* Effect.flip(manager.decide(id, "delete-50", { approved: true }))
      assert.strictEqual(late._tag, "AlreadyDecided")
      yield* untilEnded(both, id)
    }).pipe(Effect.provide(env)))

  it.effect("the timeout is by the store's clock, also if the clock of the process is wrong", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ tool: "delete", params: { id: 50 }, id: "delete-50" }], ["ok"])
      const agent = yield* LlmAgent.make({ ...config, approval: { timeout: "1 minute" } })
      const both = yield* shared
      const { claim, heartbeat } = both.backend
      const later = <A extends { readonly now: number }>(answer: A): A => ({ ...answer, now: answer.now + 3_600_000 })
      const backend: typeof both.backend = {
        ...both.backend,
        claim: (...args) => Effect.map(claim(...args), Option.map(later)),
        heartbeat: (...args) => Effect.map(heartbeat(...args), later)
      }
      const { manager } = yield* startProcess({ ...both, backend }, [agent])
      const { id } = yield* manager.start({ message: "Delete 50." })
      yield* adjust("59 seconds")
      assert.strictEqual((yield* storedLog(both, id)).at(-1)?.event.type, "tool_approval")
      yield* adjust("1 second")
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
      assert.deepStrictEqual(yield* Effects.all, [])
    }).pipe(Effect.provide(env)))

  it.effect("a decision after the end of the task fails with ToolCallNotFound", () =>
    Effect.gen(function*() {
      const { both, id, manager } = yield* twoProcesses(undefined)
      yield* adjust("12 seconds")
      const cancel = yield* Effect.forkChild(manager.cancel(id))
      yield* untilEnded(both, id)
      assert.strictEqual((yield* Fiber.join(cancel)).status, "cancelled")
      const late = yield* Effect.flip(manager.decide(id, "delete-50", { approved: true }))
      assert.strictEqual(late._tag, "ToolCallNotFound")
      assert.strictEqual(late.message, `Task "${id}" has no tool call "delete-50" that waits for a decision.`)
    }).pipe(Effect.provide(env)))

  it.effect("a decision before the timeout counts, also if the task had no owner at that time", () =>
    Effect.gen(function*() {
      const { both, id, manager, results } = yield* twoProcesses({ timeout: "5 seconds" })
      yield* manager.decide(id, "delete-50", { approved: true })
      yield* adjust("12 seconds")
      yield* untilEnded(both, id)
      assert.deepStrictEqual(yield* results, ["deleted 50"])
    }).pipe(Effect.provide(env)))
})
