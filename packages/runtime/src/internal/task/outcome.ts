/**
 * How a task ends: computed in one place from why it was stopped and how its agent exited.
 */
import { AgentError, type AgentResult } from "@perennial/domain/Agent"
import type { Outcome } from "@perennial/domain/Settlement"
import { Cause, Duration, Exit, Option, Schema } from "effect"
import type { StopSignal } from "./stopSignal.ts"

/** How the agent ended. `abandoned`: its finalizers took longer than the grace, or it never began. */
export type AgentExit = Exit.Exit<AgentResult, AgentError> | "abandoned"

const failed = (error: AgentError): Outcome => ({
  status: "error",
  error: error.error,
  detail: error.detail,
  retryable: error.retryable,
  discardText: error.discardText
})

const internal: Outcome = {
  status: "error",
  error: "InternalError",
  detail: "The task failed because of an internal error.",
  retryable: true
}

/** `release`: another process goes on with the task. `nothing`: this process may not write to the task any more. */
export const outcomeOf = (
  { cancelReason, isLost, reason }: StopSignal,
  timeout: Duration.Duration,
  exit: AgentExit
): Outcome | "release" | "nothing" => {
  if (isLost) return "nothing"
  // A completed agent stands, whatever was asked of the task meanwhile.
  if (exit !== "abandoned" && Exit.isSuccess(exit)) return { status: "completed", usage: exit.value.usage }
  switch (reason) {
    case "shutdown":
      return "release"
    case "cancel":
      return { status: "cancelled", reason: cancelReason }
    case "deadline":
      return {
        status: "error",
        error: "DeadlineExceeded",
        detail: `The task did not end within ${Duration.format(timeout)}.`,
        retryable: false
      }
    default:
      return exit === "abandoned" ? internal : failure(exit.cause)
  }
}

const failure = (cause: Cause.Cause<AgentError>): Outcome => {
  const error = Cause.findErrorOption(cause)
  if (Option.isSome(error)) return failed(error.value)
  const defect = cause.reasons.find(Cause.isDieReason)?.defect
  return isAgentError(defect) ? failed(defect) : internal
}

/** The event path refuses an agent's event by a defect, since an agent's `emit` has no typed failure. */
const isAgentError = Schema.is(AgentError)
