/**
 * The endpoint of the AG-UI face: what `HttpAgent` of `@ag-ui/client` posts.
 *
 * @since 0.1.0
 */
import { AgentId, ConversationId } from "@perennial/domain/Ids"
import { Schema } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "../../Authorization.ts"
import { documented } from "../../internal/openApi.ts"
import { startErrors } from "../../internal/startParts.ts"
import * as Problems from "../../Problems.ts"

const anything = [Schema.Record(Schema.String, Schema.Json)] as const

const Message = Schema.StructWithRest(Schema.Struct({ id: Schema.String, role: Schema.String }), anything)

const Answer = Schema.Struct({
  interruptId: Schema.String,
  status: Schema.Literals(["resolved", "cancelled"]),
  payload: Schema.optionalKey(Schema.Json)
})

/**
 * What a client posts. Tools and the state of a front end are ignored.
 *
 * @since 0.1.0
 * @category models
 */
export const RunAgentInput = Schema.Struct({
  /** The conversation. */
  threadId: ConversationId,
  /** The same id again is the same run. */
  runId: Schema.NonEmptyString.check(Schema.isMaxLength(190)),
  messages: Schema.Array(Message),
  /** The answers to the interrupts of the run before. */
  resume: Schema.optionalKey(Schema.Array(Answer))
}).annotate({ identifier: "RunAgentInput" })

/**
 * @since 0.1.0
 * @category models
 */
export interface RunAgentInput extends Schema.Schema.Type<typeof RunAgentInput> {}

const RunEvent = Schema.StructWithRest(Schema.Struct({ type: Schema.String }), anything).annotate({
  identifier: "AgUiRunEvent",
  description: "An event of an AG-UI run."
})

const Events = HttpApiSchema.StreamSse({
  events: Schema.Struct({ event: Schema.String, data: Schema.fromJsonString(RunEvent) })
})

/**
 * The endpoint.
 *
 * @since 0.1.0
 * @category groups
 */
export class AgUiGroup extends HttpApiGroup.make("agUi")
  .add(
    HttpApiEndpoint.post("run", "/ag-ui", {
      query: { agentId: Schema.optionalKey(AgentId) },
      payload: RunAgentInput,
      success: Events,
      error: [
        ...startErrors,
        Problems.TooManyStreams,
        Problems.TooManyUserStreams,
        Problems.TaskNotFound,
        Problems.ToolCallNotFound,
        Problems.AlreadyDecided,
        Problems.EventsExpired
      ]
    }).annotateMerge(documented({
      summary: "Run an agent for an AG-UI client",
      description:
        "Starts a task for the last message of the user, or answers the interrupts of the run before, and streams the run. The same " +
        "`runId` streams the same run from its beginning.",
      parameters: { agentId: { description: "The agent; by default the first of the server." } },
      example: { threadId: "c1", runId: "r1", messages: [{ id: "m1", role: "user", content: "Hello" }] },
      responses: { 200: "The events of the run" },
      event: { type: "TEXT_MESSAGE_CONTENT", messageId: "01a2061b-4b6f-773b-924f-a99c20363c38-3-0", delta: "Hello! " }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "AG-UI", description: "Runs for clients of AG-UI." }))
{}

/**
 * The endpoint with the middleware of the whole API.
 *
 * @since 0.1.0
 * @category api
 */
export class AgUiApi extends HttpApi.make("perennial")
  .add(AgUiGroup)
  .middleware(Problems.RefusalLimit)
  .middleware(Problems.RequestProblems)
{}
