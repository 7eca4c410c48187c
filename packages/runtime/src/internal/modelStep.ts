/** One model request: its chunks become events as they come, its end is one whole message. Failed requests are repeated. */
import { AgentError, type Emit } from "@perennial/domain/Agent"
import type { AssistantMessage } from "@perennial/domain/Message"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import type { Usage } from "@perennial/domain/Usage"
import * as UsageOf from "@perennial/domain/Usage"
import { Array, Clock, Duration, Effect, Random, Schema, Stream } from "effect"
import { AiError, type LanguageModel, Prompt, type Response, type Tool, type Toolkit } from "effect/ai"
import { fromAssistantMessage } from "../History.ts"
import { CurrentModelSettings, type ModelSettings } from "../ModelSettings.ts"
import { fromAiError, modelErrorCode } from "./modelError.ts"

export interface ModelStepOptions {
  readonly model: LanguageModel.LanguageModel
  /** Asked before every request: the tools of remote servers come and go. */
  readonly tools: () => Readonly<Record<string, Tool.Any>>
  readonly settings: ModelSettings
  readonly retry: {
    readonly times: number
    readonly baseDelay: Duration.Duration
    readonly maxDelay: Duration.Duration
  }
  /** No part of the answer for this long is a failure that is retried. */
  readonly idleTimeout: Duration.Duration
}

export interface ModelStep {
  readonly message: AssistantMessage
  readonly usage: Usage
  readonly finish: Response.FinishReason
}

type Part = Response.StreamPart<{}, "deferred">

/** What one try has received. */
interface Received {
  readonly parts: Array<Part>
  finish: Response.FinishPart | undefined
}

const toEvents = (parts: ReadonlyArray<Part>, received: Received): ReadonlyArray<AgentEvent> => {
  const events: Array<AgentEvent> = []
  for (const part of parts) {
    received.parts.push(part)
    if (part.type === "finish") received.finish = part
    if (part.type !== "text-delta" && part.type !== "reasoning-delta") continue
    if (part.delta === "") continue
    const type = part.type === "text-delta" ? "text" : "reasoning"
    const last = events.at(-1)
    if (last?.type === type) events[events.length - 1] = { type, content: last.content + part.delta }
    else events.push({ type, content: part.delta })
  }
  return events
}

const tokens = (count: number | undefined): number => count === undefined || !(count > 0) ? 0 : Math.round(count)

const usageOf = (finish: Response.FinishPart | undefined): Usage =>
  finish === undefined ? { ...UsageOf.zero, requests: 1 } : {
    requests: 1,
    inputTokens: tokens(finish.usage.inputTokens.uncached ?? finish.usage.inputTokens.total),
    cacheReadTokens: tokens(finish.usage.inputTokens.cacheRead),
    cacheWriteTokens: tokens(finish.usage.inputTokens.cacheWrite),
    outputTokens: tokens(finish.usage.outputTokens.total),
    reasoningTokens: tokens(finish.usage.outputTokens.reasoning)
  }

const messageOf = (received: Received): AssistantMessage => {
  const assistant = Prompt.fromResponseParts(received.parts).content.find((message) => message.role === "assistant")
  return assistant === undefined ? { role: "assistant", content: [] } : fromAssistantMessage(assistant)
}

const Refusal = Schema.Struct({ anthropic: Schema.Struct({ refusal: Schema.Struct({ category: Schema.String }) }) })

const refused = (finish: Response.FinishPart): AgentError => {
  const category = Schema.is(Refusal)(finish.metadata) ? ` (${finish.metadata.anthropic.refusal.category})` : ""
  return new AgentError({
    error: "ModelRefused",
    detail: `The model refused to answer${category}.`,
    retryable: false,
    discardText: true
  })
}

/** A provider that asks for a longer pause than this is not waited for. */
const longestPause = Duration.minutes(10)

const isWorthRetrying = (error: AiError.AiError): boolean =>
  error.isRetryable &&
  (error.retryAfter === undefined || Duration.isLessThanOrEqualTo(error.retryAfter, longestPause))

const network = (description: string) =>
  AiError.make({
    module: "LlmAgent",
    method: "request",
    reason: new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "", description })
  })

export const makeModelStep = (options: ModelStepOptions) => {
  const { model, retry } = options
  const idleMillis = Duration.toMillis(options.idleTimeout)

  const request = (prompt: Prompt.Prompt, last: boolean, emit: Emit) =>
    Effect.gen(function*() {
      const received: Received = { parts: [], finish: undefined }
      const tools = options.tools()
      // Calls are not resolved by the model service, so only the names and schemas are read.
      const toolkit: Toolkit.WithHandler<{}> = { tools, handle: () => Effect.die("not resolved here") }
      const clock = yield* Clock.Clock
      // A timestamp and one watching fiber, not a timer for every part.
      let waitingSince: number | undefined = clock.currentTimeMillisUnsafe()
      const consume = model.streamText({
        prompt,
        toolkit,
        toolChoice: last && Object.keys(tools).length > 0 ? "none" : "auto",
        disableToolCallResolution: true,
        toolCallValidation: "deferred"
      }).pipe(
        Stream.runForEachArray((parts) => {
          const events = toEvents(parts, received)
          if (!Array.isReadonlyArrayNonEmpty(events)) {
            waitingSince = clock.currentTimeMillisUnsafe()
            return Effect.void
          }
          // While the events become durable nobody waits for the model.
          waitingSince = undefined
          return Effect.map(emit(events), () => {
            waitingSince = clock.currentTimeMillisUnsafe()
          })
        }),
        Effect.provideService(CurrentModelSettings, options.settings)
      )
      const watch: Effect.Effect<never, AiError.AiError> = Effect.suspend(() => {
        const left = waitingSince === undefined
          ? idleMillis
          : waitingSince + idleMillis - clock.currentTimeMillisUnsafe()
        return left > 0
          ? Effect.flatMap(Effect.sleep(left), () => watch)
          : Effect.fail(network(`nothing came from the model for ${idleMillis} ms`))
      })
      yield* Effect.raceFirst(consume, watch)
      return received
    })

  const delayMillis = Effect.fnUntraced(function*(error: AiError.AiError, failures: number) {
    if (error.retryAfter !== undefined) return Duration.toMillis(error.retryAfter)
    const jitter = yield* Random.nextBetween(0.75, 1)
    return Math.min(Duration.toMillis(retry.baseDelay) * 2 ** (failures - 1), Duration.toMillis(retry.maxDelay)) *
      jitter
  })

  /** `last`: the model may not ask for tools any more. */
  return Effect.fn("LlmAgent.request")(function*(
    prompt: Prompt.Prompt,
    last: boolean,
    emit: Emit
  ): Effect.fn.Return<ModelStep, AgentError> {
    for (let failures = 0;;) {
      const tried = yield* Effect.result(request(prompt, last, emit))
      if (tried._tag === "Success") {
        const { finish } = tried.success
        if (finish?.reason === "content-filter") return yield* refused(finish)
        return {
          message: messageOf(tried.success),
          usage: usageOf(finish),
          finish: finish?.reason ?? "unknown"
        }
      }
      const error = tried.failure
      failures++
      if (!isWorthRetrying(error) || failures > retry.times) {
        yield* Effect.logWarning("The model request failed.", error.message)
        return yield* fromAiError(error)
      }
      const delay = Math.ceil(yield* delayMillis(error, failures))
      yield* Effect.logDebug("The model request is repeated.", error.message)
      yield* emit([{ type: "retry", tryNumber: failures + 1, delayMillis: delay, reason: modelErrorCode(error) }])
      yield* Effect.sleep(delay)
    }
  })
}
