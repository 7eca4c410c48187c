/** What an application hangs on to an agent: a hook that fails is logged and changes nothing. */
import type { AgentError, Emit } from "@perennial/domain/Agent"
import { Effect } from "effect"
import type { AgentHooks } from "../LlmAgent.ts"

const quietly = (hook: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.catchCause(hook, (cause) => Effect.logError("A hook of the agent failed.", cause))

export const withHook = (emit: Emit, onEvent: AgentHooks["onEvent"]): Emit =>
  onEvent === undefined
    ? emit
    : (events) => Effect.tap(emit(events), () => Effect.forEach(events, (event) => quietly(onEvent(event))))

export const withErrorHook = <A>(effect: Effect.Effect<A, AgentError>, onError: AgentHooks["onError"]) =>
  onError === undefined ? effect : Effect.tapCause(effect, (cause) => quietly(onError(cause)))
