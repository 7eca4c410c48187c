/**
 * The hooks that an application gives to an agent: effects that follow its events and its failures.
 *
 * A hook that fails is logged, and the task goes on as if the hook had succeeded.
 *
 * @since 0.1.0
 */
import type { AgentError, Emit } from "@perennial/domain/Agent"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import { type Cause, Effect } from "effect"

/**
 * @since 0.1.0
 * @category models
 */
export interface AgentHooks {
  /** Runs after an event of the agent is durable. The agent waits for the hook. */
  readonly onEvent?: ((event: AgentEvent) => Effect.Effect<void>) | undefined
  /** Runs when the agent fails, with a defect or an `AgentError`. */
  readonly onError?: ((cause: Cause.Cause<AgentError>) => Effect.Effect<void>) | undefined
}

const logged = (hook: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchCause(hook, (cause) => Effect.logError("A hook of the agent failed.", cause))

/**
 * An `emit` that runs the hook for each event once the event is durable.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withEventHook = (emit: Emit, onEvent: AgentHooks["onEvent"]): Emit =>
  onEvent === undefined
    ? emit
    : (events) => Effect.tap(emit(events), () => Effect.forEach(events, (event) => logged(onEvent(event))))

/**
 * An agent's effect that runs the hook when the effect fails.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withErrorHook = <A>(
  effect: Effect.Effect<A, AgentError>,
  onError: AgentHooks["onError"]
): Effect.Effect<A, AgentError> =>
  onError === undefined ? effect : Effect.tapCause(effect, (cause) => logged(onError(cause)))
