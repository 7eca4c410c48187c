/**
 * The endpoints of the A2A face: agent cards, JSON-RPC, and HTTP+JSON.
 *
 * @since 0.1.0
 */
import { AgentId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization, Public } from "../../Authorization.ts"
import { documented, integer } from "../../internal/openApi.ts"
import { startErrors } from "../../internal/startParts.ts"
import * as Problems from "../../Problems.ts"
import { A2aErrors, httpErrorSchema, rpcErrorSchema } from "./A2aErrors.ts"
import { ListTasks, PushConfig, SendMessage } from "./A2aRequests.ts"
import { AgentCard, Config, events, Page, RpcResponse, Sent, StreamResponse, TaskObject } from "./A2aResponses.ts"

/**
 * A call of JSON-RPC 2.0. The server checks `params` for each method.
 *
 * @since 0.1.0
 * @category models
 */
export const RpcRequest = Schema.Struct({
  jsonrpc: Schema.Literal("2.0"),
  id: Schema.optionalKey(Schema.NullOr(Schema.Union([Schema.String, Schema.Int]))),
  method: Schema.String,
  params: Schema.optionalKey(Schema.Json)
}).annotate({ identifier: "A2aRpcRequest" })

/**
 * @since 0.1.0
 * @category models
 */
export interface RpcRequest extends Schema.Schema.Type<typeof RpcRequest> {}

const a2aJson = HttpApiSchema.asJson({ contentType: "application/a2a+json" })

const agent = { agentId: AgentId }
const task = { ...agent, taskId: Schema.NonEmptyString.check(Schema.isMaxLength(300)) }
const describeAgent = { agentId: { description: "The agent." } }
const describeTask = { ...describeAgent, taskId: { description: "The id of the task." } }
const HistoryLength = { historyLength: Schema.optionalKey(Schema.Natural) }
const describeHistory = {
  historyLength: { description: "The largest number of messages of the history.", schema: integer(0) }
}

const streamErrors = [Problems.TooManyStreams, Problems.TooManyUserStreams] as const
const readErrors = [Problems.TaskNotFound, Problems.EventsExpired, Problems.Unavailable] as const
const sendErrors = [
  ...startErrors,
  ...streamErrors,
  ...readErrors,
  Problems.InvalidRequest,
  Problems.ToolCallNotFound,
  Problems.AlreadyDecided
] as const

const message = { messageId: "m1", role: "ROLE_USER", parts: [{ text: "Hello" }] }
const exampleTask = {
  id: "01a2061b-4b6f-773b-924f-a99c20363c38",
  contextId: "c1",
  status: { state: "TASK_STATE_COMPLETED", timestamp: "2026-01-01T12:00:00.000Z" },
  artifacts: [{ artifactId: "answer-1", name: "answer", parts: [{ text: "Hello!" }] }]
}
const artifactUpdate = {
  taskId: exampleTask.id,
  contextId: "c1",
  artifact: { artifactId: "answer-1", parts: [{ text: "Hello! " }] },
  append: true
}
const exampleCard = { name: "echo", description: "The agent \"echo\".", version: "1.0.0" }
const error = httpErrorSchema

const configs = "/a2a/:agentId/tasks/:taskId/pushNotificationConfigs"
const ConfigId = Schema.NonEmptyString.check(Schema.isMaxLength(300))
const describeConfig = { ...describeTask, configId: { description: "The id of the configuration." } }
const exampleConfig = { id: "config-1", taskId: exampleTask.id, url: "https://example.com/a2a" }

/**
 * The endpoints.
 *
 * @since 0.1.0
 * @category groups
 */
export class A2aGroup extends HttpApiGroup.make("a2a")
  .add(
    HttpApiEndpoint.post("call", "/a2a/:agentId", {
      params: agent,
      payload: RpcRequest,
      success: [RpcResponse, events(RpcResponse)],
      error: [Problems.TooManyStreams, Problems.TooManyUserStreams, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Call a method of A2A by JSON-RPC",
      description:
        "The methods of A2A 1.0. `SendStreamingMessage` and `SubscribeToTask` answer with events. Errors of a method have the status 200.",
      parameters: describeAgent,
      example: { jsonrpc: "2.0", id: 1, method: "SendMessage", params: { message } },
      responses: {
        200: {
          description: "The result, the error, or the events",
          example: { jsonrpc: "2.0", id: 1, result: { task: exampleTask } }
        }
      },
      event: { jsonrpc: "2.0", id: 1, result: { artifactUpdate } },
      error: rpcErrorSchema
    })),
    HttpApiEndpoint.post("send", "/a2a/:agentId/message:send", {
      params: agent,
      payload: [SendMessage, SendMessage.pipe(a2aJson)],
      success: Sent,
      error: sendErrors
    }).annotateMerge(documented({
      summary: "Send a message to an agent",
      description:
        "Starts a task, or answers the question of one, and waits until the task has ended or waits for a person.",
      parameters: describeAgent,
      example: { message },
      responses: { 200: { description: "The task", example: { task: exampleTask } } },
      error
    })),
    HttpApiEndpoint.post("stream", "/a2a/:agentId/message:stream", {
      params: agent,
      payload: [SendMessage, SendMessage.pipe(a2aJson)],
      success: events(StreamResponse),
      error: sendErrors
    }).annotateMerge(documented({
      summary: "Send a message to an agent, and stream the answer",
      description: "First the task, then what changes, until the task has ended or waits for a person.",
      parameters: describeAgent,
      example: { message },
      responses: { 200: "The task and its updates" },
      event: { artifactUpdate },
      error
    })),
    HttpApiEndpoint.get("list", "/a2a/:agentId/tasks", {
      params: agent,
      query: { ...ListTasks.fields, status: Schema.optionalKey(Schema.String) },
      success: Page,
      error: [Problems.InvalidRequest, ...readErrors]
    }).annotateMerge(documented({
      summary: "List the tasks of an agent",
      description:
        "The newest task is the first. Each has its status, and its artifacts and messages where the request wants them.",
      parameters: {
        ...describeAgent,
        contextId: { description: "Only tasks of this conversation." },
        status: { description: "Only tasks of this state, such as `TASK_STATE_WORKING`." },
        pageSize: { description: "The number of tasks on a page; 50 by default.", schema: integer(1, 100) },
        pageToken: { description: "The `nextPageToken` of the page before." },
        ...describeHistory,
        statusTimestampAfter: { description: "Only tasks that changed at this time or later." },
        includeArtifacts: { description: "Whether tasks have their artifacts. Then a page has at most 20 tasks." }
      },
      responses: {
        200: {
          description: "A page of tasks",
          example: { tasks: [exampleTask], nextPageToken: "", pageSize: 50, totalSize: 1 }
        }
      },
      error
    })),
    HttpApiEndpoint.get("get", "/a2a/:agentId/tasks/:taskId", {
      params: task,
      query: HistoryLength,
      success: TaskObject,
      error: readErrors
    }).annotateMerge(documented({
      summary: "Get a task",
      description: "The task as it is now, with its artifacts.",
      parameters: { ...describeTask, ...describeHistory },
      responses: { 200: { description: "The task", example: exampleTask } },
      error
    })),
    HttpApiEndpoint.post("cancel", "/a2a/:agentId/tasks/:taskId:cancel", {
      params: task,
      success: TaskObject,
      error: [Problems.InvalidRequest, ...readErrors]
    }).annotateMerge(documented({
      summary: "Cancel a task",
      description: "Cancels the task, and answers with the task as it ended.",
      parameters: describeTask,
      responses: { 200: { description: "The task", example: exampleTask } },
      error
    })),
    HttpApiEndpoint.post("subscribe", "/a2a/:agentId/tasks/:taskId:subscribe", {
      params: task,
      success: events(StreamResponse),
      error: [Problems.InvalidRequest, ...streamErrors, ...readErrors]
    }).annotateMerge(documented({
      summary: "Subscribe to a task",
      description: "First the task as it is now, then what changes, until the task has ended or waits for a person.",
      parameters: describeTask,
      responses: { 200: "The task and its updates" },
      event: { artifactUpdate },
      error
    })),
    HttpApiEndpoint.get("watch", "/a2a/:agentId/tasks/:taskId:subscribe", {
      params: task,
      success: events(StreamResponse),
      error: [Problems.InvalidRequest, ...streamErrors, ...readErrors]
    }).annotateMerge(documented({
      summary: "Watch a task",
      description:
        "The same as the request with POST: first the task as it is now, then what changes, until the task has ended or waits for a person.",
      parameters: describeTask,
      responses: { 200: "The task and its updates" },
      event: { artifactUpdate },
      error
    })),
    HttpApiEndpoint.post("createConfig", configs, {
      params: task,
      payload: [PushConfig, PushConfig.pipe(a2aJson)],
      success: Config,
      error: [Problems.InvalidRequest, ...readErrors]
    }).annotateMerge(documented({
      summary: "Ask for push notifications about a task",
      description:
        "The address gets a request when the task has ended or waits for a person. The webhooks of the server send it.",
      parameters: describeTask,
      example: exampleConfig,
      responses: { 200: { description: "The configuration", example: exampleConfig } },
      error
    })),
    HttpApiEndpoint.get("listConfigs", configs, {
      params: task,
      success: Schema.Struct({ configs: Schema.Array(Config), nextPageToken: Schema.String }),
      error: readErrors
    }).annotateMerge(documented({
      summary: "List the push notification configurations of a task",
      description: "All of them, on one page, without credentials.",
      parameters: describeTask,
      responses: {
        200: { description: "The configurations", example: { configs: [exampleConfig], nextPageToken: "" } }
      },
      error
    })),
    HttpApiEndpoint.get("getConfig", `${configs}/:configId`, {
      params: { ...task, configId: ConfigId },
      success: Config,
      error: readErrors
    }).annotateMerge(documented({
      summary: "Get a push notification configuration",
      description: "The configuration, without credentials.",
      parameters: describeConfig,
      responses: { 200: { description: "The configuration", example: exampleConfig } },
      error
    })),
    HttpApiEndpoint.delete("deleteConfig", `${configs}/:configId`, {
      params: { ...task, configId: ConfigId },
      success: HttpApiSchema.NoContent,
      error: readErrors
    }).annotateMerge(documented({
      summary: "Remove a push notification configuration",
      description: "The address gets no more requests about the task.",
      parameters: describeConfig,
      responses: { 204: "The configuration is removed" },
      error
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .add(
    HttpApiEndpoint.get("defaultCard", "/.well-known/agent-card.json", {
      success: AgentCard,
      error: Problems.Unavailable
    })
      .annotate(Public, true)
      .annotateMerge(documented({
        summary: "The card of the default agent",
        description: "What the first agent of the server is, and where clients of A2A reach the agent.",
        responses: { 200: { description: "The card", example: exampleCard } },
        error
      })),
    HttpApiEndpoint.get("card", "/a2a/:agentId/.well-known/agent-card.json", {
      params: agent,
      success: AgentCard,
      error: [Problems.AgentNotFound, Problems.Unavailable]
    })
      .annotate(Public, true)
      .annotateMerge(documented({
        summary: "The card of an agent",
        description: "What the agent is, and where clients of A2A reach the agent.",
        parameters: describeAgent,
        responses: { 200: { description: "The card", example: exampleCard } },
        error
      }))
  )
  .annotateMerge(OpenApi.annotations({ title: "A2A", description: "Agents and tasks for clients of A2A." }))
{}

/**
 * The endpoints with the middleware of the whole API. Errors are in the form of A2A.
 *
 * @since 0.1.0
 * @category api
 */
export class A2aApi extends HttpApi.make("perennial")
  .add(A2aGroup)
  .middleware(Problems.RefusalLimit)
  .middleware(Problems.RequestProblems)
  .middleware(A2aErrors)
{}
