/** One answer of a model: its chunks become events at once, its end makes one whole message. */
import { AgentError, type Emit } from "@perennial/domain/Agent"
import type { AssistantMessage } from "@perennial/domain/Message"
import type * as Usage from "@perennial/domain/Usage"
import { Array, Channel, Clock, Context, Duration, Effect, Pull } from "effect"
import { AiError, type LanguageModel, Prompt, type Response, type Tool, type Toolkit } from "effect/ai"
import * as ModelError from "../../ModelError.ts"
import {
  CurrentAnswerForm,
  CurrentModelActivity,
  CurrentModelSettings,
  type ModelSettings
} from "../../ModelSettings.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import { toPromptMessage } from "../history/promptMessages.ts"
import { AnswerParts, type Part, usageOf } from "./answerParts.ts"
import type { Meter } from "./budget.ts"
import type { AskedForm } from "./finalAnswer.ts"
import { IdleTimeout } from "./idleTimeout.ts"
import { emptyAnswer } from "./modelError.ts"
import type { OfferedTools } from "./offeredTools.ts"
import { callsOf } from "./resumePoint.ts"
import { eventRoom } from "./splitAnswer.ts"

export interface ModelAnswerOptions {
  /** Read before every request, because the tools of remote servers change. */
  readonly tools: OfferedTools
  readonly settings: ModelSettings
  /** No sign of life from the model for this long is a failure, and the request is repeated. */
  readonly idleTimeout: Duration.Duration
}

export interface ModelAnswer {
  readonly message: AssistantMessage
  /** Of the request that the prompt was made for, if it was the only request. */
  readonly usage: Usage.Usage | undefined
  readonly finish: Response.FinishReason
}

export interface ModelRequest {
  readonly meter: Meter
  readonly prompt: Prompt.Prompt
  /** The model may not ask for tools any more. */
  readonly last: boolean
  /** The form of the final answer, if the agent promises one. */
  readonly form: AskedForm | undefined
  /** The model has to give its final answer now. */
  readonly isFinal: boolean
  readonly emit: Emit
}

const refused = (finish: Response.FinishPart): AgentError => {
  const category = ModelError.refusalOf(finish.metadata)
  return new AgentError({
    error: "ModelRefused",
    detail: `The model refused to answer${category === undefined ? "" : ` (${category})`}.`,
    retryable: false,
    discardText: true
  })
}

const cutBeforeAnswer = new AgentError({
  error: "AnswerCut",
  detail: "The model reached the maximum length of an answer before it said anything.",
  retryable: false
})

/** How often one answer may be paused (P11). */
const maxPauses = 10

const pausedTooOften = new AgentError({
  error: "ModelPaused",
  detail: `The model paused its answer more than ${maxPauses} times.`,
  retryable: true
})

/** The message has neither text nor calls. */
const isEmpty = ({ content }: AssistantMessage): boolean =>
  content.every((part) => part.type === "reasoning" || (part.type === "text" && part.text.trim() === ""))

/** An answer that is none, although it has ended as it should: another try may bring one. */
const noAnswer = (description: string) =>
  AiError.make({ module: "LlmAgent", method: "request", reason: new AiError.InvalidOutputError({ description }) })

/** A provider that reports a failure of the model as the end of an answer. */
const modelFailed = AiError.make({
  module: "LlmAgent",
  method: "request",
  reason: new AiError.InternalProviderError({ description: "the answer ended with the reason `error`" })
})

const unreachable = (description: string) =>
  AiError.make({
    module: "LlmAgent",
    method: "request",
    reason: new AiError.NetworkError({ reason: "TransportError", method: "POST", url: "", description })
  })

const toolsOf = (
  tools: Readonly<Record<string, Tool.Any>>,
  { form }: ModelRequest
): Readonly<Record<string, Tool.Any>> => form?.type === "tool" ? { ...tools, [form.tool.name]: form.tool } : tools

const toolChoiceOf = (
  tools: Readonly<Record<string, Tool.Any>>,
  { form, isFinal, last }: ModelRequest
): LanguageModel.ToolChoice<never> => {
  // The names of tools are not known as types here.
  if (form?.type === "tool" && isFinal) return { tool: form.tool.name as never }
  return (last || isFinal) && Object.keys(tools).length > 0 ? "none" : "auto"
}

export const makeModelAnswer = (options: ModelAnswerOptions) => {
  const streamOf = (model: LanguageModel.LanguageModel, asked: ModelRequest) => {
    const tools = toolsOf(options.tools.tools, asked)
    // Calls are not resolved by the model service, so only the names and schemas are read.
    const toolkit: Toolkit.WithHandler<{}> = { tools, handle: () => Effect.die("not resolved here") }
    return model.streamText({
      prompt: asked.prompt,
      toolkit,
      toolChoice: toolChoiceOf(tools, asked),
      disableToolCallResolution: true,
      toolCallValidation: "deferred"
    })
  }

  /** Reads until the stream has ended, which is `Cause.Done`. */
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

  /** Reads the whole answer to one request. A model that has fallen silent is interrupted. */
  const request = (
    model: LanguageModel.LanguageModel,
    asked: ModelRequest
  ): Effect.Effect<AnswerParts, AiError.AiError> =>
    Effect.contextWith((context: Context.Context<never>) => {
      const answer = new AnswerParts(eventRoom(Context.get(context, CurrentTaskLimits)))
      const idle = new IdleTimeout(Context.get(context, Clock.Clock), options.idleTimeout)
      const take = (parts: ReadonlyArray<Part>): Effect.Effect<void> => {
        const events = answer.add(parts)
        if (!Array.isReadonlyArrayNonEmpty(events)) return Effect.sync(() => idle.restart())
        // While the events become durable, nothing is expected of the model.
        idle.pause()
        return Effect.map(asked.emit(events), () => idle.restart())
      }
      // The end of the stream is caught within the scope, because spans take the exit of the scope for their own.
      const reading = Effect.scopedWith((scope) =>
        Effect.flatMap(Channel.toPullScoped(streamOf(model, asked).channel, scope), (pull) => read(pull, take)).pipe(
          Pull.catchDone(() => Effect.succeed(answer))
        )
      ).pipe(
        Effect.provideContext(context.pipe(
          Context.add(CurrentModelSettings, options.settings),
          Context.add(CurrentAnswerForm, asked.form?.type === "native" ? asked.form.form : undefined),
          Context.add(CurrentModelActivity, () => idle.touch())
        ))
      )
      const silent = Effect.flatMap(
        idle.expired,
        () =>
          Effect.fail(unreachable(`no sign of life from the model for ${Duration.toMillis(options.idleTimeout)} ms`))
      )
      return Effect.raceFirst(reading, silent)
    })

  /**
   * Asks a model. An answer that the model pauses is sent back, to be continued, until the answer is whole. There are no
   * generators here, nor in the callers: a task keeps their frames for as long as it waits for the model.
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
    return Effect.flatMap(request(model, { ...asked, prompt }), (parts) => {
      const { finish } = parts
      // Without its `finish` part an answer may be incomplete, and its usage is not known.
      if (finish === undefined) return Effect.fail(unreachable("the answer ended without a `finish` part"))
      const usage = usageOf(finish)
      asked.meter.add(usage)
      const message: AssistantMessage = {
        role: "assistant",
        content: [...before, ...parts.message.content]
      }
      if (finish.reason === "error") return Effect.fail(modelFailed)
      if (finish.reason === "content-filter") return Effect.fail(refused(finish))
      if (finish.reason === "length" && isEmpty(message)) return Effect.fail(cutBeforeAnswer)
      const hasCalls = callsOf(message).length > 0
      if (finish.reason === "tool-calls" && !hasCalls) {
        return Effect.fail(noAnswer("the answer announces calls and has none"))
      }
      if (finish.reason !== "pause" || hasCalls) {
        if (isEmpty(message)) return Effect.fail(noAnswer(emptyAnswer))
        return Effect.succeed({ message, usage: pauses === 0 ? usage : undefined, finish: finish.reason })
      }
      return pauses === maxPauses ? Effect.fail(pausedTooOften) : ask(model, asked, message.content, pauses + 1)
    })
  }

  return (model: LanguageModel.LanguageModel, asked: ModelRequest) => Effect.suspend(() => ask(model, asked))
}
