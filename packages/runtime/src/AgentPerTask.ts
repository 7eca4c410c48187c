/**
 * An agent that is made anew for each task: model, system prompt, tools and settings may depend on the user, on the metadata
 * of the task, and on services of the application.
 *
 * The agent is made in the process that executes the task, before its first step, and again by each process that takes the
 * task up later. It is given up when the task ends here.
 *
 * @since 0.1.0
 */
import { type Agent, AgentError, type AgentResult, Agents } from "@perennial/domain/Agent"
import type { TaskContext } from "@perennial/domain/CurrentTask"
import { AgentId } from "@perennial/domain/Ids"
import { Context, Duration, Effect, type Layer, Schema, Scope } from "effect"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<E, R, Output = unknown> {
  /** The id of the agent. The ids of the agents that `make` makes do not count. */
  readonly agentId: string
  /**
   * Makes the agent of one task. The scope is closed when the task ends in this process, so that a model is built for the task
   * alone. A failure ends the task: an `AgentError` as it is, any other with the error `SettingsFailed`.
   *
   * **Gotchas** After a recovery another process makes the agent again. The names of tools must stay the same, because calls
   * of the log are looked up by name, and so must `output`. Everything else may differ: the task goes on with the new values.
   */
  readonly make: (task: TaskContext) => Effect.Effect<Agent<Output>, E, R>
  /** The form of the answers, for callers; `make` makes agents with the same `output`. */
  readonly output?: Schema.Codec<Output, unknown> | undefined
  /** The limit of a task from its first claim on, as `Agent.timeout`. The timeouts of the agents that `make` makes do not count. */
  readonly timeout?: Duration.Input | undefined
  /** The model and the tools, for people. Without it the agent is described by its id alone. */
  readonly describe?: Agent["describe"]
}

const isAgentError = Schema.is(AgentError)

const settingsFailed = (cause: unknown): AgentError =>
  new AgentError({
    error: "SettingsFailed",
    detail: "The settings of the agent for this task could not be made.",
    retryable: true,
    cause
  })

const toAgentError = (error: unknown): Effect.Effect<never, AgentError> =>
  isAgentError(error)
    ? Effect.fail(error)
    : Effect.andThen(
      Effect.logWarning("The agent of a task could not be made.", error),
      Effect.fail(settingsFailed(error))
    )

/**
 * Makes an agent whose tasks have an agent of their own. The services that `make` needs come from the context of this effect;
 * those of the task (`CurrentTask`, `CurrentUser`) have precedence.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import * as AgentPerTask from "@perennial/runtime/AgentPerTask"
 * import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
 * import * as LlmAgent from "@perennial/runtime/LlmAgent"
 * import { Context, Effect } from "effect"
 *
 * class Plans extends Context.Service<Plans, {
 *   readonly of: (userId: string) => Effect.Effect<"free" | "paid">
 * }>()("app/Plans") {}
 *
 * const assistant = AgentPerTask.make({
 *   agentId: "assistant",
 *   make: Effect.fnUntraced(function*(task) {
 *     const isPaid = (yield* (yield* Plans).of(task.userId)) === "paid"
 *     return yield* LlmAgent.make({
 *       agentId: task.agentId,
 *       systemPrompt: task.metadata["language"] === "no" ? "Svar på norsk." : "Be brief.",
 *       model: AnthropicModel.layerConfig({ effort: isPaid ? "high" : "low" }),
 *       budget: { maxTotalTokens: isPaid ? 500_000 : 50_000 }
 *     })
 *   })
 * })
 *
 * Effect.isEffect(assistant) // => true
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*<E, R, Output = undefined>(
  { agentId, describe, make, output, timeout }: Options<E, R, Output>
): Effect.fn.Return<Agent<Output>, never, Exclude<R, Scope.Scope>> {
  const services = yield* Effect.context<Exclude<R, Scope.Scope>>()

  const made = (task: TaskContext, scope: Scope.Scope): Effect.Effect<Agent<Output>, AgentError> =>
    make(task).pipe(
      Effect.updateContext((current: Context.Context<never>) =>
        // The scope is what `Exclude` has left out.
        Context.add(Context.merge(services, current), Scope.Scope, scope) as Context.Context<R>
      ),
      Effect.catch(toAgentError)
    )

  const agent: Agent<Output> = {
    agentId: AgentId.make(agentId),
    ...(output === undefined ? undefined : { output }),
    ...(describe === undefined ? undefined : { describe }),
    ...(timeout === undefined ? undefined : { timeout: Duration.fromInputUnsafe(timeout) }),
    run: (input, emit): Effect.Effect<AgentResult, AgentError> =>
      Effect.scopedWith((scope) => Effect.flatMap(made(input.task, scope), (agent) => agent.run(input, emit)))
  }
  return agent
})

/**
 * Registers one such agent.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <E, R, Output = undefined>(
  options: Options<E, R, Output>
): Layer.Layer<Agents, never, Exclude<R, Scope.Scope>> => Agents.layerEffect([make(options)])
