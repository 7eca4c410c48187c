/**
 * The endpoints of the MCP face: Streamable HTTP, without state.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "../../Authorization.ts"
import { documented } from "../../internal/openApi.ts"
import * as Problems from "../../Problems.ts"

/**
 * The id of a JSON-RPC request.
 *
 * @since 0.1.0
 * @category models
 */
export const RequestId = Schema.Union([Schema.String.check(Schema.isMaxLength(500)), Schema.Finite])

/**
 * @since 0.1.0
 * @category models
 */
export type RequestId = typeof RequestId.Type

/**
 * A message of a client: a request, a notification, or the response to a question of the server.
 *
 * @since 0.1.0
 * @category models
 */
export const ClientMessage = Schema.Struct({
  jsonrpc: Schema.Literal("2.0"),
  id: Schema.optionalKey(RequestId),
  method: Schema.optionalKey(Schema.String),
  params: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json)),
  result: Schema.optionalKey(Schema.Json),
  error: Schema.optionalKey(Schema.Json)
}).annotate({ identifier: "McpClientMessage", description: "A JSON-RPC message of a client of MCP." })

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientMessage extends Schema.Schema.Type<typeof ClientMessage> {}

const ServerMessage = Schema.StructWithRest(Schema.Struct({ jsonrpc: Schema.Literal("2.0") }), [
  Schema.Record(Schema.String, Schema.Json)
]).annotate({ identifier: "McpServerMessage", description: "A JSON-RPC message of the server to a client of MCP." })

const Messages = HttpApiSchema.StreamSse({
  events: Schema.Struct({ event: Schema.String, data: Schema.fromJsonString(ServerMessage) })
})

const header = Schema.optionalKey(Schema.String.check(Schema.isMaxLength(4_000)))

const streamErrors = [
  Problems.TooManyStreams,
  Problems.TooManyUserStreams,
  Problems.TaskNotFound,
  Problems.EventsExpired,
  Problems.Unavailable
] as const

/**
 * The endpoints.
 *
 * @since 0.1.0
 * @category groups
 */
export class McpGroup extends HttpApiGroup.make("mcp")
  .add(
    HttpApiEndpoint.post("send", "/mcp", {
      headers: { "mcp-session-id": header, "mcp-protocol-version": header, "mcp-method": header, "mcp-name": header },
      payload: ClientMessage,
      success: [ServerMessage, Messages, HttpApiSchema.Empty(202)],
      error: [
        ...streamErrors,
        Problems.InvalidRequest,
        Problems.CapacityExceeded,
        Problems.TooManyActiveTasks,
        Problems.ToolCallNotFound,
        Problems.AlreadyDecided
      ]
    }).annotateMerge(documented({
      summary: "Send a message to the MCP server",
      description:
        "A JSON-RPC request is answered with JSON, or for a call of a tool with an event stream whose last message is the result. Each " +
        "agent is a tool. A notification, and the response to a question of the server, are answered with 202.",
      parameters: {
        "mcp-session-id": { description: "As the answer to `initialize` had it." },
        "mcp-protocol-version": { description: "The revision of the protocol that the client speaks." },
        "mcp-method": { description: "The method of the request, from revision 2026-07-28 on." },
        "mcp-name": { description: "The tool or the task of the request, from revision 2026-07-28 on." }
      },
      example: {
        jsonrpc: "2.0",
        id: 1,
        method: "tools/call",
        params: { name: "echo", arguments: { message: "Hello" } }
      },
      responses: {
        200: {
          description: "The answer, or a stream that ends with it",
          example: { jsonrpc: "2.0", id: 1, result: { content: [{ type: "text", text: "Hello" }] } }
        },
        202: "The message is accepted"
      },
      event: { jsonrpc: "2.0", id: 1, result: { content: [{ type: "text", text: "Hello" }] } }
    })),
    HttpApiEndpoint.get("resume", "/mcp", {
      headers: { "last-event-id": header },
      success: Messages,
      error: [...streamErrors, Problems.MethodNotAllowed]
    }).annotateMerge(documented({
      summary: "Resume an event stream of the MCP server",
      description:
        "The messages after the event `Last-Event-ID` of an answer, on any process. Without the header the answer is 405: the server " +
        "has nothing to say on its own.",
      parameters: { "last-event-id": { description: "The id of the last event that the client has." } },
      responses: { 200: "The rest of the stream" },
      event: { jsonrpc: "2.0", id: 1, result: { content: [{ type: "text", text: "Hello" }] } }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "MCP", description: "Agents as tools of an MCP server." }))
{}

/**
 * The endpoints with the middleware of the whole API.
 *
 * @since 0.1.0
 * @category api
 */
export class McpApi extends HttpApi.make("perennial")
  .add(McpGroup)
  .middleware(Problems.RefusalLimit)
  .middleware(Problems.RequestProblems)
{}
