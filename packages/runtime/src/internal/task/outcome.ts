/**
 * Computes the outcome of a task from the reason of its stop and from the exit of its agent.
 */
import { AgentError, type AgentResult } from "@perennial/domain/Agent"
import type { Outcome } from "@perennial/domain/Settlement"
import { Usage } from "@perennial/domain/Usage"
import { Cause, Duration, Exit, Option, Schema } from "effect"
import type { StopSignal } from "./stopSignal.ts"

/** The exit of the agent. `abandoned`: its finalizers took longer than the grace, or it never began. */
export type AgentExit = Exit.Exit<AgentResult, AgentError> | "abandoned"

const failed = (error: AgentError): Outcome => ({
  status: "error",
  error: error.error,
  detail: error.detail,
  retryable: error.retryable,
  discardText: error.discardText
})

const completed = ({ usage }: AgentResult): Outcome => ({ status: "completed", usage })

// An agent may be written without types. An end that cannot be stored as the log is read would be none.
const isResult = Schema.is(Schema.Struct({ usage: Usage }))
const isFailure = Schema.is(Schema.Struct({ error: Schema.String, detail: Schema.String, retryable: Schema.Boolean }))

const noResult: Outcome = {
  status: "error",
  error: "InvalidEvent",
  detail: "The agent ended without a valid `usage` in its result.",
  retryable: false
}

const internal: Outcome = {
  status: "error",
  error: "InternalError",
  detail: "The task failed because of an internal error.",
  retryable: true
}

/** `release`: another process continues the task. `nothing`: this process may not write to the task any more. */
export const outcomeOf = (
  { cancelReason, isLost, reason }: StopSignal,
  timeout: Duration.Duration,
  exit: AgentExit
): Outcome | "release" | "nothing" => {
  if (isLost) return "nothing"
  // A completed agent counts, even if a stop was requested in the meantime.
  if (exit !== "abandoned" && Exit.isSuccess(exit)) return isResult(exit.value) ? completed(exit.value) : noResult
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
  if (Option.isSome(error)) return isFailure(error.value) ? failed(error.value) : internal
  const defect = cause.reasons.find(Cause.isDieReason)?.defect
  return isAgentError(defect) ? failed(defect) : internal
}

/** The event path refuses an event of an agent with a defect, because `emit` has no typed failure. */
const isAgentError = Schema.is(AgentError)
