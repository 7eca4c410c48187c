/**
 * The port to what executes a task.
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
  /** Text that was streamed since the last complete message is void and not kept (a refusal). */
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
   * All messages of the conversation, oldest first, up to what this task has written so far: the last one is the user's
   * message at a first attempt. Of a conversation larger than the runtime's limit the oldest turns are left out.
   */
  readonly history: ReadonlyArray<Message>
  /** The `userMetadata` of those messages of `history` that were given some. */
  readonly historyMetadata: ReadonlyMap<Message, Metadata>
  /**
   * The events of this task so far, without the chunks that complete messages replaced. Empty but for `ack` at a first
   * attempt. An agent must not repeat what they show as finished (P10).
   */
  readonly journal: ReadonlyArray<StoredEvent>
  /**
   * Waits, durably, for a person's answer to a call for which the agent has emitted `tool_approval`. `otherwise` is the
   * answer from `at` on (milliseconds since 1970-01-01T00:00Z) unless a person was first. While all calls that have no
   * `tool_result` wait, the task takes no place of the process's capacity.
   */
  readonly awaitDecision: (
    toolCallId: string,
    otherwise?: { readonly at: number; readonly decision: Decision }
  ) => Effect.Effect<Decision>
  /**
   * Has the title of the conversation made beside the agent, unless it has one: readers get a `title` event. Returns at
   * once. At the end of a completed task the title is waited for, at most 5 s; one that comes later is stored without an
   * event. It may take a minute; what goes wrong is logged and changes nothing.
   */
  readonly makeTitle: (title: Effect.Effect<Option.Option<string>>) => Effect.Effect<void>
  /** To be run between two steps: a place where the engine may stop the task to hand it over. */
  readonly checkpoint: Effect.Effect<void>
}

/**
 * Writes events and returns the seq of the last one when they are durable. Does not return to a task that was cancelled
 * or lost its lease: its fiber is being interrupted.
 *
 * @since 0.1.0
 * @category models
 */
export type Emit = (events: Array.NonEmptyReadonlyArray<AgentEvent>) => Effect.Effect<number>

/**
 * What an agent ends with.
 *
 * @since 0.1.0
 * @category models
 */
export interface AgentResult {
  /** The sum over the whole task, earlier attempts included. */
  readonly usage: Usage
}

/**
 * Executes tasks. A callback takes the events, not a stream: when it returns they are durable, nothing sits in a buffer
 * when the fiber is interrupted, and back-pressure is direct.
 *
 * @since 0.1.0
 * @category models
 */
export interface Agent {
  readonly agentId: AgentId
  /** From the first claim of a task, recoveries included; then it ends with `DeadlineExceeded`. The runtime has its own. */
  readonly timeout?: Duration.Duration | undefined
  readonly run: (input: AgentInput, emit: Emit) => Effect.Effect<AgentResult, AgentError>
}

/**
 * The agents of this process, by id. A task records which one it runs, so that recovery finds it. Two agents of one id are
 * a defect of the layer that registers them.
 *
 * @since 0.1.0
 * @category services
 */
export class Agents extends Context.Service<Agents, {
  /** The ids of all agents registered, the first one first. */
  readonly ids: Array.NonEmptyReadonlyArray<AgentId>

  /** The agent of this id; without an id the first one registered. */
  readonly get: (agentId?: AgentId) => Effect.Effect<Agent, AgentNotFound>
}>()("@perennial/domain/Agent/Agents") {
  /** Registers agents; the first is the default. */
  static readonly layer = (agents: Array.NonEmptyReadonlyArray<Agent>): Layer.Layer<Agents> =>
    Layer.effect(Agents, makeAgents(agents))

  /** Registers agents that are made by effects; the first is the default. */
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
 * An agent from a function, for tests and for agents without a loop of their own.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (agentId: string, run: Agent["run"]): Agent => ({ agentId: AgentId.make(agentId), run })
