/**
 * Runs the agent of a task until it ends, or is stopped, or is given up.
 */
import type { Agent, AgentError, AgentResult } from "@perennial/domain/Agent"
import { type Duration, Effect, Fiber, type Scope } from "effect"
import type { TaskAgentInput } from "./agentInput.ts"
import type { ExecutionHost } from "./executionHost.ts"
import type { AgentExit } from "./outcome.ts"
import type { OwnedTask } from "./ownedTask.ts"
import type { StopSignal } from "./stopSignal.ts"

/** Waits until the agent has ended, or a stop is requested. Not by a race: a fiber each would double what a task keeps. */
const endedOrStopped = (fiber: Fiber.Fiber<AgentResult, AgentError>, stop: StopSignal) =>
  Effect.callback<AgentExit | "stopped">((resume) => {
    const forget = fiber.addObserver((exit) => resume(Effect.succeed(exit)))
    const withdraw = stop.onStop(() => resume(Effect.succeed("stopped")))
    return Effect.sync(() => {
      forget()
      withdraw()
    })
  })

/** An agent that is being stopped gets the grace for its finalizers; then it is abandoned. */
const interruptAgent = (
  fiber: Fiber.Fiber<AgentResult, AgentError>,
  grace: Duration.Duration
): Effect.Effect<AgentExit> =>
  Effect.suspend(() => {
    fiber.interruptUnsafe()
    return Effect.timeoutOrElse(Effect.interruptible(Fiber.await(fiber)), {
      duration: grace,
      orElse: () => Effect.succeed<AgentExit>("abandoned")
    })
  })

/** Whether this fiber was interrupted while it could not be. */
export const wasInterrupted: Effect.Effect<boolean> = Effect.matchCause(Effect.interruptible(Effect.void), {
  onSuccess: () => false,
  onFailure: () => true
})

/**
 * The agent runs in a fiber of its own, against the stop signal of its task. An interruption of this effect is a request
 * to stop because of a shutdown; this effect goes on until the agent has ended.
 *
 * A stopped agent is interrupted; an agent that was stopped before does not begin. An agent whose finalizers take longer
 * than the grace is abandoned: its fiber stays behind in `agents`.
 */
export const runAgent = (
  { limits }: ExecutionHost,
  { stop }: OwnedTask,
  agent: Agent,
  input: TaskAgentInput,
  agents: Scope.Scope
): Effect.Effect<AgentExit> => {
  if (stop.reason !== undefined) return Effect.succeed("abandoned")
  const begun = Effect.forkIn(agent.run(input, input.emit), agents, { startImmediately: true })
  return Effect.uninterruptible(
    Effect.flatMap(begun, (fiber) =>
      Effect.matchCauseEffect(Effect.interruptible(endedOrStopped(fiber, stop)), {
        onSuccess: (exit) => exit === "stopped" ? interruptAgent(fiber, limits.cancelGrace) : Effect.succeed(exit),
        onFailure: () => {
          stop.stop("shutdown")
          return interruptAgent(fiber, limits.cancelGrace)
        }
      }))
  )
}
