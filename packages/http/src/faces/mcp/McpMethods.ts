/**
 * The methods of MCP over the tasks of a user.
 *
 * @since 0.1.0
 */
import type { AgentDescription } from "@perennial/domain/Agent"
import { NewId, TaskId } from "@perennial/domain/Ids"
import { isTerminal, type Task } from "@perennial/domain/Task"
import type { CursorAhead } from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Option, Schema, Stream } from "effect"
import type { ClientMessage, RequestId } from "./McpApi.ts"
import * as McpCall from "./McpCall.ts"
import * as McpClient from "./McpClient.ts"
import { step, toolResult } from "./McpMessages.ts"
import * as McpTasks from "./McpTasks.ts"
import * as McpTools from "./McpTools.ts"

type JsonObject = { readonly [field: string]: McpCall.Json }

/**
 * The answer of a method: its result, with a new session or not, or the messages of a call.
 *
 * @since 0.1.0
 * @category models
 */
export type Reply =
  | { readonly _tag: "Result"; readonly result: JsonObject; readonly session?: string | undefined }
  | { readonly _tag: "Messages"; readonly head: McpCall.Head }

/**
 * An error of JSON-RPC.
 *
 * @since 0.1.0
 * @category errors
 */
export class Refused extends Schema.TaggedError<Refused>()("Refused", {
  code: Schema.Int,
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

const invalidParams = (detail: string) => new Refused({ code: -32_602, detail })

/**
 * A request of a client.
 *
 * @since 0.1.0
 * @category models
 */
export interface Call {
  readonly client: McpClient.Client
  readonly message: ClientMessage & { readonly id: RequestId }
  readonly params: JsonObject
}

/** A cancel answers after this time at the latest. It is stored. */
const cancelPatience = "10 seconds"

/** How many active tasks of a user are searched for the call that a client cancels. */
const maxSearched = 1_000

const pageSize = 100

const serverInfo = { name: "perennial", title: "Perennial", version: "1" }
const instructions = "Each tool is an agent. A call may take long; its task goes on when the connection is lost."

const decodeArguments = Schema.decodeUnknownOption(McpTools.Arguments)
const decodeAnswer = Schema.decodeUnknownOption(McpTools.Answer)
const decodeTaskId = Schema.decodeUnknownOption(TaskId)
const Mark = Schema.Struct({ mcp: Schema.Struct({ session: Schema.String, request: Schema.Json }) })
const decodeMark = Schema.decodeUnknownOption(Mark)

const isObject = Schema.is(Schema.Record(Schema.String, Schema.Json))
const isToken = Schema.is(Schema.Union([Schema.String, Schema.Finite]))

const result = (result: JsonObject): Reply => ({ _tag: "Result", result })

/** No log is shorter than nothing. */
const fromStart = <A, E, R>(self: Effect.Effect<A, E | CursorAhead, R>) =>
  Effect.catchTag(self, "CursorAhead", Effect.die)

/** What is not said again in a new call. A question that waits is asked again. */
const saidBefore = ({ lastSeq, waiting = [] }: Task): number =>
  waiting.length === 0 ? lastSeq : Math.max(...waiting.map(({ seq }) => seq)) - 1

/**
 * The methods. A notification and the answer to a question have no reply.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function*() {
  const manager = yield* TaskManager

  const taskOf = Effect.fnUntraced(function*(given: McpCall.Json | undefined) {
    const id = decodeTaskId(given)
    if (Option.isNone(id)) return yield* invalidParams("taskId must be the id of a task.")
    return yield* Effect.catchTag(manager.get(id.value), "TaskNotFound", (error) => invalidParams(error.message))
  })

  /** Somebody else may have decided before. */
  const decide = Effect.fnUntraced(function*(taskId: TaskId, toolCallId: string, answer: unknown) {
    const decoded = decodeAnswer(answer)
    if (Option.isNone(decoded)) return yield* invalidParams(`The answer about ${toolCallId} is not that of a form.`)
    const decided = manager.decide(taskId, toolCallId, McpTools.decisionOf(decoded.value))
    yield* Effect.catchTag(decided, "AlreadyDecided", () => Effect.void)
  })

  const decideAll = Effect.fnUntraced(function*(taskId: TaskId, answers: McpCall.Json | undefined) {
    if (!isObject(answers)) return false
    for (const [toolCallId, answer] of Object.entries(answers)) yield* decide(taskId, toolCallId, answer)
    return Object.keys(answers).length > 0
  })

  const cancel = (task: Task, reason?: string) =>
    manager.cancel(task.id, reason === undefined ? {} : { reason: reason.slice(0, 1_000) }).pipe(
      // Checked there: the reason is not too long.
      Effect.catchTag("InvalidInput", Effect.die),
      Effect.timeoutOption(cancelPatience),
      Effect.map(Option.getOrElse(() => task))
    )

  const headOf = ({ client, message }: Call, task: Task, after: number): McpCall.Head => {
    const { progressToken } = McpClient.metaOf(message)
    return {
      id: message.id,
      taskId: task.id,
      after,
      ...(isToken(progressToken) ? { progressToken } : {}),
      asks: client.asks,
      modern: client.modern,
      ofTask: false,
      primed: client.version >= "2025-11-25"
    }
  }

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

  /** The task of a call, and what was said of it before. */
  const begin = Effect.fnUntraced(function*(call: Call, agent: AgentDescription) {
    const { taskId, toolCallId: seq } = McpCall.parseQuestionId(String(call.params["requestState"] ?? ""))
    if (call.client.modern && taskId !== "") {
      const task = yield* taskOf(taskId)
      const answered = yield* decideAll(task.id, call.params["inputResponses"])
      return headOf(call, task, answered && /^\d{1,15}$/.test(seq) ? Number(seq) : saidBefore(task))
    }
    const given = decodeArguments(call.params["arguments"])
    if (Option.isNone(given)) return yield* invalidParams("A call needs the argument message, or taskId.")
    const task = yield* "taskId" in given.value ? taskOf(given.value.taskId) : start(call, agent, given.value)
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
    if (!client.modern && isObject(params["task"])) {
      return result({ task: McpTasks.toMcp(yield* manager.get(head.taskId), client) })
    }
    return { _tag: "Messages", head } as const
  })

  /** A call that cannot begin has a result that a model can read. */
  const callOrSay = (call: Call) => {
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

  const getTask = Effect.fnUntraced(function*({ client, message, params }: Call) {
    const task = yield* taskOf(params["taskId"])
    if (!client.modern) return result(McpTasks.toMcp(task, client))
    const known = { resultType: "complete", ...McpTasks.toMcp(task, client) }
    if (!McpTasks.needsLog(task)) return result({ ...known, ...McpTasks.detailOf(task, McpCall.initial) })
    const head = headOf({ client: { ...client, asks: "request" }, message, params }, task, task.lastSeq)
    const { events } = yield* fromStart(manager.open(task.id))
    const state = yield* Stream.runFold(
      Stream.take(events, task.lastSeq),
      () => McpCall.initial,
      (state, stored) => step(head, state, stored).state
    )
    return result({ ...known, ...McpTasks.detailOf(task, state) })
  })

  const listTasks = Effect.fnUntraced(function*({ client, params }: Call) {
    const before = Option.getOrUndefined(decodeTaskId(params["cursor"]))
    const tasks = yield* manager.list({ before, limit: pageSize })
    const last = tasks[pageSize - 1]
    return result({
      tasks: tasks.map((task) => McpTasks.toMcp(task, client)),
      ...(last === undefined ? {} : { nextCursor: last.id })
    })
  })

  const cancelTask = Effect.fnUntraced(function*({ client, params }: Call) {
    const task = yield* taskOf(params["taskId"])
    if (isTerminal(task.status) && !client.modern) {
      return yield* invalidParams(`Task ${task.id} has ended: ${task.status}.`)
    }
    const cancelled = isTerminal(task.status) ? task : yield* cancel(task)
    return result(client.modern ? { resultType: "complete" } : McpTasks.toMcp(cancelled, client))
  })

  const initialize = Effect.fnUntraced(function*({ params }: Call) {
    const session = McpClient.sessionId(yield* yield* NewId, params["capabilities"])
    const capabilities = { tools: {}, tasks: { list: {}, cancel: {}, requests: { tools: { call: {} } } } }
    const protocolVersion = McpClient.agree(params["protocolVersion"])
    return { ...result({ protocolVersion, capabilities, serverInfo, instructions }), session }
  })

  const discover: JsonObject = {
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

  const taskResult = (call: Call) =>
    Effect.map(taskOf(call.params["taskId"]), (task): Reply => ({
      _tag: "Messages",
      head: { ...headOf(call, task, saidBefore(task)), ofTask: true }
    }))

  const update = Effect.fnUntraced(function*({ params }: Call) {
    const task = yield* taskOf(params["taskId"])
    yield* decideAll(task.id, params["inputResponses"])
    return result({ resultType: "complete" })
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
        return callOrSay(call)
      case "tasks/get":
        return getTask(call)
      case "tasks/cancel":
        return cancelTask(call)
      case "server/discover":
        return Effect.succeed(result(discover))
      case "tasks/update":
        return modern ? update(call) : unknown(call)
      case "ping":
        return modern ? unknown(call) : Effect.succeed(result({}))
      case "initialize":
        return modern ? unknown(call) : initialize(call)
      case "tasks/result":
        return modern ? unknown(call) : taskResult(call)
      case "tasks/list":
        return modern ? unknown(call) : listTasks(call)
      default:
        return unknown(call)
    }
  }

  /** The client does not want the result of a request any more: the task of the call is cancelled. */
  const cancelled = Effect.fnUntraced(function*(client: McpClient.Client, { params = {} }: ClientMessage) {
    const { reason, requestId } = params
    if (client.session === undefined) return
    const tasks = yield* manager.list({ status: ["queued", "running"], limit: maxSearched })
    const task = tasks.find(({ metadata }) => {
      const mark = decodeMark(metadata)
      return mark._tag === "Some" && mark.value.mcp.session === client.session && mark.value.mcp.request === requestId
    })
    if (task !== undefined) yield* cancel(task, typeof reason === "string" ? reason : undefined)
  })

  /** Takes the answer to a question. Without a result nobody has answered, and the tool call goes on waiting. */
  const answered = Effect.fnUntraced(function*({ id, result }: ClientMessage) {
    const { taskId, toolCallId } = McpCall.parseQuestionId(String(id))
    if (result === undefined) return
    const task = yield* taskOf(taskId)
    yield* decide(task.id, toolCallId, result)
  })

  return { request, cancelled, answered }
})
