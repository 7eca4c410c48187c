/** Maps the errors of the SDK to reasons of `AiError`. */
import { AnthropicError, APIConnectionError, APIConnectionTimeoutError, APIError } from "@anthropic-ai/sdk"
import { type Duration, Schema } from "effect"
import { AiError } from "effect/ai"
import { contextExceeded, unknownModel } from "../../ModelError.ts"
import { fromHeaders } from "../agent/retryAfter.ts"
import { Unreadable } from "./response.ts"

const retryAfter = ({ headers }: APIError, nowMillis: number): Duration.Duration | undefined =>
  fromHeaders((name) => headers?.get(name) ?? "", nowMillis)

/** Adds the `retry-after` of the response, for which the error has no field. */
const internal = (
  { headers, status }: APIError,
  description: string,
  metadata: AiError.ProviderMetadata
): AiError.InternalProviderError => {
  const told: Record<string, string> = {}
  for (const name of ["retry-after", "retry-after-ms"]) {
    const value = headers?.get(name)
    if (value !== null && value !== undefined) told[name] = value
  }
  const http = status === undefined ? {} : { http: { response: { status, headers: told } } }
  return new AiError.InternalProviderError({ description, metadata, ...http })
}

/** The type has precedence over the status, because an error in the middle of a stream has no status. */
const fromApiError = (error: APIError, nowMillis: number): AiError.AiErrorReason => {
  const metadata = { anthropic: { type: error.type, status: error.status ?? null, requestId: error.requestID ?? null } }
  const description = error.apiMessage ?? error.message
  if (error.status === 413) {
    return new AiError.InvalidRequestError({ constraint: contextExceeded, description, metadata })
  }
  switch (error.type) {
    case "rate_limit_error":
      return error.errorCode?.includes("spend_limit") === true
        ? new AiError.QuotaExhaustedError({ metadata })
        : new AiError.RateLimitError({ retryAfter: retryAfter(error, nowMillis), metadata })
    case "billing_error":
      return new AiError.QuotaExhaustedError({ metadata })
    case "authentication_error":
      return new AiError.AuthenticationError({ kind: "InvalidKey", description, metadata })
    case "permission_error":
      return new AiError.AuthenticationError({ kind: "InsufficientPermissions", description, metadata })
    case "overloaded_error":
    case "api_error":
    case "timeout_error":
      return internal(error, description, metadata)
    case "not_found_error":
      return new AiError.InvalidRequestError({ constraint: unknownModel, description, metadata })
    case "invalid_request_error": {
      const constraint = /prompt is too long|context window/i.test(description) ? { constraint: contextExceeded } : {}
      return new AiError.InvalidRequestError({ ...constraint, description, metadata })
    }
    default:
      return fromStatus(error, description, metadata, nowMillis)
  }
}

/** A proxy between us and the API answers without a type. */
const fromStatus = (
  error: APIError,
  description: string,
  metadata: AiError.ProviderMetadata,
  nowMillis: number
): AiError.AiErrorReason => {
  const status = error.status ?? 0
  if (status === 429) return new AiError.RateLimitError({ retryAfter: retryAfter(error, nowMillis), metadata })
  if (status === 408 || status === 409 || status >= 500) {
    return internal(error, description, metadata)
  }
  if (status === 401) return new AiError.AuthenticationError({ kind: "InvalidKey", description, metadata })
  if (status === 402) return new AiError.QuotaExhaustedError({ metadata })
  if (status === 403) {
    return new AiError.AuthenticationError({ kind: "InsufficientPermissions", description, metadata })
  }
  if (status >= 400) return new AiError.InvalidRequestError({ description, metadata })
  return new AiError.UnknownError({ description, metadata })
}

/** A failure of the connection, worth another try. */
export const network = (url: string, description: string, cause?: unknown): AiError.NetworkError =>
  new AiError.NetworkError({
    reason: "TransportError",
    method: "POST",
    url,
    description,
    ...(cause === undefined ? {} : { cause })
  })

/** An answer that fills the context window of the model is a failure. */
export const contextFull = (requestId: string): AiError.InvalidRequestError =>
  new AiError.InvalidRequestError({
    constraint: contextExceeded,
    description: "the answer was cut at the end of the context window",
    metadata: { anthropic: { requestId } }
  })

const WithRequestId = Schema.Struct({
  metadata: Schema.Struct({ anthropic: Schema.Struct({ requestId: Schema.String }) })
})

/** Anthropic's id of the request. */
export const requestIdOf = ({ reason }: AiError.AiError): string =>
  Schema.is(WithRequestId)(reason) ? reason.metadata.anthropic.requestId : "none"

const causeOf = (error: Error): string => error.cause instanceof Error ? error.cause.message : error.message

export const toReason = (error: unknown, url: string, nowMillis: number): AiError.AiErrorReason => {
  if (error instanceof APIConnectionTimeoutError) return network(url, "no response headers in time", error)
  if (error instanceof APIConnectionError) return network(url, causeOf(error), error)
  if (error instanceof APIError) return fromApiError(error, nowMillis)
  if (error instanceof Unreadable) return new AiError.InvalidResponseError({ description: error.message })
  // A body that ends in the middle of an event is read as JSON that was cut.
  if (error instanceof SyntaxError) return network(url, "the response is not JSON", error)
  // fetch throws a bare TypeError("terminated") when the connection is cut in the middle of a body.
  if (error instanceof TypeError) return network(url, causeOf(error), error)
  if (error instanceof AnthropicError) return new AiError.UnknownError({ description: error.message })
  return new AiError.UnknownError({ description: error instanceof Error ? error.message : "not an error" })
}
