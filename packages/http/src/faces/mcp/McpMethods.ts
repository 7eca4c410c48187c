/**
 * The methods of MCP over the tasks of a user.
 *
 * @since 0.1.0
 */
import { NewId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect } from "effect"
import type * as McpCall from "./McpCall.ts"
import * as McpClient from "./McpClient.ts"
import * as McpDecisions from "./McpDecisions.ts"
import { type Call, Refused, result } from "./McpRequest.ts"
import * as McpTaskMethods from "./McpTaskMethods.ts"
import * as McpToolCalls from "./McpToolCalls.ts"
import * as McpTools from "./McpTools.ts"

const serverInfo = { name: "perennial", title: "Perennial", version: "1" }
const instructions = "Each tool is an agent. A call may take long; its task goes on when the connection is lost."

/**
 * The methods. A notification and the answer to a question have no reply.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function*() {
  const manager = yield* TaskManager
  const decisions = yield* McpDecisions.make
  const callTool = yield* McpToolCalls.make(decisions)
  const tasks = yield* McpTaskMethods.make(decisions)

  const initialize = Effect.fnUntraced(function*({ params }: Call) {
    const session = McpClient.sessionId(yield* yield* NewId, params["capabilities"])
    const capabilities = { tools: {}, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } }
    const protocolVersion = McpClient.agree(params["protocolVersion"])
    return { ...result({ protocolVersion, capabilities, serverInfo, instructions }), session }
  })

  const discover: McpCall.JsonObject = {
    resultType: "complete",
    supportedVersions: [...McpClient.versions],
    capabilities: { tools: {}, extensions: { [McpClient.tasksExtension]: {} } },
    instructions,
    ttlMs: 60_000,
    cacheScope: "private",
    _meta: { "io.modelcontextprotocol/serverInfo": serverInfo }
  }

  const listTools = ({ client }: Call) =>
    Effect.map(manager.agents, (agents) => {
      const tools = McpTools.toTools(agents, client)
      return result(client.modern ? { resultType: "complete", ttlMs: 60_000, cacheScope: "private", tools } : { tools })
    })

  const unknown = ({ message }: Call) =>
    Effect.fail(new Refused({ code: -32_601, detail: `There is no method ${message.method}.` }))

  /** Answers a request. */
  const request = (call: Call) => {
    const { client: { modern }, message: { method } } = call
    switch (method) {
      case "tools/list":
        return listTools(call)
      case "tools/call":
        return callTool(call)
      case "tasks/get":
        return tasks.getTask(call)
      case "tasks/cancel":
        return tasks.cancelTask(call)
      case "server/discover":
        return Effect.succeed(result(discover))
      case "tasks/update":
        return modern ? tasks.update(call) : unknown(call)
      case "ping":
        return modern ? unknown(call) : Effect.succeed(result({}))
      case "initialize":
        return modern ? unknown(call) : initialize(call)
      case "tasks/result":
        return modern ? unknown(call) : tasks.taskResult(call)
      case "tasks/list":
        return modern ? unknown(call) : tasks.listTasks(call)
      default:
        return unknown(call)
    }
  }

  return { request, cancelled: tasks.cancelled, answered: decisions.answered }
})
