/** Maps the errors of the SDK to reasons of `AiError`. */
import { AnthropicError, APIConnectionError, APIConnectionTimeoutError, APIError } from "@anthropic-ai/sdk"
import { type Duration, Schema } from "effect"
import { AiError } from "effect/ai"
import * as ModelError from "../../ModelError.ts"
import { fromHeaders } from "../agent/retryAfter.ts"
import type { BuiltRequest } from "./request.ts"
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
    return new AiError.InvalidRequestError({ constraint: ModelError.contextExceeded, description, metadata })
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
      return new AiError.InvalidRequestError({ constraint: ModelError.unknownModel, description, metadata })
    case "invalid_request_error":
      return invalidRequest(description, metadata)
    default:
      return fromStatus(error, description, metadata, nowMillis)
  }
}

/** The credit of the account is used up: the API says so with the same status and type as of a wrong request. */
const isQuota = (description: string): boolean =>
  /credit balance|billing|insufficient[_ ](?:quota|credit|fund|balance)/i.test(description)

/** The API cannot read an image or a document, or finds it too large. Not all descriptions say where the file is. */
const isFileRefusal = (description: string): boolean =>
  /^messages\.\d+\.content\.\d+\.(?:image|document|pdf)\b|\b(?:image|pdf|document)\b.*(?:process|exceed|valid|match|appears|protected|read|support)|(?:process|read).*\b(?:image|pdf|document)\b/i
    .test(description)

const invalidRequest = (description: string, metadata: AiError.ProviderMetadata): AiError.AiErrorReason => {
  if (isQuota(description)) return new AiError.QuotaExhaustedError({ metadata })
  const constraint = /prompt is too long|context window/i.test(description)
    ? ModelError.contextExceeded
    : isFileRefusal(description)
    ? ModelError.fileRefused
    : undefined
  return new AiError.InvalidRequestError({
    ...(constraint === undefined ? {} : { constraint }),
    description,
    metadata
  })
}

/** The file of the prompt that the API refused, if its description says where the file is in the request. */
export const withRefusedFile = (error: AiError.AiError, { fileAt }: Pick<BuiltRequest, "fileAt">): AiError.AiError => {
  const { reason } = error
  if (reason._tag !== "InvalidRequestError" || reason.constraint !== ModelError.fileRefused) return error
  const [, message, block] = /^messages\.(\d+)\.content\.(\d+)/.exec(reason.description ?? "") ?? []
  const position = message === undefined ? undefined : fileAt(Number(message), Number(block))
  if (position === undefined) return error
  const { constraint, description } = reason
  const metadata = { ...reason.metadata, ...ModelError.refusedFile(position) }
  return AiError.make({
    module: error.module,
    method: error.method,
    reason: new AiError.InvalidRequestError({ constraint, description, metadata })
  })
}

/** The tool that the API refused, by its position in the request. */
export const refusedTool = ({ reason }: AiError.AiError): number | undefined => {
  const [, at] = reason._tag === "InvalidRequestError" ? /^tools\.(\d+)\b/.exec(reason.description ?? "") ?? [] : []
  return at === undefined ? undefined : Number(at)
}

/** A proxy between us and the API answers without a type. */
const fromStatus = (
  error: APIError,
  description: string,
  metadata: AiError.ProviderMetadata,
  nowMillis: number
): AiError.AiErrorReason => {
  const { status } = error
  // In the middle of a stream: what it means is not known, and another try costs little.
  if (status === undefined) return internal(error, description, metadata)
  if (status >= 400 && status < 500 && isQuota(`${error.type ?? ""} ${description}`)) {
    return new AiError.QuotaExhaustedError({ metadata })
  }
  if (status === 429) return new AiError.RateLimitError({ retryAfter: retryAfter(error, nowMillis), metadata })
  if (status === 408 || status === 409 || status >= 500) {
    return internal(error, description, metadata)
  }
  if (status === 401) return new AiError.AuthenticationError({ kind: "InvalidKey", description, metadata })
  if (status === 402) return new AiError.QuotaExhaustedError({ metadata })
  if (status === 403) {
    return new AiError.AuthenticationError({ kind: "InsufficientPermissions", description, metadata })
  }
  if (status >= 400) return invalidRequest(description, metadata)
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
    constraint: ModelError.contextExceeded,
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
