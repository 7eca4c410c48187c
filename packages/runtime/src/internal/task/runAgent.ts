/**
 * Runs the agent of a task until it ends, is stopped, or is abandoned.
 */
import type { Agent, AgentError, AgentResult } from "@perennial/domain/Agent"
import { type Duration, Effect, Fiber, type Scope } from "effect"
import type { TaskAgentInput } from "./agentInput.ts"
import type { ExecutionHost } from "./executionHost.ts"
import type { AgentExit } from "./outcome.ts"
import type { OwnedTask } from "./ownedTask.ts"
import type { StopSignal } from "./stopSignal.ts"

/** Waits until the agent has ended or a stop is requested. A race would need two fibers, and double the memory of a task. */
const endedOrStopped = (fiber: Fiber.Fiber<AgentResult, AgentError>, stop: StopSignal) =>
  Effect.callback<AgentExit | "stopped">((resume) => {
    const forget = fiber.addObserver((exit) => resume(Effect.succeed(exit)))
    const withdraw = stop.onStop(() => resume(Effect.succeed("stopped")))
    return Effect.sync(() => {
      forget()
      withdraw()
    })
  })

/** Gives a stopped agent the grace for its finalizers, and then abandons it. */
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

/** Whether this fiber was interrupted while it was uninterruptible. */
export const wasInterrupted: Effect.Effect<boolean> = Effect.matchCause(Effect.interruptible(Effect.void), {
  onSuccess: () => false,
  onFailure: () => true
})

/**
 * Runs the agent in a fiber of its own until it ends or the stop signal of its task interrupts it. An interruption of this
 * effect requests a stop because of a shutdown; the effect ends when the agent has ended.
 *
 * An agent does not begin if its task is already stopped. An agent whose finalizers take longer than the grace is abandoned:
 * its fiber stays in `agents`.
 */
export const runAgent = (
  { limits }: ExecutionHost,
  { stop }: OwnedTask,
  agent: Agent,
  input: TaskAgentInput,
  agents: Scope.Scope
): Effect.Effect<AgentExit> => {
  if (stop.reason !== undefined) return Effect.succeed("abandoned")
  const begun = Effect.forkIn(Effect.suspend(() => agent.run(input, input.emit)), agents, { startImmediately: true })
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
