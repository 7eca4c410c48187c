/**
 * The endpoints of the AI SDK face: what `useChat` of `ai` 7 and `WorkflowChatTransport` of `@ai-sdk/workflow` ask for.
 *
 * @since 0.1.0
 */
import { AgentId, ConversationId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "../../Authorization.ts"
import { documented, integer } from "../../internal/openApi.ts"
import { startErrors } from "../../internal/startParts.ts"
import * as Problems from "../../Problems.ts"

const TextPart = Schema.Struct({ type: Schema.Literal("text"), text: Schema.String })

const FilePart = Schema.Struct({
  type: Schema.Literal("file"),
  mediaType: Schema.String,
  url: Schema.String,
  filename: Schema.optionalKey(Schema.String)
})

/** A tool call that a person has decided about. */
const DecidedPart = Schema.Struct({
  type: Schema.String,
  toolCallId: Schema.String,
  state: Schema.Literal("approval-responded"),
  approval: Schema.Struct({ approved: Schema.Boolean, reason: Schema.optionalKey(Schema.String) })
})

const OtherPart = Schema.Struct({ type: Schema.String })

/**
 * A message of the client. Parts that a user's message cannot have here are ignored.
 *
 * @since 0.1.0
 * @category models
 */
export const UiMessage = Schema.Struct({
  id: Schema.optionalKey(Schema.String),
  role: Schema.String,
  parts: Schema.Array(Schema.Union([TextPart, FilePart, DecidedPart, OtherPart]))
}).annotate({ identifier: "UiMessage" })

/**
 * @since 0.1.0
 * @category models
 */
export interface UiMessage extends Schema.Schema.Type<typeof UiMessage> {}

/**
 * What the client posts. Only the last message counts: the history is the server's.
 *
 * @since 0.1.0
 * @category models
 */
export const ChatRequest = Schema.Struct({
  /** The id of the conversation; without one it is that of the newest answer in `messages`, or a new one. */
  id: Schema.optionalKey(ConversationId),
  messages: Schema.NonEmptyArray(UiMessage),
  trigger: Schema.optionalKey(Schema.String),
  /** Not from the client itself: an application may add it to the body. */
  agentId: Schema.optionalKey(AgentId)
}).annotate({ identifier: "ChatRequest" })

/**
 * @since 0.1.0
 * @category models
 */
export interface ChatRequest extends Schema.Schema.Type<typeof ChatRequest> {}

/** `WorkflowChatTransport` sends JSON without naming its type. */
const asPlainText = Schema.fromJsonString(ChatRequest).pipe(HttpApiSchema.asText({ contentType: "text/plain" }))

const UiMessageChunk = Schema.StructWithRest(Schema.Struct({ type: Schema.String }), [
  Schema.Record(Schema.String, Schema.Json)
]).annotate({ identifier: "UiMessageChunk", description: "A chunk of a UI message stream of the AI SDK." })

const ChunkStream = HttpApiSchema.StreamSse({
  events: Schema.Struct({ event: Schema.String, data: Schema.fromJsonString(UiMessageChunk) })
})

const chunkStream = HttpApiSchema.WithHeaders(ChunkStream, { "x-workflow-run-id": Schema.String })

const params = { id: ConversationId }
const describeId = {
  description: "The id of the chat, which is the conversation's, or the header `x-workflow-run-id`."
}
const event = { type: "text-delta", id: "3.0", delta: "Hello! " }
const streamErrors = [Problems.TooManyStreams, Problems.TooManyUserStreams] as const

/**
 * The endpoints.
 *
 * @since 0.1.0
 * @category groups
 */
export class AiSdkGroup extends HttpApiGroup.make("aiSdk")
  .add(
    HttpApiEndpoint.post("chat", "/ai-sdk/chat", {
      payload: [ChatRequest, asPlainText],
      success: chunkStream,
      error: [
        ...startErrors,
        ...streamErrors,
        Problems.TaskNotFound,
        Problems.ToolCallNotFound,
        Problems.AlreadyDecided,
        Problems.EventsExpired
      ]
    }).annotateMerge(documented({
      summary: "Send a message of `useChat`",
      description:
        "Starts a task for the last message, or decides about the tool calls that it answers, and streams the answer.",
      example: { id: "c1", messages: [{ id: "m1", role: "user", parts: [{ type: "text", text: "Hello" }] }] },
      responses: { 200: "The chunks of the answer" },
      event
    })),
    HttpApiEndpoint.get("resume", "/ai-sdk/chat/:id/stream", {
      params,
      query: { startIndex: Schema.optionalKey(Schema.Int) },
      success: [chunkStream, HttpApiSchema.NoContent],
      error: [...streamErrors, Problems.EventsExpired, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Resume the answer of a chat",
      description:
        "Streams the newest answer of the chat from its beginning, or a response from one of its chunks on. Without `startIndex` " +
        "an answer that ended more than a minute ago is 204.",
      parameters: {
        id: describeId,
        startIndex: {
          description: "The number of chunks that the client has. A negative number counts from the end.",
          schema: integer(-Number.MAX_SAFE_INTEGER)
        }
      },
      responses: { 200: "The chunks of the answer", 204: "There is nothing to resume" },
      event
    })),
    HttpApiEndpoint.post("stop", "/ai-sdk/chat/:id/stop", {
      params,
      success: HttpApiSchema.NoContent,
      error: Problems.Unavailable
    }).annotateMerge(documented({
      summary: "Stop the answer of a chat",
      description: "Cancels the active task of the chat. The method `stop` of the client only closes its connection.",
      parameters: { id: describeId },
      responses: { 204: "The chat has no active task, or its cancel is stored" }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "AI SDK", description: "Chats of the AI SDK, which `useChat` shows." }))
{}

/**
 * The endpoints with the middleware of the whole API.
 *
 * @since 0.1.0
 * @category api
 */
export class AiSdkApi extends HttpApi.make("perennial")
  .add(AiSdkGroup)
  .middleware(Problems.RefusalLimit)
  .middleware(Problems.RequestProblems)
{}
