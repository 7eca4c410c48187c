/** Each log by itself: its numbers, its beginning, its one end, and results for all calls (P1, P3, P4, P6, P7, P8). */
import { isTerminal as isTerminalStatus, type Task } from "@perennial/domain/Task"
import { isTerminal, terminalStatus } from "@perennial/domain/TaskEvent"
import type { Kept, Observed } from "../world.ts"
import type { Ends } from "./commits.ts"
import type { Broken } from "./violation.ts"

/** The errors with which a task may end here. The agent itself never fails. */
const allowed: ReadonlySet<string> = new Set(["CrashLoop", "DeadlineExceeded", "MessageRefused", "TaskUnreadable"])

export const checkLogs = (observed: Observed, ends: Ends, broken: Broken): void => {
  const cancels = new Set<string>()
  for (const { act, taskId } of observed.history.calls) {
    if (act.type === "cancel" && taskId !== undefined) cancels.add(taskId)
  }
  const interrupts = new Set(
    observed.history.calls.flatMap(({ act, conversation }) =>
      act.type === "start" && act.onBusy === "interrupt" ? [conversation] : []
    )
  )
  for (const kept of observed.tasks.values()) {
    const { log, task } = kept
    if (log.some(({ seq }, i) => seq !== i + 1)) broken("P3", `the log of ${task.id} has a gap`, task.id)
    if (log[0]?.event.type !== "ack") broken("P1", `the log of ${task.id} does not begin with ack`, task.id)
    if (isTerminalStatus(task.status)) checkEnd(kept, observed, ends, broken)
    const isCancelled = ({ conversationId, id }: Task) => cancels.has(id) || interrupts.has(conversationId)
    // A child task is cancelled when its parent is, or ends without its result.
    const parent = task.parent && observed.tasks.get(task.parent.taskId)?.task
    const isOrphan = parent !== undefined && (isCancelled(parent) || parent.status === "error")
    if (task.status === "cancelled" && !isCancelled(task) && !isOrphan) {
      broken("P6", `${task.id} is cancelled, and nobody cancelled it`, task.id)
    }
  }
}

const checkEnd = ({ log, task }: Kept, { commits, plan, tasks }: Observed, ends: Ends, broken: Broken): void => {
  const terminals = log.filter(({ event }) => isTerminal(event)).length
  const last = log.at(-1)
  if (terminals !== 1 || last === undefined || !isTerminal(last.event)) {
    return broken(
      "P4",
      `the log of ${task.id} has ${terminals} terminal events, and ends with ${last?.event.type}`,
      task.id
    )
  }
  if (terminalStatus(last.event) !== task.status) {
    broken("P4", `${task.id} is ${task.status}, and its log says ${last.event.type}`, task.id)
  }
  const { event } = last
  if (event.type === "error" && !allowed.has(event.error)) {
    broken("P8", `${task.id} ended with ${event.error}: ${event.detail}`, task.id)
  }
  // The time of the commit: the time of an event may be older by the latency of the store. A child has the time of its parent.
  const [begin] = (task.parent && tasks.get(task.parent.taskId)?.log) ?? log
  const age = (commits[ends.get(task.id) ?? 0]?.at ?? 0) - (begin?.at ?? 0)
  if (event.type === "error" && event.error === "DeadlineExceeded" && age < plan.limits.taskTimeoutMillis - 1) {
    broken("P8", `${task.id} reached its deadline after ${age} ms`, task.id)
  }
  const open = new Set<string>()
  for (const { event } of log) {
    if (event.type === "message") {
      for (const part of event.message.content) if (part.type === "tool_call") open.add(part.toolCallId)
    }
    if (event.type === "tool_call") open.add(event.toolCallId)
    if (event.type === "tool_result") open.delete(event.toolCallId)
  }
  if (open.size > 0) broken("P7", `calls ${[...open].join()} of ${task.id} have no result`, task.id)
}
