import { assert, describe, it } from "@effect/vitest"
import { AgentTools, LlmAgent, McpTools, ScriptedModel } from "@perennial/runtime"
import { Duration, Effect, Exit, Fiber, Result, type Schema } from "effect"
import { Tool, Toolkit } from "effect/ai"
import { ChildProcess } from "effect/process"
import { adjust, brief, settle, startAgent } from "./support/agentTask.ts"
import { McpServerDouble } from "./support/mcpServer.ts"

const { Script } = ScriptedModel
const command = ChildProcess.make("double", [])
const config = { agentId: "agent-1", systemPrompt: "Be brief." }

const setup = (server: McpServerDouble, options: Partial<McpTools.McpOptions> = {}) =>
  McpTools.stdio({ name: "calc", command, ...options }).pipe(Effect.provide(server.spawner))

const call = Effect.fnUntraced(function*(tools: AgentTools.AgentTools, tool: string, args: Schema.Json = {}) {
  const prepared = yield* tools.prepare({ tool, toolCallId: "c1", args })
  return Result.isFailure(prepared) ? prepared.failure : yield* prepared.success.execute
})

const failure = (error: string) => ({ status: "error" as const, result: { error } })

describe("tools of MCP servers", () => {
  it.effect("have the name of the server before their name, in characters that models accept", () =>
    Effect.gen(function*() {
      const tools = yield* setup(new McpServerDouble())
      assert.deepStrictEqual(Object.keys(tools.tools), [
        "calc__echo",
        "calc__hang",
        "calc__refuse",
        "calc__structured",
        "calc__dotted_name"
      ])
      assert.deepStrictEqual(yield* call(tools, "calc__dotted_name", { a: 1 }), {
        status: "completed",
        result: "{\"a\":1}"
      })
      assert.deepStrictEqual(yield* call(tools, "calc__structured"), { status: "completed", result: { degrees: 4 } })
      assert.deepStrictEqual(yield* call(tools, "calc__refuse"), { status: "error", result: "not today" })
      assert.deepStrictEqual(
        yield* call(tools, "calc__echo", "{\"cut"),
        failure("The arguments are not valid: they have to be an object.")
      )
    }))

  it.effect("P10: the annotations of the server say whether an interrupted call may run again; an option asks for approval", () =>
    Effect.gen(function*() {
      const tools = yield* setup(new McpServerDouble(), { needsApproval: (tool) => !tool.annotations?.readOnlyHint })
      assert.isTrue(AgentTools.isSafeToRepeat(tools, "calc__echo"))
      assert.isFalse(AgentTools.isSafeToRepeat(tools, "calc__hang"))
      const waits = Effect.fnUntraced(function*(tool: string) {
        const prepared = yield* tools.prepare({ tool, toolCallId: "c1", args: {} })
        return Result.isSuccess(prepared) && (yield* prepared.success.needsApproval(() => []))
      })
      assert.isFalse(yield* waits("calc__echo"))
      assert.isTrue(yield* waits("calc__hang"))
    }))

  it.effect("P11: have a timeout, one for all tools or one for each tool; a call beyond it is cancelled in the server", () =>
    Effect.gen(function*() {
      const server = new McpServerDouble()
      const all = yield* setup(new McpServerDouble(), { timeout: "10 minutes" })
      assert.deepStrictEqual(AgentTools.timeoutOf(all, "calc__echo"), Duration.minutes(10))
      const each = yield* setup(server, { timeout: ({ name }) => name === "hang" ? "1 hour" : undefined })
      assert.isUndefined(AgentTools.timeoutOf(each, "calc__echo"))
      yield* (yield* Script).push([{ tool: "calc__hang" }], ["ok"])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, tools: each }))
      yield* server.hanging.await
      yield* adjust("59 minutes")
      assert.deepStrictEqual(run.events("tool_result"), [])
      yield* adjust("1 minute")
      yield* Fiber.join(run.fiber)
      assert.include(brief(run.log), "tool_result calc__hang error {\"error\":\"The tool did not finish within 1h.\"}")
      assert.deepStrictEqual(server.asked, ["call hang {}", "cancelled"])
    }).pipe(Effect.provide(ScriptedModel.layer())))

  it.effect("a call gets an error result if its server dies, and the next call starts a new process", () =>
    Effect.gen(function*() {
      const server = new McpServerDouble()
      const tools = yield* setup(server)
      const cut = yield* Effect.forkChild(call(tools, "calc__hang"))
      yield* server.hanging.await
      yield* server.die
      assert.deepStrictEqual(
        yield* Fiber.join(cut),
        failure(
          "The call of the MCP server \"calc\" failed: MCP server closed stdout. Whether it was executed is not known."
        )
      )
      const next = yield* Effect.forkChild(call(tools, "calc__echo"))
      yield* adjust("1 second")
      assert.deepStrictEqual(yield* Fiber.join(next), { status: "completed", result: "{}" })
      assert.strictEqual(server.starts, 2)
    }))

  it.effect("a server that dies between two calls is started again", () =>
    Effect.gen(function*() {
      const server = new McpServerDouble()
      const tools = yield* setup(server)
      yield* adjust("1 minute")
      yield* server.die
      yield* settle
      assert.deepStrictEqual(yield* call(tools, "calc__echo"), { status: "completed", result: "{}" })
      assert.strictEqual(server.starts, 2)
    }))

  it.effect("P11: the start of a failing server is repeated, with delays between one second and 30 seconds", () =>
    Effect.gen(function*() {
      const server = new McpServerDouble()
      server.broken = true
      const tools = yield* setup(server)
      assert.strictEqual(server.starts, 1)
      yield* adjust("1 minute")
      // The starts are after 1, 3, 7, 15 and 31 seconds, then every 30 seconds.
      assert.strictEqual(server.starts, 6)
      yield* adjust("30 seconds")
      assert.strictEqual(server.starts, 7)
      assert.deepStrictEqual(yield* call(tools, "calc__echo"), failure("There is no tool \"calc__echo\"."))
    }))

  it.effect("known tools are kept while the server is down; a call waits for the next start, and fails if the start fails", () =>
    Effect.gen(function*() {
      const server = new McpServerDouble()
      const tools = yield* setup(server)
      server.absent = true
      yield* server.die
      yield* adjust("2 minutes")
      const before = server.starts
      const calls = yield* Effect.forkChild(
        Effect.forEach([1, 2], () => call(tools, "calc__echo"), { concurrency: "unbounded" })
      )
      yield* adjust("1 second")
      const refused = yield* Fiber.join(calls)
      for (const outcome of refused) {
        assert.deepStrictEqual(
          outcome,
          failure(
            "The MCP server \"calc\" cannot be reached: The connection failed with an internal error. Nothing was called."
          )
        )
      }
      assert.strictEqual(server.starts, before + 1)
      server.absent = false
      yield* adjust("1 second")
      assert.deepStrictEqual(yield* call(tools, "calc__echo"), { status: "completed", result: "{}" })
    }))

  it.effect("an agent starts without its server, and gets the tools with a later request", () =>
    Effect.gen(function*() {
      const server = new McpServerDouble()
      server.absent = true
      const local = yield* AgentTools.fromToolkit(Toolkit.make(Tool.make("later"))).pipe(
        Effect.provide(
          Toolkit.make(Tool.make("later")).toLayer({
            later: () => Effect.andThen(Effect.sync(() => void (server.absent = false)), Effect.sleep("10 seconds"))
          })
        )
      )
      const script = yield* Script
      yield* script.push([{ tool: "later" }], [{ tool: "calc__echo", params: { a: 1 } }], ["done"])
      const tools = AgentTools.merge(local, yield* setup(server))
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, tools }))
      yield* adjust("10 seconds")
      yield* Fiber.join(run.fiber)
      assert.include(brief(run.log), "tool_result calc__echo completed \"{\\\"a\\\":1}\"")
      const seen = (yield* script.requests).map((request) => request.tools.length)
      assert.deepStrictEqual(seen.slice(0, 2), [1, 6])
    }).pipe(Effect.provide(ScriptedModel.layer())))

  it.effect("P7: a cancel of a task cancels its call in the server", () =>
    Effect.gen(function*() {
      const server = new McpServerDouble()
      yield* (yield* Script).push([{ tool: "calc__hang" }])
      const run = yield* startAgent(yield* LlmAgent.make({ ...config, tools: yield* setup(server) }))
      yield* server.hanging.await
      yield* Fiber.interrupt(run.fiber)
      yield* server.cancelled.await
      assert.deepStrictEqual(server.asked, ["call hang {}", "cancelled"])
    }).pipe(Effect.provide(ScriptedModel.layer())))

  it.effect("a server name that cannot be part of a tool name is refused", () =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(setup(new McpServerDouble(), { name: "my server" }))
      assert.isTrue(Exit.hasDies(exit))
    }))
})
