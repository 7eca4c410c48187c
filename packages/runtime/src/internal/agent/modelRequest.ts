/** One model request of an agent. It is repeated if that can help, with the next model of the chain if there is one. */
import type { AgentError } from "@perennial/domain/Agent"
import { type Array, Clock, Duration, Effect, Random, Result } from "effect"
import { AiError, type LanguageModel, type Prompt } from "effect/ai"
import type { ModelLimits } from "../../ModelSettings.ts"
import type { FinalAnswer } from "./finalAnswer.ts"
import { makeModelAnswer, type ModelAnswer, type ModelAnswerOptions, type ModelRequest } from "./modelAnswer.ts"
import { fromAiError, isTooLong, isUnavailable, modelErrorCode } from "./modelError.ts"
import { fromError } from "./retryAfter.ts"

/** A model of the chain. */
export interface ChainedModel {
  readonly model: LanguageModel.LanguageModel
  /** Undefined if the layer of the model does not provide it. */
  readonly name: string | undefined
  readonly limits: ModelLimits
  /** Undefined if the provider has no structured output. */
  readonly structuredOutput: LanguageModel.CodecTransformer | undefined
}

export interface ChainRequest extends Omit<ModelRequest, "prompt" | "form"> {
  /** The final answer that the agent promises. */
  readonly final: FinalAnswer | undefined
  /** The step of the task that the answer completes, from 1. */
  readonly step: number
  readonly prompt: (limits: ModelLimits) => Prompt.Prompt
  /** A prompt without what the model has refused of the first one. Undefined if it refused something else. */
  readonly amended: (error: AiError.AiError, limits: ModelLimits) => Prompt.Prompt | undefined
}

export interface ModelRequestOptions extends ModelAnswerOptions {
  readonly models: Array.NonEmptyReadonlyArray<ChainedModel>
  readonly retry: {
    /** How often each model repeats a request. */
    readonly times: number
    readonly baseDelay: Duration.Duration
    readonly maxDelay: Duration.Duration
  }
}

/** If a provider asks for a longer pause, the request is not repeated. */
const longestPause = Duration.minutes(10)

const isWorthRetrying = (error: AiError.AiError, retryAfter: Duration.Duration | undefined): boolean =>
  error.isRetryable && (retryAfter === undefined || Duration.isLessThanOrEqualTo(retryAfter, longestPause))

/** A model of the chain during one request. */
interface Candidate extends ChainedModel {
  readonly chained: ChainedModel
  failures: number
  /** The time from which the model may be asked again, in milliseconds. Infinity if it cannot answer this request. */
  readyAt: number
}

/** The chain of models, with the model that the task prefers. */
interface Chain {
  preferred: ChainedModel
}

/** The model that may be asked soonest. Among equals the first of the chain. */
const soonest = (candidates: ReadonlyArray<Candidate>): Candidate | undefined => {
  let found: Candidate | undefined
  for (const candidate of candidates) {
    if (candidate.readyAt < (found?.readyAt ?? Infinity)) found = candidate
  }
  return found
}

/** The requests of one task. The model that has answered a request is asked first for the next one. */
export type TaskRequests = (asked: ChainRequest) => Effect.Effect<ModelAnswer, AgentError>

/** Begins the requests of a task. */
export type ModelRequests = () => TaskRequests

export const makeModelRequest = (options: ModelRequestOptions): ModelRequests => {
  const { models, retry: policy } = options
  const answer = makeModelAnswer(options)

  /** Asks a model once. Readers see when the request begins. */
  const attempt = (chained: ChainedModel, asked: ChainRequest, tryNumber: number, prompt: Prompt.Prompt) => {
    const { model, name, structuredOutput } = chained
    const { emit, final, isFinal, last, meter, step } = asked
    const form = final?.formFor(structuredOutput)
    const begun = emit([{ type: "model_request", step, tryNumber, ...(name === undefined ? {} : { model: name }) }])
    return Effect.flatMap(begun, () => answer(model, { emit, form, isFinal, last, meter, prompt }))
  }

  const pause = Effect.fnUntraced(function*(failures: number) {
    const jitter = yield* Random.nextBetween(0.75, 1)
    return Math.min(Duration.toMillis(policy.baseDelay) * 2 ** (failures - 1), Duration.toMillis(policy.maxDelay)) *
      jitter
  })

  /** Records a failure. Returns false if the request itself is invalid, so that no model can answer it. */
  const failed = Effect.fnUntraced(function*(candidate: Candidate, error: AiError.AiError) {
    candidate.failures++
    const now = yield* Clock.currentTimeMillis
    const retryAfter = fromError(error, now)
    const isRetried = isWorthRetrying(error, retryAfter) && candidate.failures <= policy.times
    // A provider may ask for no pause at all, which would make all repeats at once.
    const wait = Math.max(
      yield* pause(candidate.failures),
      retryAfter === undefined ? 0 : Duration.toMillis(retryAfter)
    )
    candidate.readyAt = isRetried ? now + wait : Infinity
    return error.isRetryable || isUnavailable(error)
  })

  const candidateOf = (chained: ChainedModel): Candidate => ({ ...chained, chained, failures: 0, readyAt: 0 })

  /** Repeats a request whose first try has failed. */
  const retry = Effect.fnUntraced(function*(
    chain: Chain,
    asked: ChainRequest,
    failure: AiError.AiError | AgentError
  ): Effect.fn.Return<ModelAnswer, AgentError> {
    const first = candidateOf(chain.preferred)
    const others = models.filter((model) => model !== chain.preferred)
    const candidates = [first, ...others.map(candidateOf)]
    let current = first
    let error = failure
    let shortened = false
    for (let tryNumber = 2;; tryNumber++) {
      if (!AiError.isAiError(error)) return yield* error
      const tooLong = isTooLong(error)
      let prompt = tooLong && shortened ? undefined : asked.amended(error, current.limits)
      if (prompt !== undefined) {
        shortened ||= tooLong
        yield* asked.emit([{ type: "retry", tryNumber, delayMillis: 0, reason: modelErrorCode(error) }])
      } else {
        const next = (yield* failed(current, error)) ? soonest(candidates) : undefined
        if (next === undefined) {
          yield* Effect.logWarning("The model request failed.", error.message)
          return yield* fromAiError(error)
        }
        const delayMillis = Math.max(0, Math.ceil(next.readyAt - (yield* Clock.currentTimeMillis)))
        yield* Effect.logDebug("The model request is repeated.", error.message)
        yield* asked.emit([{ type: "retry", tryNumber, delayMillis, reason: modelErrorCode(error) }])
        yield* Effect.sleep(delayMillis)
        current = next
        prompt = asked.prompt(current.limits)
      }
      const tried = yield* Effect.result(attempt(current, asked, tryNumber, prompt))
      if (Result.isSuccess(tried)) {
        chain.preferred = current.chained
        return tried.success
      }
      error = tried.failure
    }
  })

  const request = (chain: Chain, asked: ChainRequest): Effect.Effect<ModelAnswer, AgentError> =>
    Effect.catch(
      attempt(chain.preferred, asked, 1, asked.prompt(chain.preferred.limits)),
      (error) => retry(chain, asked, error)
    )

  return (): TaskRequests => {
    const chain: Chain = { preferred: models[0] }
    return (asked) => Effect.suspend(() => request(chain, asked))
  }
}
