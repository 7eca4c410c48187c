/**
 * Failures of a model as users see them: a stable code and one sentence. The texts of the provider may quote headers or the
 * prompt, so they stay in `cause` and in the log.
 */
import { AgentError } from "@perennial/domain/Agent"
import type { AiError } from "effect/ai"
import * as ModelError from "../../ModelError.ts"

/** The description of an `InvalidOutputError` for an answer that has neither text nor calls. */
export const emptyAnswer = "the answer has neither text nor calls"

const describe = (reason: AiError.AiErrorReason): readonly [error: string, detail: string] => {
  switch (reason._tag) {
    case "RateLimitError":
      return ["ModelRateLimited", "The model provider accepts no more requests for now."]
    case "InternalProviderError":
      return ["ModelOverloaded", "The model provider is overloaded or has an internal problem."]
    case "NetworkError":
      return ["ModelUnreachable", "The connection to the model provider failed."]
    case "QuotaExhaustedError":
      return ["ModelQuotaExhausted", "The account at the model provider has reached its limit."]
    case "AuthenticationError":
      return reason.kind === "InsufficientPermissions"
        ? ["ModelForbidden", "The key may not use this model."]
        : ["ModelUnauthorized", "The model provider does not accept the key."]
    case "ContentPolicyError":
      return ["ModelRefused", "The model provider refused the content."]
    case "InvalidRequestError":
      if (reason.constraint === ModelError.contextExceeded) {
        return ["ContextTooLong", "The conversation is too long for the model."]
      }
      if (reason.constraint === ModelError.fileRefused) {
        return ["FileRefused", "The model provider does not accept a file of the conversation."]
      }
      return reason.constraint === ModelError.unknownModel
        ? ["ModelNotFound", "The model provider does not know the model."]
        : ["ModelRequestInvalid", "The model provider did not accept the request."]
    case "InvalidOutputError":
      return reason.description === emptyAnswer
        ? ["AnswerEmpty", "The model ended its answer without saying anything."]
        : ["ModelResponseInvalid", "The answer of the model provider could not be read."]
    case "InvalidResponseError":
    case "StructuredOutputError":
      return ["ModelResponseInvalid", "The answer of the model provider could not be read."]
    case "InvalidUserInputError":
    case "UnsupportedSchemaError":
    case "ToolConfigurationError":
    case "ToolkitRequiredError":
      return ["ModelRequestInvalid", "The request cannot be sent to this model."]
    default:
      return ["ModelFailed", "The model request failed."]
  }
}

/** Whether the failure is about the model, not about the request: another model may answer the same request. */
export const isUnavailable = ({ reason }: AiError.AiError): boolean =>
  reason._tag === "AuthenticationError" || reason._tag === "QuotaExhaustedError" ||
  reason._tag === "InvalidResponseError" ||
  (reason._tag === "InvalidRequestError" && reason.constraint === ModelError.unknownModel)

/** The prompt, or the prompt and its answer, are larger than the model's context window. */
export const isTooLong = ({ reason }: AiError.AiError): boolean =>
  reason._tag === "InvalidRequestError" && reason.constraint === ModelError.contextExceeded

/** The model cannot read a file of the prompt. */
export const isFileRefused = ({ reason }: AiError.AiError): boolean =>
  reason._tag === "InvalidRequestError" && reason.constraint === ModelError.fileRefused

/** The position of that file in the prompt, if the provider knows it. */
export const refusedFileOf = ({ reason }: AiError.AiError) =>
  reason._tag === "InvalidRequestError" ? ModelError.refusedFileOf(reason.metadata) : undefined

/** The code that `retry` events and failed tasks carry. */
export const modelErrorCode = (error: AiError.AiError): string => describe(error.reason)[0]

export const fromAiError = (error: AiError.AiError): AgentError => {
  const [code, detail] = describe(error.reason)
  return new AgentError({ error: code, detail, retryable: error.isRetryable, cause: error })
}
