/**
 * An agent with the tools of MCP servers. This program starts one server itself. If MCP_URL is set, it connects to another
 * server over HTTP.
 *
 *     npx -y pnpm@12.21.0 exec node examples/src/mcp.ts
 *
 *     npx -y pnpm@12.21.0 exec node examples/src/mcpServer.ts 4000 &
 *     MCP_URL=http://127.0.0.1:4000/mcp npx -y pnpm@12.21.0 exec node examples/src/mcp.ts
 */
import { NodeServices } from "@effect/platform-node"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as AgentTools from "@perennial/runtime/AgentTools"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as McpTools from "@perennial/runtime/McpTools"
import * as ScriptedModel from "@perennial/runtime/ScriptedModel"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Config, Console, Effect, Layer, Option, Stream } from "effect"
import { FetchHttpClient } from "effect/http"
import { ChildProcess } from "effect/process"

const tools = Effect.gen(function*() {
  const shop = yield* McpTools.stdio({
    name: "shop",
    command: ChildProcess.make(process.execPath, [new URL("mcpServer.ts", import.meta.url).pathname]),
    // A call that cannot be undone waits for a person.
    needsApproval: (tool) => tool.annotations?.readOnlyHint !== true
  })
  const url = yield* Config.option(Config.String("MCP_URL"))
  if (Option.isNone(url)) return shop
  return AgentTools.merge(shop, yield* McpTools.http({ name: "remote", url: url.value }))
})

const agent = Layer.unwrap(Effect.gen(function*() {
  const available = yield* tools
  const calls = Object.keys(available.tools).filter((name) => name.endsWith("__add"))
    .map((tool) => ({ tool, params: { a: 40, b: 2 } }))
  return LlmAgent.layer({
    agentId: "assistant",
    systemPrompt: "You are a helpful assistant.",
    model: ScriptedModel.layer({ turns: [calls, ["Done."]] }),
    tools: available
  })
})).pipe(Layer.provide([NodeServices.layer, FetchHttpClient.layer]))

const program = Effect.gen(function*() {
  const tasks = yield* TaskManager
  const task = yield* tasks.start({ message: "What is 40 + 2? Ask everybody." })
  const events = yield* tasks.events(task.id)
  yield* Stream.runForEach(events, ({ event, seq }) => Console.log(seq, event))
})

await program.pipe(
  Effect.provide(TaskRuntime.layerMemory.pipe(Layer.provide(agent))),
  Effect.runPromise
)
