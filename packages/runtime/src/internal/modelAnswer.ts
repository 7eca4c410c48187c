/** One answer of a model: its chunks become events as they come, its end is one whole message. */
import { AgentError, type Emit } from "@perennial/domain/Agent"
import { type AssistantMessage, cutText } from "@perennial/domain/Message"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import type * as Usage from "@perennial/domain/Usage"
import { Array, Clock, Duration, Effect, Schema, Stream } from "effect"
import { AiError, type LanguageModel, Prompt, type Response, type Tool, type Toolkit } from "effect/ai"
import { fromAssistantMessage, toPromptMessage } from "../History.ts"
import { CurrentModelActivity, CurrentModelSettings, type ModelSettings } from "../ModelSettings.ts"
import { callsOf } from "./agentProgress.ts"
import { eventRoom } from "./answerSize.ts"

export interface ModelAnswerOptions {
  /** Asked before every request: the tools of remote servers come and go. */
  readonly tools: () => Readonly<Record<string, Tool.Any>>
  readonly settings: ModelSettings
  /** No sign of life from the model for this long is a failure that is retried. */
  readonly idleTimeout: Duration.Duration
}

export interface ModelAnswer {
  readonly message: AssistantMessage
  /** Of the request that the prompt was made for, if it was the only one. */
  readonly usage: Usage.Usage | undefined
  readonly finish: Response.FinishReason
}

/** What the requests of one step cost. */
export interface Meter {
  readonly add: (usage: Usage.Usage) => void
  /** Why no request may begin any more. */
  readonly exhausted: () => AgentError | undefined
}

export interface ModelRequest {
  readonly meter: Meter
  readonly prompt: Prompt.Prompt
  /** The model may not ask for tools any more. */
  readonly last: boolean
  readonly emit: Emit
}

type Part = Response.StreamPart<{}, "deferred">

/** What one request has received. */
interface Received {
  readonly parts: Array<Part>
  finish: Response.FinishPart | undefined
}

const toEvents = (parts: ReadonlyArray<Part>, received: Received, room: number): ReadonlyArray<AgentEvent> => {
  const events: Array<AgentEvent> = []
  for (const part of parts) {
    received.parts.push(part)
    if (part.type === "finish") received.finish = part
    if (part.type !== "text-delta" && part.type !== "reasoning-delta") continue
    const type = part.type === "text-delta" ? "text" : "reasoning"
    for (const content of part.delta.length <= room ? [part.delta] : cutText(part.delta, room)) {
      const last = events.at(-1)
      if (content === "") continue
      if (last?.type === type && last.content.length + content.length <= room) {
        events[events.length - 1] = { type, content: last.content + content }
      } else events.push({ type, content })
    }
  }
  return events
}

const tokens = (count: number | undefined): number => count === undefined || !(count > 0) ? 0 : Math.round(count)

/** What a provider that only counts all of them leaves to be computed. */
const uncachedOf = ({ cacheRead, cacheWrite, total }: Response.FinishPart["usage"]["inputTokens"]): number =>
  tokens(total) - tokens(cacheRead) - tokens(cacheWrite)

const usageOf = ({ usage }: Response.FinishPart): Usage.Usage => ({
  requests: 1,
  inputTokens: tokens(usage.inputTokens.uncached ?? uncachedOf(usage.inputTokens)),
  cacheReadTokens: tokens(usage.inputTokens.cacheRead),
  cacheWriteTokens: tokens(usage.inputTokens.cacheWrite),
  outputTokens: tokens(usage.outputTokens.total),
  reasoningTokens: tokens(usage.outputTokens.reasoning)
})

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

const cutBeforeAnswer = new AgentError({
  error: "AnswerCut",
  detail: "The model reached the maximum length of an answer before it said anything.",
  retryable: false
})

/** A model that does nothing but pause is not asked on and on (P11). */
const maxPauses = 10

const pausedTooOften = new AgentError({
  error: "ModelPaused",
  detail: `The model paused its answer more than ${maxPauses} times.`,
  retryable: true
})

const isThoughtOnly = (message: AssistantMessage): boolean => message.content.every((part) => part.type === "reasoning")

const unreachable = (description: string) =>
  AiError.make({
    module: "LlmAgent",
    method: "request",
    reason: new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "", description })
  })

export const makeModelAnswer = (options: ModelAnswerOptions) => {
  const idleMillis = Duration.toMillis(options.idleTimeout)

  const request = Effect.fnUntraced(
    function*(model: LanguageModel.LanguageModel, { emit, last, prompt }: ModelRequest) {
      const received: Received = { parts: [], finish: undefined }
      const room = yield* eventRoom
      const tools = options.tools()
      // Calls are not resolved by the model service, so only the names and schemas are read.
      const toolkit: Toolkit.WithHandler<{}> = { tools, handle: () => Effect.die("not resolved here") }
      const clock = yield* Clock.Clock
      // A timestamp and one watching fiber, not a timer for every part.
      let waitingSince: number | undefined = clock.currentTimeMillisUnsafe()
      const wait = () => {
        waitingSince = clock.currentTimeMillisUnsafe()
      }
      const consume = model.streamText({
        prompt,
        toolkit,
        toolChoice: last && Object.keys(tools).length > 0 ? "none" : "auto",
        disableToolCallResolution: true,
        toolCallValidation: "deferred"
      }).pipe(
        Stream.runForEachArray((parts) => {
          const events = toEvents(parts, received, room)
          if (!Array.isReadonlyArrayNonEmpty(events)) return Effect.sync(wait)
          // While the events become durable nobody waits for the model.
          waitingSince = undefined
          return Effect.map(emit(events), wait)
        }),
        Effect.provideService(CurrentModelSettings, options.settings),
        Effect.provideService(CurrentModelActivity, () => {
          if (waitingSince !== undefined) wait()
        })
      )
      const watch: Effect.Effect<never, AiError.AiError> = Effect.suspend(() => {
        const left = waitingSince === undefined
          ? idleMillis
          : waitingSince + idleMillis - clock.currentTimeMillisUnsafe()
        return left > 0
          ? Effect.flatMap(Effect.sleep(left), () => watch)
          : Effect.fail(unreachable(`no sign of life from the model for ${idleMillis} ms`))
      })
      yield* Effect.raceFirst(consume, watch)
      // Without its end an answer may be half of one, and what it has cost is not known.
      if (received.finish === undefined) return yield* unreachable("the answer ended without a `finish` part")
      return { ...received, finish: received.finish }
    }
  )

  /** Asks a model. An answer that it pauses is handed back to it, to be continued, until it is whole. */
  return Effect.fnUntraced(function*(
    model: LanguageModel.LanguageModel,
    asked: ModelRequest
  ): Effect.fn.Return<ModelAnswer, AiError.AiError | AgentError> {
    let message: AssistantMessage = { role: "assistant", content: [] }
    for (let pauses = 0; pauses <= maxPauses; pauses++) {
      const prompt = message.content.length === 0
        ? asked.prompt
        : Prompt.fromMessages([...asked.prompt.content, toPromptMessage(message)])
      const exhausted = asked.meter.exhausted()
      if (exhausted !== undefined) return yield* exhausted
      const received = yield* request(model, { ...asked, prompt })
      const { finish } = received
      const usage = usageOf(finish)
      asked.meter.add(usage)
      message = { role: "assistant", content: [...message.content, ...messageOf(received).content] }
      if (finish.reason === "content-filter") return yield* refused(finish)
      if (finish.reason === "length" && isThoughtOnly(message)) return yield* cutBeforeAnswer
      if (finish.reason !== "pause" || callsOf(message).length > 0) {
        return { message, usage: pauses === 0 ? usage : undefined, finish: finish.reason }
      }
    }
    return yield* pausedTooOften
  })
}
