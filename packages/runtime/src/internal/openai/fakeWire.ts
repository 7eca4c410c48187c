/** Errors of OpenAI's API, and what both of its formats share. */
import type { Action, Answer, Failure, FailureKind, HttpReply, Usage } from "../../FakeReply.ts"

interface OpenAiError {
  readonly status: number
  readonly type: string
  readonly code: string | null
  readonly message: string
}

const errors: Readonly<Record<FailureKind, OpenAiError>> = {
  "rate-limited": {
    status: 429,
    type: "requests",
    code: "rate_limit_exceeded",
    message: "Rate limit reached for requests"
  },
  overloaded: { status: 503, type: "server_error", code: null, message: "The engine is currently overloaded" },
  internal: { status: 500, type: "server_error", code: "server_error", message: "The server had an error" },
  unauthorized: {
    status: 401,
    type: "invalid_request_error",
    code: "invalid_api_key",
    message: "Incorrect API key provided"
  },
  forbidden: { status: 403, type: "invalid_request_error", code: null, message: "Country not supported" },
  quota: {
    status: 429,
    type: "insufficient_quota",
    code: "insufficient_quota",
    message: "You exceeded your current quota, please check your plan and billing details"
  },
  "unknown-model": {
    status: 404,
    type: "invalid_request_error",
    code: "model_not_found",
    message: "The model `x` does not exist or you do not have access to it"
  },
  "too-long": {
    status: 400,
    type: "invalid_request_error",
    code: "context_length_exceeded",
    message: "Your input exceeds the context window of this model"
  },
  refused: {
    status: 400,
    type: "invalid_request_error",
    code: "content_policy_violation",
    message: "Your request was rejected as a result of our safety system"
  },
  "unreadable-file": {
    status: 400,
    type: "invalid_request_error",
    code: "invalid_image_format",
    message: "You uploaded an unsupported image"
  },
  invalid: { status: 400, type: "invalid_request_error", code: null, message: "Unknown parameter: 'x'" }
}

/** An error without its status, as streams have it. */
export const streamError = (kind: FailureKind) => {
  const { code, message, type } = errors[kind]
  return { type, code, message, param: null }
}

export const failure = ({ failure: kind, retryAfterSeconds }: Failure): HttpReply => ({
  status: errors[kind].status,
  headers: retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) },
  body: { error: streamError(kind) }
})

export const invalid = (message: string): HttpReply => ({
  status: 400,
  body: { error: { message, type: "invalid_request_error", param: null, code: null } }
})

/** The tokens of an answer that does not say how many it has. */
export const usageOf = ({ actions, usage }: Answer, body: unknown): Usage =>
  usage ?? {
    input: Math.ceil(JSON.stringify(body).length / 4),
    cached: 0,
    output: actions.reduce((sum, action) => sum + ("text" in action ? action.text.length : 1), 0),
    reasoning: 0
  }

/** The calls among the actions, broken ones included. */
export const callOf = (
  action: Action
): { readonly id: string; readonly name: string; readonly json: string } | undefined => {
  if ("brokenCall" in action) return action.brokenCall
  if (!("call" in action)) return undefined
  const { args, id, name } = action.call
  return { id, name, json: JSON.stringify(args) }
}
