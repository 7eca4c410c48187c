/**
 * Errors as A2A says them: a code of JSON-RPC, or a status of HTTP with a `google.rpc.Status`.
 *
 * @since 0.1.0
 */
import { Effect, Layer, Schema } from "effect"
import { HttpServerResponse } from "effect/http"
import { HttpApiMiddleware } from "effect/http-api"

/** The errors of A2A: the code of JSON-RPC, the status of HTTP, and its name. */
const reasons = {
  TASK_NOT_FOUND: [-32001, 404, "NOT_FOUND"],
  TASK_NOT_CANCELABLE: [-32002, 400, "FAILED_PRECONDITION"],
  PUSH_NOTIFICATION_NOT_SUPPORTED: [-32003, 400, "FAILED_PRECONDITION"],
  UNSUPPORTED_OPERATION: [-32004, 400, "FAILED_PRECONDITION"],
  CONTENT_TYPE_NOT_SUPPORTED: [-32005, 415, "INVALID_ARGUMENT"],
  EXTENDED_AGENT_CARD_NOT_CONFIGURED: [-32007, 400, "FAILED_PRECONDITION"],
  VERSION_NOT_SUPPORTED: [-32009, 400, "FAILED_PRECONDITION"],
  INVALID_PARAMS: [-32602, 400, "INVALID_ARGUMENT"],
  // A2A has no name for it: there each agent has a URL of its own.
  AGENT_NOT_FOUND: [-32602, 404, "NOT_FOUND"]
} as const

/**
 * @since 0.1.0
 * @category models
 */
export type Reason = keyof typeof reasons

/**
 * A request that A2A has an error for.
 *
 * @since 0.1.0
 * @category errors
 */
export class A2aRefusal extends Schema.TaggedError<A2aRefusal>()("A2aRefusal", {
  reason: Schema.String,
  detail: Schema.String
}) {
  override get message() {
    return this.detail
  }
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const refuse = (reason: Reason, detail: string): A2aRefusal => new A2aRefusal({ reason, detail })

/** What problems are for A2A. Others have no name there. */
const reasonOf: { readonly [tag: string]: Reason } = {
  TaskNotFound: "TASK_NOT_FOUND",
  ConversationNotFound: "TASK_NOT_FOUND",
  EventsExpired: "TASK_NOT_FOUND",
  WebhookNotFound: "TASK_NOT_FOUND",
  AlreadyDecided: "UNSUPPORTED_OPERATION",
  UnsupportedMediaType: "CONTENT_TYPE_NOT_SUPPORTED",
  InvalidRequest: "INVALID_PARAMS",
  AgentNotFound: "AGENT_NOT_FOUND",
  IdempotencyConflict: "INVALID_PARAMS",
  MessageNotFound: "INVALID_PARAMS",
  ToolCallNotFound: "INVALID_PARAMS"
}

/** The names of statuses that problems have. */
const statusNames: { readonly [status: number]: string } = {
  400: "INVALID_ARGUMENT",
  401: "UNAUTHENTICATED",
  403: "PERMISSION_DENIED",
  404: "NOT_FOUND",
  409: "ABORTED",
  413: "OUT_OF_RANGE",
  429: "RESOURCE_EXHAUSTED",
  500: "INTERNAL",
  503: "UNAVAILABLE"
}

interface Failure {
  readonly _tag?: string
  readonly reason?: string
  readonly status?: number
  readonly title?: string
  readonly detail?: string
}

const constantCase = (tag: string): string => tag.replace(/(?<=.)([A-Z])/g, "_$1").toUpperCase()

/** Every failure, in the words of A2A. */
const describe = (failure: unknown) => {
  const { _tag = "InternalError", detail, reason, status = 500, title = "The request failed." }: Failure = Object(
    failure
  )
  const known = _tag === "A2aRefusal" ? reason : reasonOf[_tag]
  const message = detail ?? title
  if (known !== undefined && Object.hasOwn(reasons, known)) {
    const [code, http, name] = reasons[known as Reason]
    const domain = known === "AGENT_NOT_FOUND" ? "perennial" : "a2a-protocol.org"
    return { code, http, name, reason: known, domain, message }
  }
  const name = statusNames[status] ?? "UNKNOWN"
  const code = status === 500 ? -32603 : -32000
  return { code, http: status, name, reason: constantCase(_tag), domain: "perennial", message }
}

const detailsOf = ({ domain, reason }: { readonly domain: string; readonly reason: string }) => [
  { "@type": "type.googleapis.com/google.rpc.ErrorInfo", reason, domain }
]

/**
 * The id of a request of JSON-RPC.
 *
 * @since 0.1.0
 * @category models
 */
export type RequestId = string | number | null

/**
 * An error of JSON-RPC: with status 200, unless another is given.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toRpcError = (id: RequestId, failure: unknown, status = 200) => {
  const described = describe(failure)
  const error = { code: described.code, message: described.message, data: detailsOf(described) }
  return HttpServerResponse.jsonUnsafe({ jsonrpc: "2.0", id, error }, { status })
}

/**
 * An error of the protocol of JSON-RPC itself.
 *
 * @since 0.1.0
 * @category encoding
 */
export const protocolError = (id: RequestId, code: -32700 | -32600 | -32601, message: string) =>
  HttpServerResponse.jsonUnsafe({ jsonrpc: "2.0", id, error: { code, message } })

/**
 * An error of the HTTP+JSON binding.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toHttpError = (failure: unknown) => {
  const described = describe(failure)
  const { http: code, message, name: status } = described
  return HttpServerResponse.jsonUnsafe({ error: { code, status, message, details: detailsOf(described) } }, {
    status: code
  })
}

/**
 * Answers what fails before an endpoint is reached as the endpoint itself answers errors.
 *
 * @since 0.1.0
 * @category middleware
 */
export class A2aErrors extends HttpApiMiddleware.Service<A2aErrors>()("@perennial/http/A2aErrors") {}

/** JSON-RPC tells a body that is no JSON from one that is no request. */
const toResponse = (problem: unknown, endpoint: string) => {
  if (endpoint !== "call") return toHttpError(problem)
  const { _tag, detail = "", status = 500 }: Failure = Object(problem)
  if (_tag !== "InvalidRequest") return toRpcError(null, problem, status)
  return protocolError(null, detail.includes("Expected a valid JSON body") ? -32700 : -32600, detail)
}

/**
 * @since 0.1.0
 * @category layers
 */
export const layerErrors: Layer.Layer<A2aErrors> = Layer.succeed(
  A2aErrors,
  (handler, { endpoint }) =>
    Effect.catch(handler, (problem) => Effect.succeed(toResponse(problem, endpoint.identifier)))
)

const detail = {
  type: "object",
  required: ["@type", "reason", "domain"],
  properties: { "@type": { type: "string" }, reason: { type: "string" }, domain: { type: "string" } }
}

/**
 * The schema of errors of the HTTP+JSON binding, for the OpenAPI document.
 *
 * @since 0.1.0
 * @category documentation
 */
export const httpErrorSchema = {
  type: "object",
  required: ["error"],
  properties: {
    error: {
      type: "object",
      required: ["code", "status", "message"],
      properties: {
        code: { type: "integer" },
        status: { type: "string" },
        message: { type: "string" },
        details: { type: "array", items: detail }
      }
    }
  }
}

/**
 * The schema of errors of JSON-RPC, for the OpenAPI document.
 *
 * @since 0.1.0
 * @category documentation
 */
export const rpcErrorSchema = {
  type: "object",
  required: ["jsonrpc", "id", "error"],
  properties: {
    jsonrpc: { type: "string", enum: ["2.0"] },
    id: { type: ["string", "integer", "null"] },
    error: {
      type: "object",
      required: ["code", "message"],
      properties: { code: { type: "integer" }, message: { type: "string" }, data: { type: "array", items: detail } }
    }
  }
}
