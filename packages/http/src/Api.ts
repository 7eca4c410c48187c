/**
 * The HTTP API as a schema: server, typed client, OpenAPI and docs page derive from it. Runs in a browser.
 *
 * PROTOCOL.md says the same for clients in other languages.
 *
 * @since 0.1.0
 */
import { Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { DecisionInput } from "@perennial/domain/Decision"
import { ConversationId, MessageId, TaskId } from "@perennial/domain/Ids"
import { IdempotencyKey, RegenerateOptions, StartInput } from "@perennial/domain/StartInput"
import { Task, TaskStatus } from "@perennial/domain/Task"
import { StoredEvent, TaskEvent } from "@perennial/domain/TaskEvent"
import { CancelOptions } from "@perennial/domain/TaskManager"
import { Schema, Struct } from "effect"
import { HttpApi, HttpApiEndpoint, HttpApiGroup, HttpApiSchema, OpenApi } from "effect/http-api"
import { Authorization } from "./Authorization.ts"
import * as Problems from "./Problems.ts"

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
 * How to answer again; the whole body may be left out.
 *
 * @since 0.1.0
 * @category models
 */
export const Regenerate = RegenerateOptions.mapFields(Struct.omit(["idempotencyKey", "logContext"])).annotate({
  identifier: "Regenerate"
})

/**
 * Why a task is cancelled; the whole body may be left out.
 *
 * @since 0.1.0
 * @category models
 */
export const Cancel = CancelOptions.annotate({ identifier: "Cancel" })

/**
 * A person's answer to a tool call that waits: `reason` of at most 1,000 characters, `args` of at most 64 Ki of JSON.
 *
 * @since 0.1.0
 * @category models
 */
export const Decide = DecisionInput.annotate({ identifier: "Decide" })

/**
 * One frame of an event stream, decoded: `id` is the event's seq.
 *
 * @since 0.1.0
 * @category models
 */
export const EventFrame = Schema.Struct({
  id: Schema.NumberFromString.check(Schema.isInt(), Schema.isGreaterThanOrEqualTo(1)),
  event: Schema.String,
  data: Schema.fromJsonString(TaskEvent)
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

const page = <S extends Schema.Top, Id extends Schema.Top>(item: S, next: Id) =>
  Schema.Struct({
    items: Schema.Array(item),
    /** Asks for the page that follows, as `before` or `after`; absent on the last page. */
    next: Schema.optionalKey(next)
  })

const limit = (maximum: number) => Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum })))

const taskParams = { id: TaskId }
const conversationParams = { id: ConversationId }
const idempotencyKey = Schema.optionalKey(IdempotencyKey)

const startErrors = [
  Problems.ConversationBusy,
  Problems.QueueFull,
  Problems.CapacityExceeded,
  Problems.AgentNotFound,
  Problems.ConversationNotFound,
  Problems.MessageNotFound,
  Problems.IdempotencyConflict,
  Problems.Unavailable
] as const

const EventStream = HttpApiSchema.StreamSse({ events: EventFrame })

const Started = HttpApiSchema.WithHeaders(Task.pipe(HttpApiSchema.status("Created")), { location: Schema.String })

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
    }).annotateMerge(OpenApi.annotations({
      title: "Start a task",
      description: "Answers as soon as the task is stored; it runs in the background. Repeating the request with the " +
        "same `Idempotency-Key` returns the same task."
    })),
    HttpApiEndpoint.post("chat", "/chat", {
      headers: { "idempotency-key": idempotencyKey },
      payload: Start,
      success: HttpApiSchema.WithHeaders(EventStream, { location: Schema.String }),
      error: startErrors
    }).annotateMerge(OpenApi.annotations({
      title: "Start a task and stream its events",
      description: "`POST /tasks` and `GET /tasks/{id}/events` in one. `Location` names the task: resume there."
    })),
    HttpApiEndpoint.get("list", "/tasks", {
      query: {
        conversationId: Schema.optionalKey(ConversationId),
        status: Schema.optionalKey(Schema.Array(TaskStatus)),
        before: Schema.optionalKey(TaskId),
        limit: limit(100)
      },
      success: page(Task, TaskId),
      error: Problems.Unavailable
    }).annotateMerge(OpenApi.annotations({ title: "List tasks, newest first", description: "20 a page by default." })),
    HttpApiEndpoint.get("get", "/tasks/:id", {
      params: taskParams,
      success: Task,
      error: [Problems.TaskNotFound, Problems.Unavailable]
    }).annotateMerge(OpenApi.annotations({ title: "Read a task" })),
    HttpApiEndpoint.get("events", "/tasks/:id/events", {
      params: taskParams,
      query: { after: Schema.optionalKey(Schema.Natural), limit: limit(1000) },
      headers: { "last-event-id": Schema.optionalKey(Schema.Natural), accept: Schema.optionalKey(Schema.String) },
      success: [EventStream, HttpApiSchema.NoContent, EventPage],
      error: [Problems.TaskNotFound, Problems.CursorAhead, Problems.EventsExpired, Problems.Unavailable]
    }).annotateMerge(OpenApi.annotations({
      title: "Read the events of a task",
      description: "Streams what the log holds after the cursor, then live, and ends after the terminal event. The " +
        "cursor is `Last-Event-ID`, else `after`, else 0. 204 when the task has ended and the cursor is at its last " +
        "event. With `Accept: application/json` it answers with one page of at most `limit` events (256 by default)."
    })),
    HttpApiEndpoint.post("cancel", "/tasks/:id/cancel", {
      params: taskParams,
      // The second is no body at all.
      payload: [Cancel, Schema.Undefined],
      success: [Task, Task.pipe(HttpApiSchema.status("Accepted"))],
      error: [Problems.TaskNotFound, Problems.Unavailable]
    }).annotateMerge(OpenApi.annotations({
      title: "Cancel a task",
      description: "200 with the task as it ended, whichever way; 202 when it has not ended within 10 seconds."
    })),
    HttpApiEndpoint.post("decide", "/tasks/:id/decisions/:toolCallId", {
      params: { id: TaskId, toolCallId: Schema.NonEmptyString },
      payload: Decide,
      success: HttpApiSchema.NoContent,
      error: [Problems.TaskNotFound, Problems.ToolCallNotFound, Problems.AlreadyDecided, Problems.Unavailable]
    }).annotateMerge(OpenApi.annotations({ title: "Decide about a tool call that waits for approval" }))
  )
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Tasks" }))
{}

/**
 * Read and remove conversations.
 *
 * @since 0.1.0
 * @category groups
 */
export class ConversationsApi extends HttpApiGroup.make("conversations")
  .add(
    HttpApiEndpoint.get("list", "/conversations", {
      query: { before: Schema.optionalKey(ConversationId), limit: limit(100) },
      success: page(Conversation, ConversationId),
      error: Problems.Unavailable
    }).annotateMerge(
      OpenApi.annotations({
        title: "List conversations, newest first",
        description: "By the time they were created. 20 a page by default; `before` is the `next` of the page before."
      })
    ),
    HttpApiEndpoint.get("get", "/conversations/:id", {
      params: conversationParams,
      success: Conversation,
      error: [Problems.ConversationNotFound, Problems.Unavailable]
    }).annotateMerge(OpenApi.annotations({ title: "Read a conversation" })),
    HttpApiEndpoint.get("messages", "/conversations/:id/messages", {
      params: conversationParams,
      query: { after: Schema.optionalKey(MessageId), limit: limit(1000) },
      success: page(StoredMessage, MessageId),
      error: [Problems.ConversationNotFound, Problems.Unavailable]
    }).annotateMerge(
      OpenApi.annotations({
        title: "Read the messages of a conversation, oldest first",
        description: "100 a page by default; fewer, from 8 MiB of files on."
      })
    ),
    HttpApiEndpoint.post("regenerate", "/conversations/:id/regenerate", {
      params: conversationParams,
      headers: { "idempotency-key": idempotencyKey },
      // The second is no body at all.
      payload: [Regenerate, Schema.Undefined],
      success: Started,
      error: startErrors
    }).annotateMerge(OpenApi.annotations({
      title: "Answer the user's last message again",
      description: "Starts a task with the same message, as `POST /tasks` with `replaces` does."
    })),
    HttpApiEndpoint.delete("remove", "/conversations/:id", {
      params: conversationParams,
      success: HttpApiSchema.NoContent,
      error: [Problems.ConversationNotFound, Problems.ConversationBusy, Problems.Unavailable]
    }).annotateMerge(OpenApi.annotations({
      title: "Remove a conversation",
      description: "With its tasks, logs and messages, unless a task of it is active."
    }))
  )
  .middleware(Authorization)
  .annotateMerge(OpenApi.annotations({ title: "Conversations" }))
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
      .annotateMerge(OpenApi.annotations({ title: "The process is alive" })),
    HttpApiEndpoint.get("ready", "/ready", { success: Ok, error: Problems.Unavailable })
      .annotateMerge(OpenApi.annotations({ title: "The store answers and the server is not shutting down" }))
  )
  .annotateMerge(OpenApi.annotations({ title: "System" }))
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
  .add(SystemApi)
  .middleware(Problems.RequestProblems)
  .annotateMerge(OpenApi.annotations({
    title: "Perennial",
    version: "0.1.0",
    description: "Runs conversations with AI agents as durable background tasks."
  }))
{}
