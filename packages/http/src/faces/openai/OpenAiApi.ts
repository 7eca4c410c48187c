/**
 * The endpoints of the OpenAI face: the part of the Responses API that runs in the background.
 *
 * @since 0.1.0
 */
import { AgentId, ConversationId } from "@perennial/domain/Ids"
import { Effect, Layer, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiMiddleware, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "../../Authorization.ts"
import { documented, integer } from "../../internal/openApi.ts"
import { idempotencyKey, startErrors } from "../../internal/startParts.ts"
import * as Problems from "../../Problems.ts"

const Text = Schema.Struct({ type: Schema.Literals(["input_text", "text"]), text: Schema.String })

/** A file in the request itself, as a data URL. */
const Image = Schema.Struct({ type: Schema.Literal("input_image"), image_url: Schema.String })
const File = Schema.Struct({
  type: Schema.Literal("input_file"),
  file_data: Schema.String,
  filename: Schema.optionalKey(Schema.String)
})

const Unknown = Schema.Struct({ type: Schema.optionalKey(Schema.String) })

const Message = Schema.Struct({
  role: Schema.String,
  content: Schema.Union([Schema.String, Schema.Array(Schema.Union([Text, Image, File, Unknown]))])
})

const Decided = Schema.Struct({
  type: Schema.Literal("mcp_approval_response"),
  approval_request_id: Schema.String,
  approve: Schema.Boolean,
  reason: Schema.optionalKey(Schema.NullOr(Schema.String))
})

/**
 * What a client posts. Unknown fields are ignored: the agent has its own instructions, tools and model.
 *
 * @since 0.1.0
 * @category models
 */
export const CreateResponse = Schema.Struct({
  /** The agent. */
  model: AgentId,
  /** Text, or items, of which the last message of the user or the answers to tool calls count. */
  input: Schema.Union([Schema.String, Schema.Array(Schema.Union([Decided, Message, Unknown]))]),
  background: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  stream: Schema.optionalKey(Schema.NullOr(Schema.Boolean)),
  previous_response_id: Schema.optionalKey(Schema.NullOr(Schema.String)),
  conversation: Schema.optionalKey(
    Schema.NullOr(Schema.Union([ConversationId, Schema.Struct({ id: ConversationId })]))
  ),
  metadata: Schema.optionalKey(Schema.NullOr(Schema.Record(Schema.String, Schema.Json)))
}).annotate({ identifier: "CreateResponse" })

/**
 * @since 0.1.0
 * @category models
 */
export interface CreateResponse extends Schema.Schema.Type<typeof CreateResponse> {}

const anything = [Schema.Record(Schema.String, Schema.Json)] as const

/**
 * A response of the API.
 *
 * @since 0.1.0
 * @category models
 */
export const ResponseObject = Schema.StructWithRest(
  Schema.Struct({ id: Schema.String, object: Schema.Literal("response"), status: Schema.String }),
  anything
).annotate({ identifier: "ResponseObject" })

const ResponseStreamEvent = Schema.StructWithRest(
  Schema.Struct({ type: Schema.String, sequence_number: Schema.Natural }),
  anything
).annotate({ identifier: "ResponseStreamEvent", description: "An event of a stream of the OpenAI Responses API." })

const Events = HttpApiSchema.StreamSse({
  events: Schema.Struct({ event: Schema.String, data: Schema.fromJsonString(ResponseStreamEvent) })
})

const Items = Schema.Struct({
  object: Schema.Literal("list"),
  data: Schema.Array(Schema.Json),
  first_id: Schema.NullOr(Schema.String),
  last_id: Schema.NullOr(Schema.String),
  has_more: Schema.Boolean
}).annotate({ identifier: "ResponseItemList" })

/**
 * Answers errors as the OpenAI API does: `{ error: { message, type, param, code } }`.
 *
 * @since 0.1.0
 * @category middleware
 */
export class OpenAiErrors extends HttpApiMiddleware.Service<OpenAiErrors>()("@perennial/http/OpenAiApi/OpenAiErrors") {}

interface Problem {
  readonly _tag?: string
  readonly status?: number
  readonly title?: string
  readonly detail?: string
}

/** A busy conversation is not free a second later, and the client would ask three times. */
const isFinal = (tag: string): boolean => ["ConversationBusy", "QueueFull", "CapacityExceeded"].includes(tag)

const toResponse = ({ _tag = "InternalError", detail, status = 500, title = "The request failed." }: Problem) =>
  HttpServerResponse.jsonUnsafe(
    {
      error: {
        message: detail ?? title,
        type: status < 500 ? "invalid_request_error" : "server_error",
        param: null,
        code: _tag.replace(/(?<=.)([A-Z])/g, "_$1").toLowerCase()
      }
    },
    { status, headers: isFinal(_tag) ? { "x-should-retry": "false" } : {} }
  )

/**
 * @since 0.1.0
 * @category layers
 */
export const layerErrors: Layer.Layer<OpenAiErrors> = Layer.succeed(
  OpenAiErrors,
  (handler) => Effect.catch(handler, (problem) => Effect.succeed(toResponse(Object(problem))))
)

const params = { id: Schema.NonEmptyString.check(Schema.isMaxLength(300)) }
const describeId = { description: "The id of the response." }
const streamErrors = [Problems.TooManyStreams, Problems.TooManyUserStreams] as const
const readErrors = [Problems.TaskNotFound, Problems.EventsExpired, Problems.Unavailable] as const

const error = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["message", "type"],
      properties: {
        message: { type: "string" },
        type: { type: "string" },
        param: { type: ["string", "null"] },
        code: { type: ["string", "null"] }
      }
    }
  }
}

const id = "resp_01a2061b-4b6f-773b-924f-a99c20363c38_0"
const example = {
  id,
  object: "response",
  created_at: 1_767_268_800,
  status: "in_progress",
  model: "assistant",
  output: []
}
const event = {
  type: "response.output_text.delta",
  item_id: "msg_3_0",
  output_index: 0,
  content_index: 0,
  delta: "Hello! ",
  logprobs: [],
  sequence_number: 4
}

/**
 * The endpoints.
 *
 * @since 0.1.0
 * @category groups
 */
export class OpenAiGroup extends HttpApiGroup.make("openai")
  .add(
    HttpApiEndpoint.post("create", "/v1/responses", {
      headers: { "idempotency-key": idempotencyKey },
      payload: CreateResponse,
      success: [ResponseObject, Events],
      error: [...startErrors, ...streamErrors, ...readErrors, Problems.ToolCallNotFound, Problems.AlreadyDecided]
    }).annotateMerge(documented({
      summary: "Create a response",
      description:
        "Starts a task of the agent `model`. With `background` the answer comes at once, with `stream` as events, and otherwise when " +
        "the response has ended.",
      parameters: {
        "idempotency-key": { description: "Makes the request safe to repeat: the same key returns the same response." }
      },
      example: { model: "echo", input: "Hello", background: true },
      responses: { 200: { description: "The response, or its events", example } },
      event,
      error
    })),
    HttpApiEndpoint.get("retrieve", "/v1/responses/:id", {
      params,
      query: {
        stream: Schema.optionalKey(Schema.Literals(["true", "false"])),
        starting_after: Schema.optionalKey(Schema.Natural)
      },
      success: [ResponseObject, Events],
      error: [...streamErrors, ...readErrors]
    }).annotateMerge(documented({
      summary: "Retrieve a response",
      description:
        "The response as it is now. With `stream` its events after the number `starting_after`, then new events as they come.",
      parameters: {
        id: describeId,
        stream: { description: "Whether the answer is a stream of events." },
        starting_after: { description: "The number of the last event that the client has.", schema: integer(0) }
      },
      responses: { 200: { description: "The response, or its events", example } },
      event,
      error
    })),
    HttpApiEndpoint.post("cancel", "/v1/responses/:id/cancel", {
      params,
      success: ResponseObject,
      error: readErrors
    }).annotateMerge(documented({
      summary: "Cancel a response",
      description:
        "Cancels the task, and answers with the response as it ended. A response that has ended stays as it is.",
      parameters: { id: describeId },
      responses: { 200: { description: "The response", example } },
      error
    })),
    HttpApiEndpoint.get("inputItems", "/v1/responses/:id/input_items", {
      params,
      success: Items,
      error: [Problems.ConversationNotFound, ...readErrors]
    }).annotateMerge(documented({
      summary: "List the input of a response",
      description: "The message of the user that the response answers.",
      parameters: { id: describeId },
      responses: {
        200: {
          description: "The items",
          example: { object: "list", data: [], first_id: null, last_id: null, has_more: false }
        }
      },
      error
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "OpenAI Responses", description: "Responses of OpenAI's API." }))
{}

/**
 * The endpoints with the middleware of the whole API. Errors are in the form of OpenAI's API.
 *
 * @since 0.1.0
 * @category api
 */
export class OpenAiApi extends HttpApi.make("perennial")
  .add(OpenAiGroup)
  .middleware(Problems.RefusalLimit)
  .middleware(Problems.RequestProblems)
  .middleware(OpenAiErrors)
{}
