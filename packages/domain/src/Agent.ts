/**
 * The port to agents, which execute tasks.
 *
 * @since 0.1.0
 */
import { Array, Context, type Duration, Effect, Layer, type Option, Schema, type Scope } from "effect"
import type { TaskContext } from "./CurrentTask.ts"
import type { Decision } from "./Decision.ts"
import { AgentId } from "./Ids.ts"
import type { Message } from "./Message.ts"
import type { Metadata } from "./Task.ts"
import { AgentNotFound } from "./TaskError.ts"
import type { AgentEvent, StoredEvent } from "./TaskEvent.ts"
import type { Usage } from "./Usage.ts"

/**
 * Why an agent could not finish its task.
 *
 * @since 0.1.0
 * @category errors
 */
export class AgentError extends Schema.TaggedError<AgentError>()("AgentError", {
  /** A stable code, such as `ModelOverloaded` or `BudgetExceeded`. */
  error: Schema.String,
  /** A sentence that is safe to show to the user. */
  detail: Schema.String,
  /** Whether the same task might succeed later. */
  retryable: Schema.Boolean,
  /** True after a refusal: the text that was streamed since the last complete message is void, and is not kept. */
  discardText: Schema.optionalKey(Schema.Boolean),
  cause: Schema.optionalKey(Schema.Defect())
}) {
  override get message() {
    return `${this.error}: ${this.detail}`
  }
}

/**
 * What an agent is given.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentInput {
  readonly task: TaskContext
  /**
   * All messages of the conversation, oldest first, including those that this task has written so far. At a first attempt
   * the last message is the user's. If the conversation is larger than the runtime's limit, the oldest turns are left out.
   */
  readonly history: ReadonlyArray<Message>
  /** The `userMetadata` of the messages of `history`. A message without metadata is not in the map. */
  readonly historyMetadata: ReadonlyMap<Message, Metadata>
  /**
   * The events of this task so far, without the chunks that complete messages replaced. At a first attempt it has only
   * `ack`. An agent must not repeat work that the journal shows as finished (P10).
   */
  readonly journal: ReadonlyArray<StoredEvent>
  /**
   * Waits, durably, for a person's decision about a call for which the agent has emitted `tool_approval`. If nobody has
   * decided so long after the question, the decision is `otherwise.decision`. The time counts from the first
   * `tool_approval` of the call, also after a recovery, and by the store's clock. While all calls without a `tool_result`
   * wait for a decision, the task does not count towards the capacity of the process.
   */
  readonly awaitDecision: (
    toolCallId: string,
    otherwise?: { readonly timeout: Duration.Duration; readonly decision: Decision }
  ) => Effect.Effect<Decision>
  /**
   * Makes the title of the conversation concurrently with the agent, if the conversation has no title. Returns at once.
   * Readers get a `title` event. A task that is otherwise complete waits at most 5 s for the title; a later title is stored
   * without an event. The effect may take one minute. A failure is logged and has no other effect.
   */
  readonly makeTitle: (title: Effect.Effect<Option.Option<string>>) => Effect.Effect<void>
}

/**
 * Writes events, and returns the seq of the last one when all are durable. It does not return if the task was cancelled or
 * has lost its lease: the fiber of the agent is then being interrupted.
 *
 * @since 0.1.0
 * @category models
 */
export type Emit = (events: Array.NonEmptyReadonlyArray<AgentEvent>) => Effect.Effect<number>

/**
 * The result of an agent.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentResult {
  /** The sum over the whole task, earlier attempts included. */
  readonly usage: Usage
}

/**
 * A tool as people see it.
 *
 * @since 0.1.0
 * @category models
 */
export const ToolDescription = Schema.Struct({
  name: Schema.String,
  description: Schema.optionalKey(Schema.String),
  /** Whether a person has to approve calls. `sometimes`: it depends on the call. */
  approval: Schema.Literals(["always", "sometimes", "never"]),
  /** Whether a call that a crash has interrupted runs again by itself. */
  safeToRepeat: Schema.Boolean
}).annotate({ identifier: "ToolDescription" })

/**
 * @since 0.1.0
 * @category models
 */
export interface ToolDescription extends Schema.Schema.Type<typeof ToolDescription> {}

/**
 * An agent as people see it. Tools may change, for example those of an MCP server.
 *
 * @since 0.1.0
 * @category models
 */
export const AgentDescription = Schema.Struct({
  id: AgentId,
  /** The name of the model that is asked first, if the layer of the model provides it. */
  model: Schema.optionalKey(Schema.String),
  tools: Schema.Array(ToolDescription),
  /** The JSON schema (draft 2020-12) of the outputs, if the agent promises a form. */
  output: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json))
}).annotate({ identifier: "AgentDescription" })

/**
 * @since 0.1.0
 * @category models
 */
export interface AgentDescription extends Schema.Schema.Type<typeof AgentDescription> {}

/**
 * Executes tasks. An agent passes its events to a callback, and does not return a stream. When the callback returns, the
 * events are durable; no event is in a buffer when the fiber is interrupted; back-pressure is direct.
 *
 * @since 0.1.0
 * @category models
 */
export interface Agent<out Output = unknown> {
  readonly agentId: AgentId
  /**
   * The form of the answer, if the agent promises one: it emits `output` before it completes, encoded by
   * `Schema.toCodecJson`. `TaskManager.awaitOutput` decodes the output by this schema.
   */
  readonly output?: Schema.Codec<Output, unknown> | undefined
  /**
   * The longest time from the first claim of a task to its end, recoveries included. Then the task ends with
   * `DeadlineExceeded`. The limit of the runtime (`taskTimeout`) holds as well.
   */
  readonly timeout?: Duration.Duration | undefined
  /** The model and the tools at this moment. An agent without it is described by its id alone. */
  readonly describe?: Effect.Effect<Omit<AgentDescription, "id" | "output">> | undefined
  readonly run: (input: AgentInput, emit: Emit) => Effect.Effect<AgentResult, AgentError>
}

/**
 * The type of the answers of an agent, of an effect that makes it, or of its configuration. `undefined` if it promises none.
 *
 * **Example**
 *
 * ```ts
 * import type * as Agent from "@perennial/domain/Agent"
 * import { Schema } from "effect"
 *
 * const researcher = { agentId: "researcher", output: Schema.Struct({ sources: Schema.Array(Schema.String) }) }
 * export const none: Agent.Output<typeof researcher> = { sources: [] }
 * ```
 *
 * @since 0.1.0
 * @category models
 */
export type Output<Of> = Of extends Effect.Effect<infer Made, unknown, unknown> ? Output<Made>
  : Of extends { readonly output?: Schema.Codec<infer Value, unknown> | undefined } ? Value
  : undefined

/**
 * The agents of this process, by id. A task records the id of its agent, so that a recovery finds the agent. A layer with
 * two agents of the same id dies.
 *
 * @since 0.1.0
 * @category services
 */
export class Agents extends Context.Service<Agents, {
  /** The ids of all registered agents, in the order of registration. */
  readonly ids: Array.NonEmptyReadonlyArray<AgentId>

  /** The agent of this id. Without an id: the first registered agent. */
  readonly get: (agentId?: AgentId) => Effect.Effect<Agent, AgentNotFound>
}>()("@perennial/domain/Agent/Agents") {
  /** Registers agents. The first agent is the default. */
  static readonly layer = (agents: Array.NonEmptyReadonlyArray<Agent>): Layer.Layer<Agents> =>
    Layer.effect(Agents, makeAgents(agents))

  /** Registers agents that are made by effects. The first agent is the default. */
  static readonly layerEffect = <E, R>(
    agents: Array.NonEmptyReadonlyArray<Effect.Effect<Agent, E, R>>
  ): Layer.Layer<Agents, E, Exclude<R, Scope.Scope>> =>
    Layer.effect(Agents, Effect.flatMap(Effect.all(agents), makeAgents))
}

const makeAgents = (agents: Array.NonEmptyReadonlyArray<Agent>): Effect.Effect<Agents["Service"]> => {
  const byId = new Map<AgentId, Agent>()
  for (const agent of agents) {
    if (byId.has(agent.agentId)) {
      return Effect.die(new Error(`Two agents have the id "${agent.agentId}": give each its own.`))
    }
    byId.set(agent.agentId, agent)
  }
  const ids = Array.map(agents, ({ agentId }) => agentId)
  return Effect.succeed({
    ids,
    get: (agentId = agents[0].agentId) => {
      const agent = byId.get(agentId)
      return agent === undefined
        ? Effect.fail(new AgentNotFound({ agentId, known: ids }))
        : Effect.succeed(agent)
    }
  })
}

/**
 * Makes an agent from a function.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (agentId: string, run: Agent["run"]): Agent => ({ agentId: AgentId.make(agentId), run })
