/**
 * What goes wrong, as clients see it: RFC 9457 problems (`application/problem+json`).
 *
 * Every error response of the API is one of these. `type` is the stable name to switch on, `detail` says in a sentence
 * what is wrong and what to do, the other fields carry the values. In the typed client each arrives as a value with the
 * `_tag` of its class.
 *
 * @since 0.1.0
 */
import * as TaskError from "@perennial/domain/TaskError"
import { Schema, Struct } from "effect"
import { HttpApiError, HttpApiMiddleware } from "effect/http-api"

/** The fields of an error of the domain: its problem has the same. */
const fieldsOf = <Fields extends { readonly _tag: Schema.Top }>(error: { readonly fields: Fields }) =>
  Struct.omit(error.fields, ["_tag"])

/**
 * A part of the request does not decode. `errors` names each field: the first segment of `path` is `params`, `query`,
 * `headers` or `payload`. Nothing was stored.
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
 * The request has no token, or one that nobody has.
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
 * The `Host` or `Origin` of the request is not this server's: it may come from another site's page.
 *
 * @since 0.1.0
 * @category problems
 */
export class Forbidden extends HttpApiError.Problem<Forbidden>()("Forbidden", {
  type: "urn:perennial:problem:forbidden",
  status: 403,
  title: "The request comes from a foreign place"
}) {}

/**
 * There is no such task for this user (P12).
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
 * There is no such conversation for this user (P12).
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
 * There is no such message of the user in the conversation; none at all without `messageId`.
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
 * No tool call of this id waits for a decision, or was decided. One whose task ended before anybody decided waits for
 * none.
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
 * The path is none of this API's.
 *
 * @since 0.1.0
 * @category problems
 */
export class RouteNotFound extends HttpApiError.Problem<RouteNotFound>()("RouteNotFound", {
  type: "urn:perennial:problem:route-not-found",
  status: 404,
  title: "There is nothing at this path"
}, { path: Schema.String }) {}

/**
 * The path exists with other methods; the `Allow` header lists them too.
 *
 * @since 0.1.0
 * @category problems
 */
export class MethodNotAllowed extends HttpApiError.Problem<MethodNotAllowed>()("MethodNotAllowed", {
  type: "urn:perennial:problem:method-not-allowed",
  status: 405,
  title: "The path does not know this method"
}, {
  allow: Schema.Array(Schema.String)
}) {}

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
 * As many tasks as allowed wait behind the active one already.
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
 * The tool call was decided otherwise before. The first decision stands.
 *
 * @since 0.1.0
 * @category problems
 */
export class AlreadyDecided extends HttpApiError.Problem<AlreadyDecided>()("AlreadyDecided", {
  type: "urn:perennial:problem:already-decided",
  status: 409,
  title: "The tool call was decided otherwise"
}, fieldsOf(TaskError.AlreadyDecided)) {}

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
 * No agent of this id is registered; `known` lists those that are.
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
 * A bug. The cause is in the server's log, never here (P12).
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
 * This process has as many tasks waiting as it takes. Nothing was stored: try again later.
 *
 * @since 0.1.0
 * @category problems
 */
export class CapacityExceeded extends HttpApiError.Problem<CapacityExceeded>()("CapacityExceeded", {
  type: "urn:perennial:problem:capacity-exceeded",
  status: 503,
  title: "The server takes no more tasks now"
}, fieldsOf(TaskError.CapacityExceeded)) {}

/**
 * The store failed, or the server is shutting down. Whether a write happened is not known: repeat it with the same
 * idempotency key.
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
 * Turns what happens around a handler into problems: a request that does not decode, a body that is too large, a bug.
 *
 * **Details** Declared on the whole API, so that the typed client knows these problems everywhere.
 *
 * @since 0.1.0
 * @category middleware
 */
export class RequestProblems extends HttpApiMiddleware.Service<RequestProblems>()(
  "@perennial/http/Problems/RequestProblems",
  { error: [InvalidRequest, PayloadTooLarge, UnsupportedMediaType, InternalError] }
) {}
