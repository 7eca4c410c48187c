/** What models of the AI SDK throw, and report in the middle of a stream, as reasons of `AiError`. */
import type { LanguageModelV4FinishReason } from "@ai-sdk/provider"
import { Data, Duration, Option, Predicate, Schema } from "effect"
import { AiError } from "effect/ai"
import * as ModelError from "../../ModelError.ts"
import { fromHeaders } from "../agent/retryAfter.ts"

/**
 * Each provider package may bring its own copy of `@ai-sdk/provider`, so that classes differ. Errors are recognized by their
 * symbol, as the guards of the SDK do it.
 */
const isSdkError = (name: string) => (error: unknown): error is Error =>
  error instanceof Error && Predicate.hasProperty(error, Symbol.for(`vercel.ai.error.AI_${name}`))

const isApiCallError = isSdkError("APICallError")
const isUnsupported = isSdkError("UnsupportedFunctionalityError")
const isMissingKey = isSdkError("LoadAPIKeyError")
const isJsonParseError = isSdkError("JSONParseError")
const isMalformed = (error: unknown): boolean =>
  isJsonParseError(error) ||
  ["TypeValidationError", "InvalidResponseDataError", "EmptyResponseBodyError"].some((name) => isSdkError(name)(error))

/** What is read of an `APICallError`. */
const Http = Schema.Struct({
  url: Schema.optional(Schema.String),
  statusCode: Schema.optional(Schema.Int),
  responseHeaders: Schema.optional(Schema.Record(Schema.String, Schema.String)),
  responseBody: Schema.optional(Schema.String)
})
type Http = typeof Http.Type
const isHttp = Schema.is(Http)

const network = (url: string, description: string): AiError.NetworkError =>
  new AiError.NetworkError({ reason: "TransportError", method: "POST", url, description })

/** An answer that has ended early, or in a failure of the model. */
export const notAnAnswer = ({ raw, unified }: LanguageModelV4FinishReason): AiError.AiErrorReason | undefined => {
  if (raw === "error" || (unified === "error" && raw !== undefined)) {
    return new AiError.InternalProviderError({ description: raw })
  }
  return unified === "interrupted" || unified === "error" || (unified === "other" && raw === undefined)
    ? network("", "the answer ended before it was complete")
    : undefined
}

// The words of OpenAI, Anthropic, Gemini, Mistral, Bedrock, vLLM and llama.cpp.
const tooLong =
  /context.?length|context.?window|prompt is too long|input is too long|maximum (?:context|number of tokens)|too many (?:input )?tokens|exceeds? the (?:available )?context|too large for model/i
const quota = /insufficient_quota|exceeded your current quota|billing|credit balance|spend.?limit/i
const policy = /content_?filter|content management policy|content_policy|responsibleai|safety_violation/i
const noModel = /model_not_found|not_found_error|models?\/\S+ is not found|model .{0,80}(?:does not exist|not found)/i
const noKey = /api.?key not valid|invalid api key|incorrect api key/i
const rateLimit = /rate.?limit|too many requests|resource_exhausted/i
const badFile =
  /\b(?:image|pdf|document|audio|video|file)s?\b.{0,80}(?:process|unsupported|not supported|invalid|corrupt|not valid|exceed|fetch|download|decode|read)|(?:process|unsupported|invalid|corrupt|read|decode|download|fetch).{0,80}\b(?:image|pdf|document|audio|video|file|media type)s?\b/i

/** Google writes the wait into the body: `"retryDelay": "3.5s"`. */
const fromBody = (text: string): Duration.Duration | undefined => {
  const seconds = /"retryDelay":\s*"([\d.]+)s"/.exec(text)?.[1]
  return seconds === undefined ? undefined : Duration.seconds(Number.parseFloat(seconds))
}

/** Gemini calls its limits of requests a minute a quota as well, and says how long to wait. */
const isMomentary = (text: string): boolean =>
  !/per.?day/i.test(text) && (fromBody(text) !== undefined || /per.?minute/i.test(text))

interface Failure {
  /** Undefined in the middle of a stream. */
  readonly status: number | undefined
  readonly text: string
  readonly headers: Readonly<Record<string, string>>
}

const invalid = (text: string, description: string): AiError.InvalidRequestError => {
  const constraint = badFile.test(text) ? { constraint: ModelError.fileRefused } : {}
  return new AiError.InvalidRequestError({ ...constraint, description })
}

const internal = ({ headers, status }: Failure, description: string): AiError.InternalProviderError => {
  const told = Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith("retry-after")))
  return new AiError.InternalProviderError({
    description,
    ...(status === undefined ? {} : { http: { response: { status, headers: told } } })
  })
}

const isOneOf = (status: number | undefined, ...statuses: ReadonlyArray<number | undefined>) =>
  statuses.includes(status)

/** The status decides where it is clear. The words decide among the meanings of one status, and in the middle of a stream. */
const fromFailure = (failure: Failure, nowMillis: number): AiError.AiErrorReason => {
  const { headers, status, text } = failure
  const description = `${status ?? "stream"}: ${text.slice(0, 500)}`
  if (status === 413 || (isOneOf(status, 400, 422, undefined) && tooLong.test(text))) {
    return new AiError.InvalidRequestError({ constraint: ModelError.contextExceeded, description })
  }
  if (status === 402 || (isOneOf(status, 400, 403, 429, undefined) && quota.test(text) && !isMomentary(text))) {
    return new AiError.QuotaExhaustedError({})
  }
  if (status === 429 || (status === undefined && rateLimit.test(text))) {
    const retryAfter = fromHeaders((name) => headers[name] ?? "", nowMillis) ?? fromBody(text)
    return new AiError.RateLimitError({ retryAfter })
  }
  if (status === 401 || (status === 400 && noKey.test(text))) {
    return new AiError.AuthenticationError({ kind: "InvalidKey", description })
  }
  if (isOneOf(status, 400, 403, 422, undefined) && policy.test(text)) {
    return new AiError.ContentPolicyError({ description })
  }
  if (status === 403) return new AiError.AuthenticationError({ kind: "InsufficientPermissions", description })
  if (status === 404 || (status === 400 && noModel.test(text))) {
    return new AiError.InvalidRequestError({ constraint: ModelError.unknownModel, description })
  }
  if (status === undefined || status >= 500 || status === 408 || status === 409) return internal(failure, description)
  return status >= 400 ? invalid(text, description) : new AiError.InvalidResponseError({ description })
}

const toJson = Schema.encodeUnknownOption(Schema.fromJsonString(Schema.Unknown))

const textOf = (value: unknown): string => Option.getOrElse(toJson(value), () => "no description")

const wordsOf = (error: unknown): string => {
  if (Predicate.isString(error)) return error
  return error instanceof Error ? error.message : textOf(error)
}

/** An error that a provider has sent in the middle of a stream, with the status that its package derives. */
const isStreamError = Schema.is(Schema.Struct({ message: Schema.String, statusCode: Schema.Int }))

/** A failure that is not mapped yet. */
export class Thrown extends Data.TaggedError("Thrown")<{ readonly error: unknown }> {}

export const toReason = (error: unknown, nowMillis: number): AiError.AiErrorReason => {
  const words = wordsOf(error)
  if (isApiCallError(error)) {
    const http: Http = isHttp(error) ? error : {}
    const { responseBody = "", responseHeaders = {}, statusCode: status, url = "" } = http
    const text = `${words} ${responseBody}`
    // A connection that is cut in the middle of a body is reported with the status of the response.
    const cut = status === undefined || (status < 400 && !isMalformed(error.cause))
    return cut ? network(url, text) : fromFailure({ status, text, headers: responseHeaders }, nowMillis)
  }
  if (isStreamError(error)) {
    return fromFailure({ status: error.statusCode, text: textOf(error), headers: {} }, nowMillis)
  }
  if (isUnsupported(error)) return invalid(words, words)
  if (isMissingKey(error)) return new AiError.AuthenticationError({ kind: "MissingKey", description: words })
  // A body that ends in the middle of an event is read as JSON that was cut; chat completions report their early end so.
  if (isJsonParseError(error) || /ended without a finish reason/.test(words)) return network("", words)
  if (isMalformed(error)) return new AiError.InvalidResponseError({ description: words.slice(0, 500) })
  // `fetch` and its body throw a bare TypeError when the connection is cut.
  if (error instanceof TypeError) return network("", wordsOf(error.cause ?? error))
  return fromFailure({ status: undefined, text: words, headers: {} }, nowMillis)
}
