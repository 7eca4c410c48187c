/**
 * The method `tools/call`: a call of a tool is a task of an agent.
 *
 * @since 0.1.0
 */
import type { AgentDescription } from "@perennial/domain/Agent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Option, Schema } from "effect"
import * as McpCall from "./McpCall.ts"
import * as McpClient from "./McpClient.ts"
import type * as McpDecisions from "./McpDecisions.ts"
import { type Call, headOf, invalidParams, result, saidBefore } from "./McpRequest.ts"
import { toolResult } from "./McpResult.ts"
import * as McpTasks from "./McpTasks.ts"
import * as McpTools from "./McpTools.ts"

const decodeArguments = Schema.decodeUnknownOption(McpTools.Arguments)

/**
 * The method `tools/call`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*({ decideAll, taskOf }: Effect.Success<typeof McpDecisions.make>) {
  const manager = yield* TaskManager

  const start = (call: Call, agent: AgentDescription, { conversationId, message }: typeof McpTools.Message.Type) => {
    const { session } = call.client
    const key = McpClient.metaOf(call.message)["perennial/idempotencyKey"]
    // The same key must be the same request, also in another session.
    const mark = session === undefined || key !== undefined ? {} : { mcp: { session, request: call.message.id } }
    return manager.start({
      agentId: agent.id,
      conversationId,
      message,
      idempotencyKey: typeof key === "string" ? key : undefined,
      metadata: mark
    })
  }

  /** An earlier task of the agent. The tool of another agent may promise another form of the answer. */
  const earlier = Effect.fnUntraced(function*(agent: AgentDescription, taskId: McpCall.Json) {
    const task = yield* taskOf(taskId)
    if (task.agentId === agent.id) return task
    return yield* invalidParams(`Task ${task.id} is one of the agent ${task.agentId}. Call the tool of that agent.`)
  })

  /** The task of a call, and what was said of it before. */
  const begin = Effect.fnUntraced(function*(call: Call, agent: AgentDescription) {
    const { taskId, toolCallId: seq } = McpCall.parseQuestionId(String(call.params["requestState"] ?? ""))
    if (call.client.modern && taskId !== "") {
      const task = yield* earlier(agent, taskId)
      const answered = yield* decideAll(task.id, call.params["inputResponses"])
      return headOf(call, task, answered && /^\d{1,15}$/.test(seq) ? Number(seq) : saidBefore(task))
    }
    const given = decodeArguments(call.params["arguments"])
    if (Option.isNone(given)) return yield* invalidParams("A call needs the argument message, or taskId.")
    const task = yield* "taskId" in given.value ? earlier(agent, given.value.taskId) : start(call, agent, given.value)
    return headOf(call, task, saidBefore(task))
  })

  const callTool = Effect.fnUntraced(function*(call: Call) {
    const { client, params } = call
    const agent = McpTools.agentOf(yield* manager.agents, params["name"])
    if (agent === undefined) return yield* invalidParams(`There is no tool ${JSON.stringify(params["name"] ?? null)}.`)
    const head = yield* begin(call, agent)
    if (client.modern && client.tasks) {
      return result({ resultType: "task", ...McpTasks.toMcp(yield* manager.get(head.taskId), client) })
    }
    if (!client.modern && McpCall.isObject(params["task"])) {
      return result({ task: McpTasks.toMcp(yield* manager.get(head.taskId), client) })
    }
    return { _tag: "Messages", head } as const
  })

  /** A call that cannot begin has a result that a model can read. */
  return (call: Call) => {
    const say = ({ message }: { readonly message: string }) =>
      Effect.succeed(result(toolResult({ modern: call.client.modern, ofTask: false }, [message], { isError: true })))
    return Effect.catchTags(callTool(call), {
      InvalidInput: say,
      ConversationBusy: say,
      QueueFull: say,
      TooManyActiveTasks: say,
      CapacityExceeded: say,
      ConversationNotFound: say,
      MessageNotFound: say,
      IdempotencyConflict: say,
      AgentNotFound: say,
      ToolCallNotFound: say
    })
  }
})
