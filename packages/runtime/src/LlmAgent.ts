/**
 * The agent that most applications want: a loop of model requests and tool calls.
 *
 * Each step is one model request and the tools it asked for. A complete message is durable before its tools run, a tool
 * call before its tool is entered, a result as soon as it is there; what a journal shows as finished is not repeated
 * (P10). What goes wrong in a tool is told to the model and never ends the task.
 *
 * @since 0.1.0
 */
import { type Agent, Agents, type Emit, type ToolDescription } from "@perennial/domain/Agent"
import { AgentId } from "@perennial/domain/Ids"
import type { UserMessage } from "@perennial/domain/Message"
import type { Metadata } from "@perennial/domain/Task"
import { Array, Context, Duration, Effect, Layer, Option, Result, type Schema, type Scope } from "effect"
import { LanguageModel, Model, Tool, type Toolkit } from "effect/ai"
import { type AgentHooks, withErrorHook, withEventHook } from "./AgentHooks.ts"
import * as AgentTools from "./AgentTools.ts"
import type { TitleMaker } from "./ConversationTitle.ts"
import { FinalAnswer, toolName as finalAnswerTool } from "./internal/agent/finalAnswer.ts"
import { toJson } from "./internal/agent/json.ts"
import { makeLoop } from "./internal/agent/loop.ts"
import { type ChainedModel, makeModelRequest } from "./internal/agent/modelRequest.ts"
import { OfferedTools } from "./internal/agent/offeredTools.ts"
import { makeToolCalls } from "./internal/agent/toolCalls.ts"
import * as ModelSettings from "./ModelSettings.ts"
import { TaskData } from "./TaskData.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface AgentConfig<Tools extends Record<string, Tool.Any> = {}, Output = unknown>
  extends ModelSettings.ModelSettings
{
  readonly agentId: string
  readonly systemPrompt: string
  /**
   * The form of the answer. The task then ends with an output of this form: `Task.output`, `TaskManager.awaitOutput`. The
   * model is asked for it by structured output, or else by the tool `final_answer`. If an answer is of another form, the
   * model is told why and answers once more; then the task ends with `OutputInvalid`. An output has at most 64 Ki characters
   * of JSON.
   */
  readonly output?: Schema.Codec<Output, unknown> | undefined
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
export interface AgentConfigWithModel<Tools extends Record<string, Tool.Any>, E, R, Output = unknown>
  extends AgentConfig<Tools, Output>
{
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
export function make<E, R, Tools extends Record<string, Tool.Any> = {}, Output = undefined>(
  config: AgentConfigWithModel<Tools, E, R, Output>
): Effect.Effect<Agent<Output>, E, R | Scope.Scope | ToolServices<Tools>>
/**
 * @since 0.1.0
 * @category constructors
 */
export function make<Tools extends Record<string, Tool.Any> = {}, Output = undefined>(
  config: AgentConfig<Tools, Output>
): Effect.Effect<Agent<Output>, never, LanguageModel.LanguageModel | ToolServices<Tools>>
/**
 * @since 0.1.0
 * @category constructors
 */
export function make<E, R, Tools extends Record<string, Tool.Any>, Output>(
  config: AgentConfig<Tools, Output> | AgentConfigWithModel<Tools, E, R, Output>
): Effect.Effect<Agent<Output>, E, LanguageModel.LanguageModel | R | Scope.Scope | ToolServices<Tools>> {
  return Effect.gen(function*() {
    const models = "model" in config ? yield* modelsOf(config) : Array.of(yield* member)
    return fromParts(config, models, yield* toolsOf(config.tools))
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
  name: Option.getOrUndefined(Context.getOption(context, Model.ModelName)),
  limits: Context.get(context, ModelSettings.CurrentModelLimits),
  structuredOutput: Context.get(context, ModelSettings.CurrentStructuredOutput)
})

const toolsOf = <Tools extends Record<string, Tool.Any>>(
  tools: Toolkit.Toolkit<Tools> | AgentTools.AgentTools | undefined
): Effect.Effect<AgentTools.AgentTools, never, ToolServices<Tools>> => {
  if (tools === undefined) return Effect.succeed(AgentTools.empty)
  return "prepare" in tools ? Effect.succeed(tools) : AgentTools.fromToolkit(tools)
}

const fromParts = <Output>(
  config: Omit<AgentConfig<{}, Output>, "tools">,
  models: Array.NonEmptyReadonlyArray<ChainedModel>,
  tools: AgentTools.AgentTools
): Agent<Output> => {
  const { output } = config
  if (output !== undefined && Object.hasOwn(tools.tools, finalAnswerTool)) {
    throw new Error(`Agent "${config.agentId}" has a tool "${finalAnswerTool}": with \`output\` this name is taken.`)
  }
  const offered = new OfferedTools(tools)
  const run = makeLoop({
    systemPrompt: config.systemPrompt,
    tools: offered,
    requests: makeModelRequest({
      models,
      tools: offered,
      settings: ModelSettings.from(config),
      retry: {
        times: config.retry?.times ?? 4,
        baseDelay: Duration.fromInputUnsafe(config.retry?.baseDelay ?? "500 millis"),
        maxDelay: Duration.fromInputUnsafe(config.retry?.maxDelay ?? "30 seconds")
      },
      idleTimeout: Duration.fromInputUnsafe(config.timeouts?.modelIdle ?? "2 minutes")
    }),
    callTools: makeToolCalls({
      tools,
      timeout: Duration.fromInputUnsafe(config.timeouts?.tool ?? "2 minutes"),
      concurrency: config.toolConcurrency ?? 4,
      approval: {
        required: config.approval?.required ?? "tool",
        timeout: durationOf(config.approval?.timeout)
      }
    }),
    limits: models[0].limits,
    maxIterations: config.maxIterations ?? 6,
    maxSteps: config.budget?.maxSteps,
    maxTotalTokens: config.budget?.maxTotalTokens,
    maxTokens: config.maxTokens,
    maxContextTokens: config.budget?.maxContextTokens,
    userMessage: config.userMessage,
    titles: config.titles,
    final: output === undefined ? undefined : new FinalAnswer(output)
  })
  return {
    agentId: AgentId.make(config.agentId),
    ...(output === undefined ? undefined : { output }),
    timeout: durationOf(config.timeouts?.task),
    describe: Effect.sync(() => ({
      ...(models[0].name === undefined ? undefined : { model: models[0].name }),
      tools: Object.entries(offered.tools).map(([name, tool]) => describeTool(name, tool, tools, config.approval))
    })),
    run: (input, emit) =>
      Effect.provideService(
        withErrorHook(run(input, withEventHook(emit, config.hooks?.onEvent)), config.hooks?.onError),
        TaskData,
        // Past the hook `onEvent`, which may write such events itself.
        dataWriter(emit)
      )
  }
}

const describeTool = (
  name: string,
  tool: Tool.Any,
  tools: AgentTools.AgentTools,
  approval: AgentConfig["approval"]
): ToolDescription => {
  const description = Tool.getDescription(tool)
  return {
    name,
    ...(description === undefined ? undefined : { description }),
    approval: whenApproved(approval?.required ?? "tool", tool),
    safeToRepeat: AgentTools.isSafeToRepeat(tools, name)
  }
}

const whenApproved = (
  required: NonNullable<NonNullable<AgentConfig["approval"]>["required"]>,
  { needsApproval }: Tool.Any
): ToolDescription["approval"] => {
  if (required === "always" || required === "never") return required
  if (typeof required === "function" || typeof needsApproval === "function") return "sometimes"
  return needsApproval === true ? "always" : "never"
}

const dataWriter = (emit: Emit): typeof TaskData.Service => (name, data) => {
  const json = toJson(data)
  return Result.isFailure(json)
    ? Effect.die(new Error(`The data of "${name}" cannot be written as JSON. ${json.failure}`))
    : Effect.asVoid(emit([{ type: "data", name, data: json.success.value }]))
}

const durationOf = (input: Duration.Input | undefined): Duration.Duration | undefined =>
  input === undefined ? undefined : Duration.fromInputUnsafe(input)
