/**
 * The HTTP API as a schema: server, typed client, OpenAPI and docs page derive from it. Runs in a browser.
 *
 * PROTOCOL.md says the same for clients in other languages.
 *
 * @since 0.1.0
 */
import { DecisionInput } from "@perennial/domain/Decision"
import { EventPlaceFromString } from "@perennial/domain/EventPlace"
import { AgentId, ConversationId, TaskId } from "@perennial/domain/Ids"
import { StartInput } from "@perennial/domain/StartInput"
import { Task, TaskCounts } from "@perennial/domain/Task"
import { StoredEvent } from "@perennial/domain/TaskEvent"
import { Throughput } from "@perennial/domain/Throughput"
import { Schema, Struct } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { AccountApi } from "./AccountApi.ts"
import { AgentsApi } from "./AgentsApi.ts"
import { Authorization, Public } from "./Authorization.ts"
import { ConversationsApi } from "./ConversationsApi.ts"
import { FeedApi } from "./FeedApi.ts"
import {
  cancelBody,
  describeLimit,
  describeTask,
  describeThroughput,
  lastEventId,
  limit,
  longest,
  page
} from "./internal/apiParts.ts"
import * as examples from "./internal/examples.ts"
import { documented, integer } from "./internal/openApi.ts"
import { documentedApi } from "./internal/openApiDocument.ts"
import { describePlace, lastPlace, PlaceFrame } from "./internal/placeParts.ts"
import { describeKey, idempotencyKey, Started, startErrors } from "./internal/startParts.ts"
import { describeTaskQuery, taskQuery } from "./internal/taskQuery.ts"
import { TimedEventJson } from "./internal/timedEvent.ts"
import { OperatorApi } from "./OperatorApi.ts"
import * as Problems from "./Problems.ts"
import { TicketsApi } from "./TicketsApi.ts"
import { UsersApi } from "./UsersApi.ts"
import { WebhooksApi } from "./WebhooksApi.ts"

/**
 * What starts a task: `StartInput`, but the idempotency key is a header, and logs are the server's.
 *
 * @since 0.1.0
 * @category models
 */
export const Start = StartInput.mapFields(Struct.omit(["idempotencyKey", "logContext"])).annotate({
  identifier: "Start"
})

/**
 * Why a task is cancelled; the whole body may be left out.
 *
 * @since 0.1.0
 * @category models
 */
export const Cancel = cancelBody

/**
 * A person's answer to a tool call that waits: `reason` of at most 1,000 characters, `args` of at most 64 Ki of JSON.
 *
 * @since 0.1.0
 * @category models
 */
export const Decide = DecisionInput.annotate({ identifier: "Decide" })

/**
 * One frame of an event stream, decoded: `id` is the event's seq. `data` is the event with the time of its write.
 *
 * @since 0.1.0
 * @category models
 */
export const EventFrame = Schema.Struct({
  id: Schema.NumberFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(1)),
  event: Schema.String,
  data: TimedEventJson
})

/**
 * A page of a task's log: what is stored after the cursor, without waiting for more.
 *
 * @since 0.1.0
 * @category models
 */
export const EventPage = Schema.Struct({
  events: Schema.Array(StoredEvent),
  /** The seq of the newest event of the task. */
  lastSeq: Schema.Natural,
  /** Whether the task has ended: `lastSeq` is its terminal event then. */
  ended: Schema.Boolean
}).annotate({ identifier: "EventPage" })

/**
 * @since 0.1.0
 * @category models
 */
export type EventPage = typeof EventPage.Type

const taskParams = { id: TaskId }

const EventStream = HttpApiSchema.StreamSse({ events: EventFrame })

/**
 * Start, watch and steer tasks.
 *
 * @since 0.1.0
 * @category groups
 */
export class TasksApi extends HttpApiGroup.make("tasks")
  .add(
    HttpApiEndpoint.post("start", "/tasks", {
      headers: { "idempotency-key": idempotencyKey },
      payload: Start,
      success: Started,
      error: startErrors
    }).annotateMerge(documented({
      summary: "Start a task",
      description:
        "Stores the task and answers at once. The task runs in the background. The same request with the same " +
        "`Idempotency-Key` returns the same task.",
      parameters: { "idempotency-key": describeKey },
      example: { message: "Hello" },
      responses: { 201: { description: "The task is stored", example: examples.queued } }
    })),
    HttpApiEndpoint.post("chat", "/chat", {
      headers: { "idempotency-key": idempotencyKey },
      payload: Start,
      success: HttpApiSchema.WithHeaders(EventStream, { location: Schema.String }),
      error: [...startErrors, Problems.TooManyStreams, Problems.TooManyUserStreams]
    }).annotateMerge(documented({
      summary: "Start a task and stream its events",
      description:
        "`POST /tasks` and `GET /tasks/{id}/events` in one request. The header `Location` names the task. After " +
        "a cut, read the other events there.",
      parameters: { "idempotency-key": describeKey },
      example: { message: "Hello" },
      responses: { 200: "The events of the task, from the first event to the last" },
      event: examples.frame
    })),
    HttpApiEndpoint.get("list", "/tasks", {
      query: {
        conversationId: Schema.optionalKey(ConversationId),
        ...taskQuery
      },
      success: page(Task, TaskId),
      error: Problems.Unavailable
    }).annotateMerge(documented({
      summary: "List tasks",
      description: "A page has the tasks that all parameters select. A page without `next` is the last page.",
      parameters: { conversationId: { description: "Only the tasks of this conversation." }, ...describeTaskQuery },
      responses: { 200: { description: "A page of tasks", example: { items: [examples.running] } } }
    })),
    HttpApiEndpoint.get("counts", "/tasks/counts", {
      query: { conversationId: Schema.optionalKey(ConversationId), agentId: Schema.optionalKey(AgentId) },
      success: TaskCounts,
      error: Problems.Unavailable
    }).annotateMerge(documented({
      summary: "Count tasks",
      description: "By status, and those that wait for a person. A number of 1,000 means 1,000 or more.",
      parameters: {
        conversationId: { description: "Only the tasks of this conversation." },
        agentId: { description: "Only the tasks of this agent." }
      },
      responses: { 200: { description: "The numbers of tasks", example: examples.counts } }
    })),
    HttpApiEndpoint.get("throughput", "/tasks/throughput", {
      success: Throughput,
      error: Problems.Unavailable
    }).annotateMerge(documented({
      summary: "Count beginnings and ends of tasks",
      description: describeThroughput,
      responses: { 200: { description: "The minutes, oldest first", example: examples.throughput } }
    })),
    HttpApiEndpoint.get("get", "/tasks/:id", {
      params: taskParams,
      success: Task,
      error: [Problems.TaskNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Read a task",
      description: "The task as it is now. It does not have the events and messages of the task.",
      parameters: { id: describeTask },
      responses: { 200: { description: "The task", example: examples.running } }
    })),
    HttpApiEndpoint.get("tree", "/tasks/:id/tree/events", {
      params: taskParams,
      query: { after: Schema.optionalKey(EventPlaceFromString) },
      headers: { "last-event-id": lastPlace, accept: Schema.optionalKey(Schema.String) },
      success: [HttpApiSchema.StreamSse({ events: PlaceFrame }), HttpApiSchema.NoContent],
      error: [
        Problems.TaskNotFound,
        Problems.CursorAhead,
        Problems.EventsExpired,
        Problems.TooManyStreams,
        Problems.TooManyUserStreams,
        Problems.Unavailable
      ]
    }).annotateMerge(documented({
      summary: "Follow the events of a task and of its child tasks",
      description:
        "Streams the events of the task. The events of a child task come right after the `tool_call` event that names the " +
        "child. The cursor is `<taskId>/<seq>` of an event. The stream ends after the terminal event of the task.",
      parameters: {
        id: describeTask,
        after: { description: "The cursor of the last event that the client has.", ...describePlace },
        "last-event-id": { description: "The same as `after`. If both are sent, this one counts.", ...describePlace }
      },
      responses: {
        200: "Server-Sent Events: the `data` of a frame is an event, and its `id` is `<taskId>/<seq>`",
        204: "The cursor is the terminal event of the task"
      },
      event: examples.frame
    })),
    HttpApiEndpoint.get("events", "/tasks/:id/events", {
      params: taskParams,
      query: { after: Schema.optionalKey(Schema.Natural), limit: limit(longest.events) },
      headers: { "last-event-id": lastEventId, accept: Schema.optionalKey(Schema.String) },
      success: [EventStream, HttpApiSchema.NoContent, EventPage],
      error: [
        Problems.TaskNotFound,
        Problems.CursorAhead,
        Problems.EventsExpired,
        Problems.TooManyStreams,
        Problems.TooManyUserStreams,
        Problems.Unavailable
      ]
    }).annotateMerge(documented({
      summary: "Read the events of a task",
      description:
        "Streams the stored events after the cursor, then new events as they come, up to the terminal event. " +
        "The cursor is `Last-Event-ID`, or else `after`, or else 0. With `Accept: application/json` the answer is one page " +
        "of stored events.",
      parameters: {
        id: describeTask,
        after: { description: "The seq of the last event that the client has; 0 by default.", schema: integer(0) },
        "last-event-id": { description: "The same as `after`. If both are sent, this one counts.", schema: integer(0) },
        limit: describeLimit("events", 256)
      },
      responses: {
        200: {
          description:
            "Server-Sent Events: the `data` of a frame is an event, and its `id` is the seq. Or a page of events",
          example: examples.eventPage
        },
        204: "The task has ended, and the cursor is at its last event"
      },
      event: examples.frame
    })),
    HttpApiEndpoint.post("cancel", "/tasks/:id/cancel", {
      params: taskParams,
      // The second is no body at all.
      payload: [Cancel, Schema.Undefined],
      success: [Task, Task.pipe(HttpApiSchema.status("Accepted"))],
      error: [Problems.TaskNotFound, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Cancel a task",
      description:
        "Waits until the task has ended, but not longer than 10 seconds. A task that has ended stays as it is.",
      parameters: { id: describeTask },
      example: { reason: "No longer needed" },
      bodyIsOptional: true,
      responses: {
        200: { description: "The task has ended, with any status", example: examples.cancelled },
        202: { description: "The cancel is stored, and the task has not ended yet", example: examples.running }
      }
    })),
    HttpApiEndpoint.post("decide", "/tasks/:id/decisions/:toolCallId", {
      params: { id: TaskId, toolCallId: Schema.NonEmptyString },
      payload: Decide,
      success: HttpApiSchema.NoContent,
      error: [Problems.TaskNotFound, Problems.ToolCallNotFound, Problems.AlreadyDecided, Problems.Unavailable]
    }).annotateMerge(documented({
      summary: "Decide about a tool call",
      description:
        "Approves or denies a tool call that waits for a person. The first decision counts. The same decision " +
        "again is accepted.",
      parameters: { id: describeTask, toolCallId: { description: "The `toolCallId` of the event `tool_approval`." } },
      example: { approved: true },
      responses: { 204: "The decision is stored" }
    }))
  )
  .middleware(Problems.RequestLimit)
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Tasks", description: "Start, read and cancel tasks." }))
{}

const Ok = Schema.Struct({ ok: Schema.Literal(true) })

/**
 * What load balancers ask. Needs no token.
 *
 * @since 0.1.0
 * @category groups
 */
export class SystemApi extends HttpApiGroup.make("system")
  .add(
    HttpApiEndpoint.get("health", "/health", { success: Ok })
      .annotateMerge(documented({
        summary: "Check that the process is alive",
        description: "Always answers 200. Needs no token.",
        responses: { 200: { description: "The process is alive", example: { ok: true } } }
      })),
    HttpApiEndpoint.get("ready", "/ready", { success: Ok, error: Problems.Unavailable })
      .annotateMerge(documented({
        summary: "Check that the server is ready",
        description:
          "The server is ready while its store answers within two seconds and accepts writes, and while it is not " +
          "shutting down. Needs no token.",
        responses: { 200: { description: "The server is ready", example: { ok: true } } }
      }))
  )
  .annotateMerge(OpenApi.annotations({ title: "System", description: "Checks for load balancers." }))
  .annotate(Public, true)
{}

/**
 * The whole API.
 *
 * @since 0.1.0
 * @category api
 */
export class Api extends HttpApi.make("perennial")
  .add(TasksApi)
  .add(ConversationsApi)
  .add(FeedApi)
  .add(AgentsApi)
  .add(AccountApi)
  .add(TicketsApi)
  .add(WebhooksApi)
  .add(UsersApi)
  .add(OperatorApi)
  .add(SystemApi)
  .middleware(Problems.RefusalLimit)
  .middleware(Problems.RequestProblems)
  .annotateMerge(documentedApi)
{}
