/** One answer of a model: its chunks become events as they come, and its end becomes one whole message. */
import { AgentError, type Emit } from "@perennial/domain/Agent"
import type { AssistantMessage } from "@perennial/domain/Message"
import { cutText } from "@perennial/domain/MessagePieces"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import type * as Usage from "@perennial/domain/Usage"
import { Array, Channel, type Clock, Context, Duration, Effect, Fiber, Pull, Schema, Scope } from "effect"
import { AiError, type LanguageModel, Prompt, type Response, type Tool, type Toolkit } from "effect/ai"
import { fromAssistantMessage, toPromptMessage } from "../../History.ts"
import { CurrentModelActivity, CurrentModelSettings, type ModelSettings } from "../../ModelSettings.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import type { Meter } from "./budget.ts"
import { type Idle, IdleTimeout } from "./idleTimeout.ts"
import { callsOf } from "./resumePoint.ts"
import { eventRoom } from "./splitAnswer.ts"

export interface ModelAnswerOptions {
  /** Called before every request, because the tools of remote servers change. */
  readonly tools: () => Readonly<Record<string, Tool.Any>>
  readonly settings: ModelSettings
  readonly clock: Clock.Clock
  /** No sign of life from the model for this long is a failure that is retried. */
  readonly idleTimeout: Duration.Duration
}

export interface ModelAnswer {
  readonly message: AssistantMessage
  /** Of the request that the prompt was made for, if it was the only one. */
  readonly usage: Usage.Usage | undefined
  readonly finish: Response.FinishReason
}

export interface ModelRequest {
  readonly meter: Meter
  readonly prompt: Prompt.Prompt
  /** The model may not ask for tools any more. */
  readonly last: boolean
  readonly emit: Emit
}

type Part = Response.StreamPart<{}, "deferred">

const isDelta = (part: Part): part is Extract<Part, { readonly type: "text-delta" | "reasoning-delta" }> =>
  part.type === "text-delta" || part.type === "reasoning-delta"

/** What one request has received, while it is read. */
class Received implements Idle {
  /** What its message is made of: the deltas of a block as one. */
  readonly parts: Array<Part> = []
  finish: Response.FinishPart | undefined
  waitingSince: number | undefined
  isSilent = false
  /** Reads it. */
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  readonly #clock: Clock.Clock

  constructor(clock: Clock.Clock) {
    this.#clock = clock
    this.wait()
  }

  wait(): void {
    this.waitingSince = this.#clock.currentTimeMillisUnsafe()
  }

  onTimeout(): void {
    this.isSilent = true
    this.fiber?.interruptUnsafe()
  }

  take(parts: ReadonlyArray<Part>, room: number): ReadonlyArray<AgentEvent> {
    const events: Array<AgentEvent> = []
    for (const part of parts) {
      this.#keep(part)
      if (part.type === "finish") this.finish = part
      if (!isDelta(part)) continue
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

  #keep(part: Part): void {
    if (part.type === "tool-params-delta") return
    const last = this.parts.at(-1)
    if (
      isDelta(part) && last?.type === part.type && last.id === part.id && Object.keys(part.metadata).length === 0
    ) this.parts[this.parts.length - 1] = { ...last, delta: last.delta + part.delta }
    else this.parts.push(part)
  }
}

const tokens = (count: number | undefined): number => count === undefined || !(count > 0) ? 0 : Math.round(count)

/** Computes the input tokens for a provider that only reports the total. */
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

/** The number of times that a model may pause one answer (P11). */
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
  const idleTimeout = new IdleTimeout(options.clock, idleMillis)

  const streamOf = (model: LanguageModel.LanguageModel, { last, prompt }: ModelRequest) => {
    const tools = options.tools()
    // Calls are not resolved by the model service, so only the names and schemas are read.
    const toolkit: Toolkit.WithHandler<{}> = { tools, handle: () => Effect.die("not resolved here") }
    return model.streamText({
      prompt,
      toolkit,
      toolChoice: last && Object.keys(tools).length > 0 ? "none" : "auto",
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    })
  }

  /** Reads on until there is no more, which is `Cause.Done`. */
  const read = (
    pull: Pull.Pull<ReadonlyArray<Part>, AiError.AiError>,
    take: (parts: ReadonlyArray<Part>) => Effect.Effect<void>
  ) => {
    const next: Pull.Pull<never, AiError.AiError> = Effect.flatMap(
      pull,
      (parts) => Effect.flatMap(take(parts), () => next)
    )
    return next
  }

  const context = (own: Context.Context<never>, received: Received) =>
    own.pipe(
      Context.add(CurrentModelSettings, options.settings),
      Context.add(CurrentModelActivity, () => {
        if (received.waitingSince !== undefined) received.wait()
      })
    )

  /** Reads in a fiber of its own, so that a silent model can be abandoned. */
  const request = (
    model: LanguageModel.LanguageModel,
    asked: ModelRequest
  ): Effect.Effect<Received, AiError.AiError> =>
    Effect.contextWith((own) =>
      Effect.callback((resume) => {
        const received = new Received(options.clock)
        const room = eventRoom(Context.get(own, CurrentTaskLimits))
        const scope = Scope.makeUnsafe()
        const take = (parts: ReadonlyArray<Part>): Effect.Effect<void> => {
          const events = received.take(parts, room)
          if (!Array.isReadonlyArrayNonEmpty(events)) return Effect.sync(() => received.wait())
          // The model is not late while its events become durable.
          received.waitingSince = undefined
          return Effect.map(asked.emit(events), () => received.wait())
        }
        const reading = Effect.suspend(() =>
          Effect.flatMap(Channel.toPullScoped(streamOf(model, asked).channel, scope), (pull) => read(pull, take))
        )
        const fiber = Effect.runForkWith(context(own, received))(
          Effect.onExit(reading, (exit) => Scope.close(scope, exit))
        )
        received.fiber = fiber
        idleTimeout.begin(received)
        fiber.addObserver((exit) => {
          idleTimeout.end(received)
          resume(
            received.isSilent
              ? Effect.fail(unreachable(`no sign of life from the model for ${idleMillis} ms`))
              : Pull.catchDone(exit, () => Effect.succeed(received))
          )
        })
        return Fiber.interrupt(fiber)
      })
    )

  /**
   * Asks a model. If the model pauses its answer, the answer is sent back, until it is complete. No generator is used here or
   * around it, to save memory: a task holds this effect for as long as it waits for the model.
   */
  const ask = (
    model: LanguageModel.LanguageModel,
    asked: ModelRequest,
    before: ReadonlyArray<AssistantMessage["content"][number]> = [],
    pauses = 0
  ): Effect.Effect<ModelAnswer, AiError.AiError | AgentError> => {
    const exhausted = asked.meter.exhausted()
    if (exhausted !== undefined) return Effect.fail(exhausted)
    const prompt = before.length === 0
      ? asked.prompt
      : Prompt.fromMessages([...asked.prompt.content, toPromptMessage({ role: "assistant", content: before })])
    return Effect.flatMap(request(model, { ...asked, prompt }), (received) => {
      const { finish } = received
      // An answer without its end may be incomplete, and its usage is not known.
      if (finish === undefined) return Effect.fail(unreachable("the answer ended without a `finish` part"))
      const usage = usageOf(finish)
      asked.meter.add(usage)
      const message: AssistantMessage = {
        role: "assistant",
        content: [...before, ...messageOf(received).content]
      }
      if (finish.reason === "content-filter") return Effect.fail(refused(finish))
      if (finish.reason === "length" && isThoughtOnly(message)) return Effect.fail(cutBeforeAnswer)
      if (finish.reason !== "pause" || callsOf(message).length > 0) {
        return Effect.succeed({ message, usage: pauses === 0 ? usage : undefined, finish: finish.reason })
      }
      return pauses === maxPauses ? Effect.fail(pausedTooOften) : ask(model, asked, message.content, pauses + 1)
    })
  }

  return (model: LanguageModel.LanguageModel, asked: ModelRequest) => Effect.suspend(() => ask(model, asked))
}
