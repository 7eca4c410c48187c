/**
 * How a task ends, computed in one place from why its fiber was stopped and how it exited.
 */
import { AgentError } from "@perennial/domain/Agent"
import type { Outcome } from "@perennial/domain/Settlement"
import { Cause, Duration, Exit, Option } from "effect"
import type { AgentExit, Execution } from "./execution.ts"

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

/** `release`: hand the task over. `nothing`: write nothing. */
export const outcomeOf = (execution: Execution, exit: AgentExit): Outcome | "release" | "nothing" => {
  const { reason } = execution
  if (reason === "fenced" || reason === "store") return "nothing"
  // Whatever was asked, the task had completed first.
  if (exit !== "abandoned" && Exit.isSuccess(exit)) return { status: "completed", usage: exit.value.usage }
  switch (reason) {
    case "shutdown":
      return "release"
    case "cancel":
      return { status: "cancelled", reason: execution.cancelReason }
    case "timeout":
      return {
        status: "error",
        error: "DeadlineExceeded",
        detail: `The task did not end within ${Duration.format(execution.timeout)}.`,
        retryable: false
      }
    case undefined: {
      if (exit === "abandoned") return internal
      const error = Cause.findErrorOption(exit.cause)
      if (Option.isSome(error)) return failed(error.value)
      const defect = exit.cause.reasons.find(Cause.isDieReason)?.defect
      return defect instanceof AgentError ? failed(defect) : internal
    }
  }
}
