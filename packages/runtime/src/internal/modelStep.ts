/** One model request of an agent: repeated where that can help, by the next model of the chain where there is one. */
import type { AgentError } from "@perennial/domain/Agent"
import { type Array, Clock, Duration, Effect, Random, Result } from "effect"
import { AiError, type LanguageModel, type Prompt } from "effect/ai"
import type { ModelLimits } from "../ModelSettings.ts"
import { makeModelAnswer, type ModelAnswer, type ModelAnswerOptions, type ModelRequest } from "./modelAnswer.ts"
import { fromAiError, isTooLong, isUnavailable, modelErrorCode } from "./modelError.ts"
import { fromError } from "./retryAfter.ts"
import { withSpan } from "./spans.ts"

/** A model of the chain. */
export interface Member {
  readonly model: LanguageModel.LanguageModel
  readonly limits: ModelLimits
}

export interface ModelStepRequest extends Omit<ModelRequest, "prompt"> {
  readonly prompt: (limits: ModelLimits) => Prompt.Prompt
  /** When the prompt was too long; nothing if it cannot be shortened. */
  readonly shorter: (limits: ModelLimits) => Prompt.Prompt | undefined
}

export interface ModelStepOptions extends ModelAnswerOptions {
  readonly models: Array.NonEmptyReadonlyArray<Member>
  readonly retry: {
    /** Repeats by each model. */
    readonly times: number
    readonly baseDelay: Duration.Duration
    readonly maxDelay: Duration.Duration
  }
}

/** A provider that asks for a longer pause than this is not waited for. */
const longestPause = Duration.minutes(10)

const isWorthRetrying = (error: AiError.AiError, retryAfter: Duration.Duration | undefined): boolean =>
  error.isRetryable && (retryAfter === undefined || Duration.isLessThanOrEqualTo(retryAfter, longestPause))

/** A model of the chain during one request. */
interface Candidate extends Member {
  readonly member: Member
  failures: number
  /** When it may be asked again, in milliseconds; never if it cannot answer this request. */
  readyAt: number
}

/** The models as one task has come to know them. */
interface Chain {
  preferred: Member
}

/** The one that may be asked first; among several the first of the chain. */
const soonest = (candidates: ReadonlyArray<Candidate>): Candidate | undefined => {
  let found: Candidate | undefined
  for (const candidate of candidates) {
    if (candidate.readyAt < (found?.readyAt ?? Infinity)) found = candidate
  }
  return found
}

export const makeModelStep = (options: ModelStepOptions) => {
  const { models, retry } = options
  const answer = makeModelAnswer(options)

  const pause = Effect.fnUntraced(function*(failures: number) {
    const jitter = yield* Random.nextBetween(0.75, 1)
    return Math.min(Duration.toMillis(retry.baseDelay) * 2 ** (failures - 1), Duration.toMillis(retry.maxDelay)) *
      jitter
  })

  /** Takes note of a failure. False: it is the request that is wrong, and no model can answer it. */
  const failed = Effect.fnUntraced(function*(candidate: Candidate, error: AiError.AiError) {
    candidate.failures++
    const now = yield* Clock.currentTimeMillis
    const retryAfter = fromError(error, now)
    const again = isWorthRetrying(error, retryAfter) && candidate.failures <= retry.times
    const wait = retryAfter === undefined ? yield* pause(candidate.failures) : Duration.toMillis(retryAfter)
    candidate.readyAt = again ? now + wait : Infinity
    return error.isRetryable || isUnavailable(error)
  })

  const candidateOf = (member: Member): Candidate => ({ ...member, member, failures: 0, readyAt: 0 })

  /** Asks again, after a first failure. */
  const again = Effect.fnUntraced(function*(
    chain: Chain,
    asked: ModelStepRequest,
    failure: AiError.AiError | AgentError
  ): Effect.fn.Return<ModelAnswer, AgentError> {
    const first = candidateOf(chain.preferred)
    const others = models.filter((member) => member !== chain.preferred)
    const candidates = [first, ...others.map(candidateOf)]
    let current = first
    let error = failure
    let shortened = false
    for (let tryNumber = 2;; tryNumber++) {
      if (!AiError.isAiError(error)) return yield* error
      let prompt = isTooLong(error) && !shortened ? asked.shorter(current.limits) : undefined
      if (prompt !== undefined) {
        shortened = true
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
      const tried = yield* Effect.result(answer(current.model, { ...asked, prompt }))
      if (Result.isSuccess(tried)) {
        chain.preferred = current.member
        return tried.success
      }
      error = tried.failure
    }
  })

  const step = (chain: Chain, asked: ModelStepRequest): Effect.Effect<ModelAnswer, AgentError> => {
    const { limits, model } = chain.preferred
    return Effect.catch(
      answer(model, { ...asked, prompt: asked.prompt(limits) }),
      (error) => again(chain, asked, error)
    )
  }

  /** The requests of one task: the model that has answered one is asked first for the next. */
  return () => {
    const chain: Chain = { preferred: models[0] }
    return (asked: ModelStepRequest) => withSpan(Effect.suspend(() => step(chain, asked)), "LlmAgent.request")
  }
}
