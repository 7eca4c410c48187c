/**
 * The errors of the API: RFC 9457 problems (`application/problem+json`).
 *
 * Every error response is one of these classes. `type` is the stable name by which clients decide. `detail` is a sentence
 * that says what is wrong and what to do. The other fields have the values. In the typed client each problem is a value with
 * the `_tag` of its class.
 *
 * @since 0.1.0
 */
import * as TaskError from "@perennial/domain/TaskError"
import { WebhookId } from "@perennial/domain/Webhook"
import { Schema, Struct } from "effect"
import { HttpApiError, HttpApiMiddleware } from "effect/http-api"

/** The fields of an error of the domain. Its problem has the same fields. */
const fieldsOf = <Fields extends { readonly _tag: Schema.Top }>(error: { readonly fields: Fields }) =>
  Struct.omit(error.fields, ["_tag"])

/**
 * A part of the request is malformed. `errors` names each field: the first segment of `path` is `params`, `query`, `headers`
 * or `payload`. Nothing was stored.
 *
 * @since 0.1.0
 * @category problems
 */
export class InvalidRequest extends HttpApiError.Problem<InvalidRequest>()("InvalidRequest", {
  type: "urn:perennial:problem:invalid-request",
  status: 400,
  title: "The request is malformed"
}, { errors: Schema.Array(HttpApiError.ProblemIssue) }) {}

/**
 * The request has no token, or its token is not valid.
 *
 * @since 0.1.0
 * @category problems
 */
export class Unauthorized extends HttpApiError.Problem<Unauthorized>()("Unauthorized", {
  type: "urn:perennial:problem:unauthorized",
  status: 401,
  title: "A valid token is required"
}) {}

/**
 * The `Host` or the `Origin` of the request is not that of this server: a page of another site may have sent the request.
 * The detail has the headers that were compared.
 *
 * @since 0.1.0
 * @category problems
 */
export class Forbidden extends HttpApiError.Problem<Forbidden>()("Forbidden", {
  type: "urn:perennial:problem:forbidden",
  status: 403,
  title: "The host or the origin of the request is not accepted"
}) {}

/**
 * Only a principal with the role `operator` may do this.
 *
 * @since 0.1.0
 * @category problems
 */
export class OperatorOnly extends HttpApiError.Problem<OperatorOnly>()("OperatorOnly", {
  type: "urn:perennial:problem:operator-only",
  status: 403,
  title: "Only an operator may do this"
}) {}

/**
 * The user has no task of this id (P12).
 *
 * @since 0.1.0
 * @category problems
 */
export class TaskNotFound extends HttpApiError.Problem<TaskNotFound>()("TaskNotFound", {
  type: "urn:perennial:problem:task-not-found",
  status: 404,
  title: "There is no such task"
}, fieldsOf(TaskError.TaskNotFound)) {}

/**
 * The user has no conversation of this id (P12).
 *
 * @since 0.1.0
 * @category problems
 */
export class ConversationNotFound extends HttpApiError.Problem<ConversationNotFound>()("ConversationNotFound", {
  type: "urn:perennial:problem:conversation-not-found",
  status: 404,
  title: "There is no such conversation"
}, fieldsOf(TaskError.ConversationNotFound)) {}

/**
 * The conversation has no message of the user with this id. Without `messageId`: it has no message of the user.
 *
 * @since 0.1.0
 * @category problems
 */
export class MessageNotFound extends HttpApiError.Problem<MessageNotFound>()("MessageNotFound", {
  type: "urn:perennial:problem:message-not-found",
  status: 404,
  title: "There is no such message of the user"
}, fieldsOf(TaskError.MessageNotFound)) {}

/**
 * No tool call of this id waits for a decision or was decided. After the end of its task a call waits for no decision.
 *
 * @since 0.1.0
 * @category problems
 */
export class ToolCallNotFound extends HttpApiError.Problem<ToolCallNotFound>()("ToolCallNotFound", {
  type: "urn:perennial:problem:tool-call-not-found",
  status: 404,
  title: "No such tool call waits for a decision"
}, fieldsOf(TaskError.ToolCallNotFound)) {}

/**
 * The user has no webhook of this id (P12).
 *
 * @since 0.1.0
 * @category problems
 */
export class WebhookNotFound extends HttpApiError.Problem<WebhookNotFound>()("WebhookNotFound", {
  type: "urn:perennial:problem:webhook-not-found",
  status: 404,
  title: "There is no such webhook"
}, { webhookId: WebhookId }) {}

/**
 * The API has no such path.
 *
 * @since 0.1.0
 * @category problems
 */
export class RouteNotFound extends HttpApiError.Problem<RouteNotFound>()("RouteNotFound", {
  type: "urn:perennial:problem:route-not-found",
  status: 404,
  title: "There is no such path"
}, { path: Schema.String }) {}

/**
 * The path accepts other methods. The header `Allow` lists them, too.
 *
 * @since 0.1.0
 * @category problems
 */
export class MethodNotAllowed extends HttpApiError.Problem<MethodNotAllowed>()("MethodNotAllowed", {
  type: "urn:perennial:problem:method-not-allowed",
  status: 405,
  title: "The path does not accept this method"
}, { allow: Schema.Array(Schema.String) }) {}

/**
 * The conversation has an active task (P2). Wait for `activeTaskId`, cancel it, or start with another `onBusy`.
 *
 * @since 0.1.0
 * @category problems
 */
export class ConversationBusy extends HttpApiError.Problem<ConversationBusy>()("ConversationBusy", {
  type: "urn:perennial:problem:conversation-busy",
  status: 409,
  title: "The conversation has an active task"
}, fieldsOf(TaskError.ConversationBusy)) {}

/**
 * The largest number of tasks already waits in the conversation.
 *
 * @since 0.1.0
 * @category problems
 */
export class QueueFull extends HttpApiError.Problem<QueueFull>()("QueueFull", {
  type: "urn:perennial:problem:queue-full",
  status: 409,
  title: "Too many tasks wait in the conversation"
}, fieldsOf(TaskError.QueueFull)) {}

/**
 * The user has the largest number of webhooks. Remove one of them.
 *
 * @since 0.1.0
 * @category problems
 */
export class TooManyWebhooks extends HttpApiError.Problem<TooManyWebhooks>()("TooManyWebhooks", {
  type: "urn:perennial:problem:too-many-webhooks",
  status: 409,
  title: "The user has too many webhooks"
}, { limit: Schema.Natural }) {}

/**
 * Another decision about the tool call was recorded before. The first decision counts.
 *
 * @since 0.1.0
 * @category problems
 */
export class AlreadyDecided extends HttpApiError.Problem<AlreadyDecided>()("AlreadyDecided", {
  type: "urn:perennial:problem:already-decided",
  status: 409,
  title: "The tool call has another decision"
}, fieldsOf(TaskError.AlreadyDecided)) {}

/**
 * The user has started tasks during the whole erasure. Take the credentials of the user away, and repeat the request.
 *
 * @since 0.1.0
 * @category problems
 */
export class UserStillActive extends HttpApiError.Problem<UserStillActive>()("UserStillActive", {
  type: "urn:perennial:problem:user-still-active",
  status: 409,
  title: "The user still starts tasks"
}, fieldsOf(TaskError.UserStillActive)) {}

/**
 * The log of the task was removed by retention. The messages of its conversation are still there.
 *
 * @since 0.1.0
 * @category problems
 */
export class EventsExpired extends HttpApiError.Problem<EventsExpired>()("EventsExpired", {
  type: "urn:perennial:problem:events-expired",
  status: 410,
  title: "The events of the task have expired"
}, fieldsOf(TaskError.EventsExpired)) {}

/**
 * The body is larger than `limitBytes`.
 *
 * @since 0.1.0
 * @category problems
 */
export class PayloadTooLarge extends HttpApiError.Problem<PayloadTooLarge>()("PayloadTooLarge", {
  type: "urn:perennial:problem:payload-too-large",
  status: 413,
  title: "The body is too large"
}, { limitBytes: Schema.Natural }) {}

/**
 * The body is not `application/json`.
 *
 * @since 0.1.0
 * @category problems
 */
export class UnsupportedMediaType extends HttpApiError.Problem<UnsupportedMediaType>()("UnsupportedMediaType", {
  type: "urn:perennial:problem:unsupported-media-type",
  status: 415,
  title: "The body has an unsupported media type"
}) {}

/**
 * No agent of this id is registered. `known` lists the registered agents.
 *
 * @since 0.1.0
 * @category problems
 */
export class AgentNotFound extends HttpApiError.Problem<AgentNotFound>()("AgentNotFound", {
  type: "urn:perennial:problem:agent-not-found",
  status: 422,
  title: "There is no such agent"
}, fieldsOf(TaskError.AgentNotFound)) {}

/**
 * The idempotency key was used before with another request.
 *
 * @since 0.1.0
 * @category problems
 */
export class IdempotencyConflict extends HttpApiError.Problem<IdempotencyConflict>()("IdempotencyConflict", {
  type: "urn:perennial:problem:idempotency-conflict",
  status: 422,
  title: "The idempotency key was used with another request"
}, fieldsOf(TaskError.IdempotencyConflict)) {}

/**
 * The cursor is beyond the end of the log: it belongs to another task, or the log was reset.
 *
 * @since 0.1.0
 * @category problems
 */
export class CursorAhead extends HttpApiError.Problem<CursorAhead>()("CursorAhead", {
  type: "urn:perennial:problem:cursor-ahead",
  status: 422,
  title: "The cursor is beyond the end of the log"
}, fieldsOf(TaskError.CursorAhead)) {}

/**
 * The user has the largest number of open event streams. Nothing was stored: close one, or try again after `Retry-After`.
 *
 * @since 0.1.0
 * @category problems
 */
export class TooManyUserStreams extends HttpApiError.Problem<TooManyUserStreams>()("TooManyUserStreams", {
  type: "urn:perennial:problem:too-many-user-streams",
  status: 429,
  title: "The user has too many open event streams"
}, { limit: Schema.Natural }) {}

/**
 * The user has the largest number of active tasks. Nothing was stored: start again when one has ended, or cancel one.
 *
 * @since 0.1.0
 * @category problems
 */
export class TooManyActiveTasks extends HttpApiError.Problem<TooManyActiveTasks>()("TooManyActiveTasks", {
  type: "urn:perennial:problem:too-many-active-tasks",
  status: 429,
  title: "The user has too many active tasks"
}, fieldsOf(TaskError.TooManyActiveTasks)) {}

/**
 * The user has made too many requests, or an address without a valid token. Try again after `retryAfterSeconds`.
 *
 * @since 0.1.0
 * @category problems
 */
export class RateLimited extends HttpApiError.Problem<RateLimited>()("RateLimited", {
  type: "urn:perennial:problem:rate-limited",
  status: 429,
  title: "Too many requests"
}, { limit: Schema.Natural, retryAfterSeconds: Schema.Natural }) {}

/**
 * The server has a bug. Only the log of the server has the cause (P12).
 *
 * @since 0.1.0
 * @category problems
 */
export class InternalError extends HttpApiError.Problem<InternalError>()("InternalError", {
  type: "urn:perennial:problem:internal-error",
  status: 500,
  title: "Something went wrong on the server"
}) {}

/**
 * This process already has the largest number of waiting tasks. Nothing was stored: try again later.
 *
 * @since 0.1.0
 * @category problems
 */
export class CapacityExceeded extends HttpApiError.Problem<CapacityExceeded>()("CapacityExceeded", {
  type: "urn:perennial:problem:capacity-exceeded",
  status: 503,
  title: "The server accepts no more tasks now"
}, fieldsOf(TaskError.CapacityExceeded)) {}

/**
 * The largest number of event streams is open. Try again after `Retry-After`. All other requests are answered.
 *
 * @since 0.1.0
 * @category problems
 */
export class TooManyStreams extends HttpApiError.Problem<TooManyStreams>()("TooManyStreams", {
  type: "urn:perennial:problem:too-many-streams",
  status: 503,
  title: "The server opens no more event streams now"
}, { limit: Schema.Natural }) {}

/**
 * The server cannot answer in time. A write may or may not have happened: repeat it with the same idempotency key.
 *
 * @since 0.1.0
 * @category problems
 */
export class Unavailable extends HttpApiError.Problem<Unavailable>()("Unavailable", {
  type: "urn:perennial:problem:unavailable",
  status: 503,
  title: "The server cannot answer now"
}) {}

/**
 * Turns failures around a handler into problems: a request that is malformed, too large or not answered in time, a bug.
 *
 * **Details** The whole API declares it, so that the typed client knows these problems for every endpoint.
 *
 * @since 0.1.0
 * @category middleware
 */
export class RequestProblems extends HttpApiMiddleware.Service<RequestProblems>()(
  "@perennial/http/Problems/RequestProblems",
  { error: [InvalidRequest, PayloadTooLarge, UnsupportedMediaType, InternalError, Unavailable] }
) {}

/**
 * Counts the requests of each user. It must be inside `Authorization`, which finds the user. `RateLimit` has the limits.
 *
 * @since 0.1.0
 * @category middleware
 */
export class RequestLimit extends HttpApiMiddleware.Service<RequestLimit>()("@perennial/http/Problems/RequestLimit", {
  error: RateLimited
}) {}

/**
 * Counts the requests of each address that are answered 401. Users behind one proxy with valid tokens are not affected.
 *
 * @since 0.1.0
 * @category middleware
 */
export class RefusalLimit extends HttpApiMiddleware.Service<RefusalLimit>()("@perennial/http/Problems/RefusalLimit", {
  error: RateLimited
}) {}
