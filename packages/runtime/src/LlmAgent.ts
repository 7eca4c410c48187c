/**
 * The agent that most applications want: a loop of model requests and tool calls.
 *
 * Each step is one model request and the tools it asked for. A complete message is durable before its tools run, a tool
 * call before its tool is entered, a result as soon as it is there; what a journal shows as finished is not repeated
 * (P10). What goes wrong in a tool is told to the model and never ends the task.
 *
 * @since 0.1.0
 */
import {
  type Agent,
  type AgentError,
  type AgentInput,
  type AgentResult,
  Agents,
  type Emit
} from "@perennial/domain/Agent"
import { AgentId } from "@perennial/domain/Ids"
import type { Message, ToolCallPart, ToolResultPart, UserMessage } from "@perennial/domain/Message"
import * as Settlement from "@perennial/domain/Settlement"
import type { Metadata } from "@perennial/domain/Task"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import { Array, Clock, Context, Duration, Effect, Layer, Option, Result, type Scope } from "effect"
import { LanguageModel, Prompt, type Tool, type Toolkit } from "effect/ai"
import { type AgentHooks, withErrorHook, withEventHook } from "./AgentHooks.ts"
import * as AgentTools from "./AgentTools.ts"
import type { TitleMaker } from "./ConversationTitle.ts"
import { budgetExceeded, Meter } from "./internal/agent/budget.ts"
import { toJson } from "./internal/agent/json.ts"
import type { ModelAnswer } from "./internal/agent/modelAnswer.ts"
import { type ChainedModel, makeModelRequest } from "./internal/agent/modelRequest.ts"
import { PromptFitting } from "./internal/agent/promptFitting.ts"
import { callsOf, noPast, type ResumePoint, resumePoint } from "./internal/agent/resumePoint.ts"
import { eventRoom, fitIntoEvents, messageEvents } from "./internal/agent/splitAnswer.ts"
import { makeToolCalls, resultPart } from "./internal/agent/toolCalls.ts"
import { withSpan } from "./internal/spans.ts"
import * as ModelSettings from "./ModelSettings.ts"
import { TaskData } from "./TaskData.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface AgentConfig<Tools extends Record<string, Tool.Any> = {}> extends ModelSettings.ModelSettings {
  readonly agentId: string
  readonly systemPrompt: string
  /** Model requests of one task, at least 1; 6 by default. The last one may not ask for tools, so that it answers. */
  readonly maxIterations?: number | undefined
  readonly tools?: Toolkit.Toolkit<Tools> | AgentTools.AgentTools | undefined
  /** Tools of one message that run at once; 4 by default. */
  readonly toolConcurrency?: number | undefined
  readonly hooks?: AgentHooks | undefined
  /**
   * How a user's message that has `userMetadata` is shown to the model; without it the metadata stays unseen. It depends
   * on nothing else, so that what was shown once is shown the same in later turns.
   */
  readonly userMessage?: ((message: UserMessage, metadata: Metadata) => UserMessage) | undefined
  /** Makes titles of conversations that have none, beside the first model request: `ConversationTitle`. */
  readonly titles?: TitleMaker | undefined
  /** How failed model requests are repeated, where that can help. A provider's `retry-after` has precedence. */
  readonly retry?: {
    /** Repeats of one request by each model; 4 by default. */
    readonly times?: number | undefined
    /** Before the first repeat, doubled for each next one, less up to a quarter of jitter; 500 ms by default. */
    readonly baseDelay?: Duration.Input | undefined
    /** 30 s by default. */
    readonly maxDelay?: Duration.Input | undefined
  } | undefined
  readonly timeouts?: {
    /** Nothing from the model for this long is a failed request; 2 minutes by default. */
    readonly modelIdle?: Duration.Input | undefined
    /** One tool call, without the wait for approval; 2 minutes by default. `AgentTools.Timeout` of a tool wins. */
    readonly tool?: Duration.Input | undefined
    /** A task from its first start on, recoveries and waits included; then it ends with `DeadlineExceeded`. */
    readonly task?: Duration.Input | undefined
  } | undefined
  /** Which tool calls wait for a person (`tool_approval`), and how long. */
  readonly approval?: {
    /** Those whose tool says so by `needsApproval` (the default), all, none, or those that this picks. */
    readonly required?: "tool" | "always" | "never" | ((call: AgentTools.ToolInvocation) => Effect.Effect<boolean>)
    /** Then the call is denied and the model told why; without it a call waits as long as its task lives. */
    readonly timeout?: Duration.Input | undefined
  } | undefined
  readonly budget?: {
    /** Tokens of one task: no model request begins beyond; the task ends with `BudgetExceeded`. */
    readonly maxTotalTokens?: number | undefined
    /** Steps of one task, likewise. Below `maxIterations` it ends the task where that would have it answer. */
    readonly maxSteps?: number | undefined
    /**
     * Tokens of one prompt, estimated, with the system prompt and the tools: old tool results and old turns are left out
     * to keep it (`History.fit`). Without it, what the model takes less the longest answer, where its provider says so.
     */
    readonly maxContextTokens?: number | undefined
  } | undefined
}

/**
 * An agent with a model of its own.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentConfigWithModel<Tools extends Record<string, Tool.Any>, E, R> extends AgentConfig<Tools> {
  /** Built once, together with the agent. */
  readonly model: Layer.Layer<LanguageModel.LanguageModel, E, R>
  /**
   * Asked in this order, without a pause, when `model` is overloaded, unreachable or not available to this key. The one
   * that has answered goes on with the task; the next task begins with `model` again.
   */
  readonly fallbacks?: ReadonlyArray<Layer.Layer<LanguageModel.LanguageModel, E, R>> | undefined
}

/**
 * What tools need where an agent is made.
 *
 * @since 0.1.0
 * @category models
 */
export type ToolServices<Tools extends Record<string, Tool.Any>> =
  | Tool.HandlersFor<Tools>
  | Tool.HandlerServices<Tools[keyof Tools]>

/**
 * Makes an agent. Without a `model` in the configuration it takes the `LanguageModel` of where it is made.
 *
 * @since 0.1.0
 * @category constructors
 */
export function make<E, R, Tools extends Record<string, Tool.Any> = {}>(
  config: AgentConfigWithModel<Tools, E, R>
): Effect.Effect<Agent, E, R | Scope.Scope | ToolServices<Tools>>
/**
 * @since 0.1.0
 * @category constructors
 */
export function make<Tools extends Record<string, Tool.Any> = {}>(
  config: AgentConfig<Tools>
): Effect.Effect<Agent, never, LanguageModel.LanguageModel | ToolServices<Tools>>
/**
 * @since 0.1.0
 * @category constructors
 */
export function make<E, R, Tools extends Record<string, Tool.Any>>(
  config: AgentConfig<Tools> | AgentConfigWithModel<Tools, E, R>
): Effect.Effect<Agent, E, LanguageModel.LanguageModel | R | Scope.Scope | ToolServices<Tools>> {
  return Effect.gen(function*() {
    const models = "model" in config ? yield* modelsOf(config) : Array.of(yield* member)
    return fromParts(config, models, yield* toolsOf(config.tools), yield* Clock.Clock)
  })
}

/**
 * Registers one agent.
 *
 * @since 0.1.0
 * @category layers
 */
export function layer<E, R, Tools extends Record<string, Tool.Any> = {}>(
  config: AgentConfigWithModel<Tools, E, R>
): Layer.Layer<Agents, E, Exclude<R | ToolServices<Tools>, Scope.Scope>>
/**
 * @since 0.1.0
 * @category layers
 */
export function layer<Tools extends Record<string, Tool.Any> = {}>(
  config: AgentConfig<Tools>
): Layer.Layer<Agents, never, Exclude<LanguageModel.LanguageModel | ToolServices<Tools>, Scope.Scope>>
/**
 * @since 0.1.0
 * @category layers
 */
export function layer<Tools extends Record<string, Tool.Any>>(config: AgentConfig<Tools>) {
  return Agents.layerEffect([make(config)])
}

const modelsOf = <E, R>({ fallbacks = [], model }: Pick<AgentConfigWithModel<{}, E, R>, "model" | "fallbacks">) =>
  Effect.forEach(
    Array.prepend(fallbacks, model),
    (layer) => Effect.map(Layer.build(layer), memberOf)
  )

const member = Effect.map(Effect.context<LanguageModel.LanguageModel>(), (context) => memberOf(context))

const memberOf = (context: Context.Context<LanguageModel.LanguageModel>): ChainedModel => ({
  model: Context.get(context, LanguageModel.LanguageModel),
  limits: Context.get(context, ModelSettings.CurrentModelLimits)
})

const toolsOf = <Tools extends Record<string, Tool.Any>>(
  tools: Toolkit.Toolkit<Tools> | AgentTools.AgentTools | undefined
): Effect.Effect<AgentTools.AgentTools, never, ToolServices<Tools>> => {
  if (tools === undefined) return Effect.succeed(AgentTools.empty)
  return "prepare" in tools ? Effect.succeed(tools) : AgentTools.fromToolkit(tools)
}

const fromParts = (
  config: Omit<AgentConfig, "tools">,
  models: Array.NonEmptyReadonlyArray<ChainedModel>,
  tools: AgentTools.AgentTools,
  clock: Clock.Clock
): Agent => {
  const maxIterations = config.maxIterations ?? 6
  const { maxContextTokens, maxSteps, maxTotalTokens } = config.budget ?? {}
  const system = Prompt.systemMessage({ content: config.systemPrompt })

  const requests = makeModelRequest({
    models,
    tools: () => tools.tools,
    settings: ModelSettings.from(config),
    clock,
    retry: {
      times: config.retry?.times ?? 4,
      baseDelay: Duration.fromInputUnsafe(config.retry?.baseDelay ?? "500 millis"),
      maxDelay: Duration.fromInputUnsafe(config.retry?.maxDelay ?? "30 seconds")
    },
    idleTimeout: Duration.fromInputUnsafe(config.timeouts?.modelIdle ?? "2 minutes")
  })

  const callTools = makeToolCalls({
    tools,
    timeout: Duration.fromInputUnsafe(config.timeouts?.tool ?? "2 minutes"),
    concurrency: config.toolConcurrency ?? 4,
    approval: {
      required: config.approval?.required ?? "tool",
      timeout: durationOf(config.approval?.timeout)
    }
  })

  const run = Effect.fnUntraced(function*(
    input: AgentInput,
    write: Emit
  ): Effect.fn.Return<AgentResult, AgentError> {
    const emit = withEventHook(write, config.hooks?.onEvent)
    const history = shown(input, config.userMessage)
    const before = resumePoint(input.journal)
    const room = eventRoom(yield* CurrentTaskLimits)
    const request = requests()
    const prompts = new PromptFitting({
      system,
      tools: () => tools.tools,
      maxTokens: config.maxTokens,
      maxContextTokens
    })
    let usage = before.usage

    const runTools = (calls: ReadonlyArray<ToolCallPart>, past: ResumePoint["past"]) => {
      const { awaitDecision } = input
      const before = history.findLastIndex((message) => message.role === "assistant")
      const messages = () => prompts.prompt(history.slice(0, before), models[0].limits).content
      return Effect.map(callTools({ calls, past, messages, awaitDecision, emit }), (results) => {
        history.push({ role: "tool", content: results })
      })
    }

    if (before.complete) return { usage }
    if (config.titles !== undefined) yield* input.makeTitle(titleOf(config.titles, input.history))
    if (before.open.length > 0) {
      if (before.iterations >= maxIterations) {
        // An earlier attempt may have had more steps.
        yield* emitAll(
          emit,
          before.open.map((call) => {
            const past = before.past.get(call.toolCallId)
            return past?.entered === true
              ? Settlement.interruptedResult({ ...call, ...past })
              : resultPart(call, limitReached, past?.decision)
          })
        )
      } else yield* runTools(before.open, before.past)
    }

    for (let iteration = before.iterations + 1; iteration <= maxIterations; iteration++) {
      if (maxSteps !== undefined && iteration > maxSteps) return yield* budgetExceeded(`${maxSteps} steps`)
      const last = iteration === maxIterations
      const meter = new Meter(usage, maxTotalTokens)
      const answer = yield* request({
        meter,
        prompt: (limits) => prompts.prompt(history, limits),
        shorter: (limits) => prompts.shorter(history, limits),
        last,
        emit
      })
      const step = withUniqueIds(answer, history)
      if (step.usage !== undefined) prompts.learn(step.usage)
      const { spent } = meter
      usage = Usage.add(usage, spent)
      const { message, tooLong } = fitIntoEvents(step.message, room)
      const calls = callsOf(message)
      const refused = last ? limitReached : step.finish === "length" ? cutOff : undefined
      const refusals = calls.flatMap((call): ReadonlyArray<ToolResultPart> => {
        const outcome = refused ?? (tooLong.has(call.toolCallId) ? argumentsTooLong : undefined)
        return outcome === undefined ? [] : [resultPart(call, outcome)]
      })
      // Refusals are written together with their message: a recovery must not take these calls for ones to run.
      yield* emitAll(emit, [
        ...messageEvents({ message, usage: spent, truncated: step.finish === "length" }, room),
        ...refusals
      ])
      if (calls.length === 0 || last) return { usage }
      history.push(message)
      if (refusals.length > 0) history.push({ role: "tool", content: refusals })
      const accepted = calls.filter((call) => refusals.every(({ toolCallId }) => toolCallId !== call.toolCallId))
      if (accepted.length > 0) yield* runTools(accepted, noPast)
    }
    return { usage }
  })

  return {
    agentId: AgentId.make(config.agentId),
    timeout: durationOf(config.timeouts?.task),
    run: (input, emit) =>
      Effect.provideService(
        withErrorHook(withSpan(run(input, emit), "LlmAgent.run"), config.hooks?.onError),
        TaskData,
        // Past the hook `onEvent`, which may write such events itself.
        (name, data) => {
          const json = toJson(data)
          return Result.isFailure(json)
            ? Effect.die(new Error(`The data of "${name}" cannot be written as JSON. ${json.failure}`))
            : Effect.asVoid(emit([{ type: "data", name, data: json.success.value }]))
        }
      )
  }
}

/** The history as the model sees it. */
const shown = ({ history, historyMetadata }: AgentInput, userMessage: AgentConfig["userMessage"]): Array<Message> =>
  history.map((message) => {
    const metadata = historyMetadata.get(message)
    return userMessage === undefined || metadata === undefined || message.role !== "user"
      ? message
      : userMessage(message, metadata)
  })

const durationOf = (input: Duration.Input | undefined): Duration.Duration | undefined =>
  input === undefined ? undefined : Duration.fromInputUnsafe(input)

const titleOf = (titles: TitleMaker, history: ReadonlyArray<Message>): Effect.Effect<Option.Option<string>> =>
  Effect.catch(
    titles(history),
    (error) =>
      Effect.as(Effect.logWarning("The title of the conversation could not be made.", error.message), Option.none())
  )

const limitReached = AgentTools.failed("The call was not executed: the task has reached its last step.")
const cutOff = AgentTools.failed(
  "The call was not executed: the response was cut at its maximum length. Use shorter arguments or fewer calls."
)

const argumentsTooLong = AgentTools.failed(
  "The call was not executed: its arguments are too long. Use shorter arguments, or several calls."
)

/** Models may repeat the id of a call; ours are unique in the conversation. */
const withUniqueIds = (step: ModelAnswer, history: ReadonlyArray<Message>): ModelAnswer => {
  if (callsOf(step.message).length === 0) return step
  const used = new Set(history.flatMap((message) => callsOf(message).map((call) => call.toolCallId)))
  const content = step.message.content.map((part) => {
    if (part.type !== "tool_call") return part
    let toolCallId = part.toolCallId
    for (let n = 2; used.has(toolCallId); n++) toolCallId = `${part.toolCallId}_${n}`
    used.add(toolCallId)
    return { ...part, toolCallId }
  })
  return { ...step, message: { role: "assistant", content } }
}

const emitAll = (emit: Emit, events: ReadonlyArray<AgentEvent>): Effect.Effect<void> => {
  const [first, ...rest] = events
  return first === undefined ? Effect.void : Effect.asVoid(emit([first, ...rest]))
}
