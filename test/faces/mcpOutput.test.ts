/** Agents with a form of their answers, as tools of MCP: the clients check each result against the form that the tool promises. */
import { assert, it } from "@effect/vitest"
import { Agents } from "@perennial/domain/Agent"
import * as Mcp from "@perennial/http/faces/mcp/Mcp"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import { Effect, Schema } from "effect"
import { connect } from "./clients/mcp.ts"
import * as Tasks from "./clients/mcpTasks.ts"
import { start } from "./server.ts"

class Forecast extends Schema.Class<Forecast>("Forecast")({
  city: Schema.String,
  degrees: Schema.Finite,
  until: Schema.DateTimeUtcFromString
}) {}

const forecast = { city: "Bonn", degrees: 21, until: "2026-12-01T00:00:00.000Z" }
const names = ["Ada", "Grace"]

const agent = (agentId: string, output: Schema.Codec<unknown, unknown>, params: Schema.JsonObject) =>
  LlmAgent.make({
    agentId,
    systemPrompt: "You are under test.",
    output,
    model: ScriptedModel.layer({ otherwise: () => ["I think.", { tool: "final_answer", params }] })
  })

const server = start(
  [Mcp.face],
  Agents.layerEffect([
    agent("forecaster", Forecast, { answer: forecast }),
    agent("namer", Schema.Array(Schema.String), { answer: names }),
    agent("guesser", Forecast, { answer: "It will rain." })
  ])
)

const textOf = (value: unknown) => [{ type: "text", text: JSON.stringify(value) }]

const forecaster = { name: "forecaster", arguments: { message: "Bonn" } }

it.live("revision 2025-11-25: a result has the structured content that its tool promises", () =>
  Effect.gen(function*() {
    const client = yield* connect((yield* server).address)
    const [first, second] = (yield* Effect.promise(() => client.listTools())).tools
    assert.deepStrictEqual(Object.keys(first?.outputSchema?.properties ?? {}), Object.keys(forecast))
    assert.isUndefined(second?.outputSchema)
    const told = yield* Effect.promise(() => client.callTool(forecaster))
    assert.deepStrictEqual([told["structuredContent"], told["content"]], [forecast, textOf(forecast)])
    // What is not an object is text.
    const listed = yield* Effect.promise(() => client.callTool({ name: "namer", arguments: { message: "Names" } }))
    assert.deepStrictEqual([listed["structuredContent"], listed["content"]], [undefined, textOf(names)])
    // A task that fails has no answer of the form, and the client accepts that.
    const failed = yield* Effect.promise(() => client.callTool({ name: "guesser", arguments: { message: "Bonn" } }))
    assert.deepStrictEqual([failed["structuredContent"], failed["isError"]], [undefined, true])
  }))

it.live("revision 2026-07-28, also with the Tasks extension: a result has the structured content that its tool promises", () =>
  Effect.gen(function*() {
    const { address } = yield* server
    const client = yield* Tasks.connect(address)
    yield* Effect.promise(() => client.listTools())
    const told = yield* Effect.promise(() => client.callTool(forecaster))
    assert.deepStrictEqual(told.structuredContent, forecast)
    const session = yield* Tasks.connectTasks(address)
    const execution = yield* Tasks.begin(session, "Bonn", "c1", "forecaster")
    assert.deepStrictEqual((yield* Tasks.resultOf(execution)).structuredContent, forecast)
  }))

it.live("a tool does not answer with the task of another agent, which has another form", () =>
  Effect.gen(function*() {
    const client = yield* connect((yield* server).address)
    yield* Effect.promise(() => client.listTools())
    const { _meta } = yield* Effect.promise(() => client.callTool({ name: "namer", arguments: { message: "Names" } }))
    const taskId = _meta?.["perennial/taskId"]
    const call = (name: string) => client.callTool({ name, arguments: { taskId } })
    const refused = yield* Effect.promise(() => call("forecaster").then(() => "", ({ message }) => String(message)))
    assert.include(refused, `Task ${taskId} is one of the agent namer.`)
    assert.deepStrictEqual((yield* Effect.promise(() => call("namer")))["content"], textOf(names))
  }))
