import { assert, describe, it } from "@effect/vitest"
import { AgentTools, LlmAgent, ScriptedModel } from "@perennial/runtime"
import { type Duration, Effect, Exit, Fiber, Layer, Ref, Result, Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { adjust, type AgentTask, brief, settle, startAgent, task } from "./support/agentTask.ts"
import { Effects, Tools, toolsLayer } from "./support/agentToolkit.ts"

const { Script } = ScriptedModel
const config = { agentId: "agent-1", systemPrompt: "Be brief.", tools: Tools }
const env = Layer.provideMerge(toolsLayer, ScriptedModel.layer())

/** The status and the result of each call, ordered by id. */
const resultsOf = (run: AgentTask) =>
  run.events("tool_result")
    .toSorted((a, b) => a.toolCallId.localeCompare(b.toolCallId))
    .map((event) => [event.status, JSON.stringify(event.result)])

describe("tools of an agent", () => {
  it.effect("the message is durable before a tool is called, and `tool_call` is durable before the tool begins", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(["Looking.", { tool: "weather", params: { city: "Oslo" } }], ["4 degrees"])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(brief(run.log), [
        "ack",
        "text Looking.",
        "message text+tool_call",
        "tool_call weather {\"city\":\"Oslo\"}",
        "tool_result weather completed {\"degrees\":4}",
        "text 4 degrees",
        "message text"
      ])
      const [, second] = yield* (yield* Script).requests
      assert.deepStrictEqual(second?.prompt.content.map((message) => message.role), [
        "system",
        "user",
        "assistant",
        "tool"
      ])
    }).pipe(Effect.provide(env)))

  it.effect("each failure of a tool is an error result for the model, and the task goes on", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(
        [
          { tool: "weather", params: { city: "Oslo" }, id: "0" },
          { tool: "weather", params: { city: "Atlantis" }, id: "1" },
          { tool: "returned", params: { city: "Atlantis" }, id: "2" },
          { tool: "crash", id: "3" },
          { tool: "stops_itself", id: "4" },
          { tool: "large", id: "5" },
          { tool: "nope", id: "6" },
          { tool: "weather", params: { city: 1 }, id: "7" },
          { tool: "slow", params: { millis: 999_999 }, id: "8" },
          { tool: "odd", params: { what: "bigint" }, id: "a" },
          { tool: "odd", params: { what: "cycle" }, id: "b" },
          { tool: "absent", params: { fails: true }, id: "c" }
        ],
        ["Done."]
      )
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* adjust("2 minutes")
      yield* Fiber.join(run.fiber)
      const results = resultsOf(run)
      assert.deepStrictEqual(results.map(([status]) => status), [
        "completed",
        ...Array.from({ length: 11 }, () => "error")
      ])
      const texts = results.map(([, result]) => result ?? "")
      assert.strictEqual(texts[0], "{\"degrees\":4}")
      assert.strictEqual(texts[1], "{\"_tag\":\"NoSuchCity\",\"city\":\"Atlantis\"}")
      assert.strictEqual(texts[2], texts[1])
      assert.include(texts[3], "internal error")
      assert.notInclude(texts[3], "secret")
      assert.include(texts[4], "without a result")
      assert.include(texts[5], "larger than")
      assert.include(texts[6], "There is no tool \\\"nope\\\". Tools: weather, ")
      assert.include(texts[7], "not valid")
      assert.include(texts[8], "did not finish within 2m")
      assert.strictEqual(
        texts[9],
        "{\"error\":\"The result cannot be written as JSON. Do not know how to serialize a BigInt\"}"
      )
      assert.strictEqual(
        texts[10],
        "{\"error\":\"The result cannot be written as JSON. Converting circular structure to JSON\"}"
      )
      assert.strictEqual(texts[11], "{}")
      // A call that never began has no `tool_call` event.
      assert.deepStrictEqual(run.events("tool_call").map((event) => event.toolCallId).toSorted(), [
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "8",
        "a",
        "b",
        "c"
      ])
      assert.include(yield* Effects.all, "slow interrupted")
    }).pipe(Effect.provide(env)))

  it.effect("results are encoded as JSON", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(
        [
          { tool: "absent", params: { fails: false }, id: "0" },
          { tool: "dated", id: "1" },
          { tool: "odd", params: { what: "nan" }, id: "2" },
          { tool: "odd", params: { what: "map" }, id: "3" }
        ],
        ["Done."]
      )
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(resultsOf(run), [
        ["completed", "{}"],
        ["completed", "{\"at\":\"1970-01-01T00:00:00.000Z\"}"],
        ["completed", "null"],
        ["completed", "{}"]
      ])
    }).pipe(Effect.provide(env)))

  it.effect("reports of a tool are encoded as JSON; a report without an encoding does not end the task", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ tool: "odd_reports" }], ["Done."])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      for (let i = 0; i < 3; i++) yield* adjust("1 second")
      yield* Fiber.join(run.fiber)
      const progress = run.events("tool_progress").map((event) => event.data)
      assert.deepStrictEqual(progress.slice(0, 2), [{}, { late: true, map: {} }])
      assert.deepStrictEqual(run.events("data").map(({ data, name }) => [name, data]), [["absent", { kept: 1 }]])
      // Data must be kept, so that the tool fails if its data cannot be written.
      assert.deepStrictEqual(resultsOf(run), [["error", "{\"error\":\"The tool failed with an internal error.\"}"]])
    }).pipe(Effect.provide(env)))

  it.effect("the timeout of a tool replaces the timeout of the agent, if it is longer or shorter", () =>
    Effect.gen(function*() {
      const named = (name: string, timeout: Duration.Input) =>
        Tool.make(name, { success: Schema.String }).annotate(AgentTools.Timeout, timeout)
      const Own = Toolkit.make(named("long", "1 hour"), named("short", "1 second"))
      const slow = () => Effect.delay(Effect.succeed("slept"), "30 minutes")
      yield* (yield* Script).push([{ tool: "long", id: "0" }, { tool: "short", id: "1" }], ["ok"])
      const agent = yield* LlmAgent.make({ ...config, tools: Own }).pipe(
        Effect.provide(Own.toLayer({ long: slow, short: slow }))
      )
      const run = yield* startAgent(agent)
      yield* adjust("1 second")
      assert.deepStrictEqual(resultsOf(run), [["error", "{\"error\":\"The tool did not finish within 1s.\"}"]])
      yield* adjust("30 minutes")
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(resultsOf(run)[0], ["completed", "\"slept\""])
    }).pipe(Effect.provide(env)))

  const custom = (execute: AgentTools.PreparedCall["execute"]) => ({
    tools: { custom: Tool.make("custom").annotate(AgentTools.Timeout, "1 minute") },
    prepare: () => Effect.succeed(Result.succeed({ needsApproval: () => Effect.succeed(false), execute }))
  })

  it.effect.each<[string, AgentTools.PreparedCall["execute"], string]>([
    ["dies", Effect.die(new Error("secret: boom")), "The tool failed with an internal error."],
    ["throws", Effect.sync(() => assert.fail("secret: boom")), "The tool failed with an internal error."],
    [
      "answers nothing",
      Effect.succeed(undefined as unknown as AgentTools.ToolOutcome),
      "The tool failed with an internal error."
    ],
    ["interrupts itself", Effect.interrupt, "The tool stopped without a result."]
  ])("a custom tool that %s gives an error result", ([, execute, error]) =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ tool: "custom" }], ["Done."])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, tools: custom(execute) }))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(resultsOf(run), [["error", JSON.stringify({ error })]])
    }).pipe(Effect.provide(env)))

  describe("P11: the timeout of a tool is a bound", () => {
    const clinging: ReadonlyArray<readonly [string, AgentTools.PreparedCall["execute"]]> = [
      ["cannot be interrupted", Effect.uninterruptible(Effect.never)],
      ["has a finalizer that never ends", Effect.onInterrupt(Effect.never, () => Effect.never)]
    ]

    it.effect.each(clinging)("for a tool that %s", ([, execute]) =>
      Effect.gen(function*() {
        yield* (yield* Script).push([{ tool: "custom" }], ["Done."])
        const run = yield* startAgent(yield* LlmAgent.make({ ...config, tools: custom(execute) }))
        yield* adjust("69 seconds")
        assert.deepStrictEqual(resultsOf(run), [])
        yield* adjust("1 second")
        yield* Fiber.join(run.fiber)
        const error = "The tool did not finish within 1m and could not be stopped: it may still be running."
        assert.deepStrictEqual(resultsOf(run), [["error", JSON.stringify({ error })]])
      }).pipe(Effect.provide(env)))

    it.effect("and its finalizers have 10 more seconds", () =>
      Effect.gen(function*() {
        const effects = yield* Effects
        const finalizer = Effect.andThen(Effect.sleep("9 seconds"), Ref.set(effects, ["finalized"]))
        yield* (yield* Script).push([{ tool: "custom" }], ["Done."])
        const tools = custom(Effect.onInterrupt(Effect.never, () => finalizer))
        const run = yield* startAgent(yield* LlmAgent.make({ ...config, tools }))
        yield* adjust("68 seconds")
        assert.deepStrictEqual([yield* Ref.get(effects), resultsOf(run)], [[], []])
        yield* adjust("1 second")
        yield* Fiber.join(run.fiber)
        assert.deepStrictEqual(yield* Ref.get(effects), ["finalized"])
        const error = "The tool did not finish within 1m."
        assert.deepStrictEqual(resultsOf(run), [["error", JSON.stringify({ error })]])
      }).pipe(Effect.provide(env)))

    it.effect.each(clinging)(
      "P7: a cancel waits at most 10 seconds for a tool that %s",
      ([, execute]) =>
        Effect.gen(function*() {
          yield* (yield* Script).push([{ tool: "custom" }])
          const run = yield* startAgent(yield* LlmAgent.make({ ...config, tools: custom(execute) }))
          yield* settle
          run.fiber.interruptUnsafe()
          yield* adjust("9 seconds")
          assert.isUndefined(run.fiber.pollUnsafe())
          yield* adjust("1 second")
          assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(run.fiber)))
        }).pipe(Effect.provide(env))
    )
  })

  it.effect("calls run concurrently, at most toolConcurrency of them, and results keep the order of the calls", () =>
    Effect.gen(function*() {
      const script = yield* Script
      yield* script.push([3000, 1000, 2000].map((millis) => ({ tool: "slow", params: { millis } })), ["ok"])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, toolConcurrency: 2 }))
      yield* settle
      assert.strictEqual(run.events("tool_call").length, 2)
      yield* adjust("1 second")
      assert.strictEqual(run.events("tool_call").length, 3)
      yield* adjust("2 seconds")
      yield* Fiber.join(run.fiber)
      const [, second] = yield* script.requests
      const last = second?.prompt.content.at(-1)
      assert.deepStrictEqual(
        last?.role === "tool" ? last.content.map((part) => part.type === "tool-result" ? part.result : "") : [],
        ["slept 3000", "slept 1000", "slept 2000"]
      )
    }).pipe(Effect.provide(env)))

  it.effect("calls of an answer that was cut at its maximum length are not executed", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push(
        [{ tool: "weather", params: { city: "Oslo" } }, { tool: "weather", params: "{\"ci" }, { finish: "length" }],
        ["shorter"]
      )
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("tool_result").map((event) => event.status), ["error", "error"])
      assert.deepStrictEqual(yield* Effects.all, [])
      assert.strictEqual(brief(run.log).at(-1), "message text")
    }).pipe(Effect.provide(env)))

  it.effect("repeated ids of tool calls are made unique", () =>
    Effect.gen(function*() {
      const weather = { tool: "weather", params: { city: "Oslo" }, id: "a" }
      yield* (yield* Script).push([weather, weather], [weather], ["ok"])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("tool_result").map((event) => event.toolCallId), ["a", "a_2", "a_3"])
      assert.deepStrictEqual(
        run.events("message").flatMap(({ message }) =>
          message.content.flatMap((part) => part.type === "tool_call" ? [part.toolCallId] : [])
        ),
        ["a", "a_2", "a_3"]
      )
    }).pipe(Effect.provide(env)))

  it.effect("progress: the latest report at most every 100 ms, and no report above 4 KiB", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ tool: "steps" }], [{ tool: "reports" }], ["ok"])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      for (let i = 0; i < 10; i++) yield* adjust("35 millis")
      // The tool makes ten reports, one every 35 ms: the first is written, and the latest after 100, 200 and 300 ms.
      const first = run.events("tool_progress").map((event) => event.data)
      assert.deepStrictEqual(first.slice(0, 4), ["0%", "20%", "50%", "80%"])
      assert.deepStrictEqual(run.events("tool_result").map((event) => event.result), ["100%"])
      yield* adjust("3 seconds")
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("tool_progress").slice(4).map((event) => event.data), [{ done: 2 }])
    }).pipe(Effect.provide(env)))

  it.effect("handlers can read the current task", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ tool: "whoami" }], ["ok"])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("tool_result").map((event) => event.result), [task.taskId])
    }).pipe(Effect.provide(env)))

  it.effect("P7: an interruption runs the finalizers of tools, and finished results are kept", () =>
    Effect.gen(function*() {
      yield* (yield* Script).push([{ tool: "weather", params: { city: "Oslo" } }, {
        tool: "slow",
        params: { millis: 60_000 }
      }])
      const run = yield* startAgent(yield* LlmAgent.make(config))
      yield* adjust("1 second")
      yield* Fiber.interrupt(run.fiber)
      assert.isTrue(Exit.hasInterrupts(yield* Fiber.await(run.fiber)))
      assert.deepStrictEqual(yield* Effects.all, ["weather Oslo", "slow call_2", "slow interrupted"])
      assert.deepStrictEqual(run.events("tool_result").map((event) => event.tool), ["weather"])
    }).pipe(Effect.provide(env)))

  it.effect("merge keeps the handler of each tool, and refuses two tools with one name", () =>
    Effect.gen(function*() {
      const Other = Toolkit.make(Tool.make("other", { success: Schema.String }))
      const one = yield* AgentTools.fromToolkit(Tools)
      const two = yield* Effect.provide(
        AgentTools.fromToolkit(Other),
        Other.toLayer({ other: () => Effect.succeed("two") })
      )
      assert.throws(() => AgentTools.merge(one, one), /Two tools are named/)
      yield* (yield* Script).push([{ tool: "other" }, { tool: "whoami" }], ["ok"])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, tools: AgentTools.merge(one, two) }))
      yield* Fiber.join(run.fiber)
      assert.deepStrictEqual(run.events("tool_result").map((event) => event.result), ["two", task.taskId])
    }).pipe(Effect.provide(env)))
})
