/** What clients were told is true, and has an order (P1, P2, P4, P7). */
import { isTerminal } from "@perennial/domain/Task"
import type { Call } from "../clients.ts"
import type { Observed } from "../world.ts"
import { isTimedOut } from "./approvals.ts"
import type { Ends } from "./commits.ts"
import { findOrder, type Operation } from "./linearizable.ts"
import type { Broken } from "./violation.ts"

/** Answers that mean nothing for the order: the request was refused for another reason. */
const refusals: ReadonlySet<string> = new Set([
  "CapacityExceeded",
  "MessageNotFound",
  "ConversationNotFound",
  "TaskNotFound"
])

export const checkAnswers = (observed: Observed, ends: Ends, broken: Broken): void => {
  for (const call of observed.history.calls) checkAnswer(call, observed, ends, broken)
  const accepted = acceptedOf(observed)
  for (const { act, conversation, name } of observed.history.calls) {
    const tasks = accepted.get(name) ?? none
    const deleted = observed.history.calls.some((call) =>
      call.act.type === "delete" && call.conversation === conversation
    )
    if (act.type === "start" && tasks.size > 1 && !deleted) {
      broken("P2", `request ${name} was accepted as ${[...tasks].join(" and ")}`, ...tasks)
    }
  }
  for (const conversation of observed.conversations.keys()) {
    const operations = [
      ...observed.history.calls.flatMap((call) =>
        call.conversation === conversation ? operationsOf(call, accepted.get(call.name) ?? none) : []
      ),
      ...exactOperations(observed, conversation, ends)
    ]
    const order = findOrder(operations, observed.plan.limits.queuedPerConversation)
    if (order !== "none") continue
    const told = operations.map(({ from, until, ...operation }) => `${JSON.stringify(operation)} in ${from}..${until}`)
    broken("P2", `what clients of ${conversation} were told has no order: ${told.join("; ")}`, conversation)
  }
}

const none: ReadonlySet<string> = new Set()

const statuses: ReadonlySet<string> = new Set(["completed", "error", "cancelled"])

const checkAnswer = (call: Call, { tasks }: Observed, ends: Ends, broken: Broken): void => {
  const { act, name, result, taskId, until } = call
  if (result === "died") broken("P4", `request ${name} (${act.type}) died`, name, taskId ?? "")
  if (taskId === undefined) return
  const task = tasks.get(taskId)?.task
  if (act.type === "start" && result === "ok" && task === undefined) {
    broken("P1", `${taskId} was accepted and is not there`, taskId)
  }
  if ((act.type !== "cancel" && act.type !== "await") || task === undefined) return
  const promise = act.type === "cancel" ? "P7" : "P4"
  if (result === "queued" || result === "running") {
    return broken(promise, `${act.type} of ${taskId} said ${result}`, taskId)
  }
  if (!statuses.has(result)) return
  if (result !== task.status && isTerminal(task.status)) {
    broken(promise, `${act.type} of ${taskId} said ${result}, and it is ${task.status}`, taskId)
  }
  if ((ends.get(taskId) ?? Number.POSITIVE_INFINITY) >= until) {
    broken(promise, `${act.type} of ${taskId} returned before its end`, taskId)
  }
}

/** The tasks that the store made of each request. A repeated request finds the task of the first, until that is deleted. */
const acceptedOf = ({ commits }: Observed): ReadonlyMap<unknown, ReadonlySet<string>> => {
  const accepted = new Map<unknown, Set<string>>()
  for (const commit of commits) {
    // A child task has the metadata of its parent.
    if (commit.method !== "create" || commit.value.task.parent !== undefined) continue
    const request = commit.args[0].spec.metadata?.["request"]
    const tasks = accepted.get(request) ?? new Set()
    accepted.set(request, tasks.add(commit.value.task.id))
  }
  return accepted
}

/** One act of a client as operations of its conversation. */
const operationsOf = (call: Call, accepted: ReadonlySet<string>): ReadonlyArray<Operation> => {
  const { act, approved, from, result, sure, toolCallId, until } = call
  if (act.type === "start") {
    if (accepted.size > 0) {
      return [...accepted].map((taskId): Operation => ({
        type: "start",
        onBusy: act.onBusy,
        taskId,
        from,
        until: result === "ok" && taskId === call.taskId ? until : Number.POSITIVE_INFINITY
      }))
    }
    const refused = sure && !refusals.has(result)
    if (refused && result === "ConversationBusy") return [{ type: "busy", from, until }]
    return refused && result === "QueueFull" ? [{ type: "full", from, until }] : []
  }
  if (act.type === "decide") {
    const key = `${call.taskId}/${toolCallId}`
    const value = String(approved)
    if (result === "unknown" || !decisions.has(result)) {
      return [{
        type: "decide",
        key,
        value,
        taskId: call.taskId ?? "",
        optional: true,
        from,
        until: Number.POSITIVE_INFINITY
      }]
    }
    return result === "ok"
      ? [{ type: "decide", key, value, taskId: call.taskId ?? "", from, until }]
      : [{ type: "refused", decided: result === "AlreadyDecided", key, value, from, until }]
  }
  if (act.type === "delete") {
    const late: Operation = { type: "delete", optional: true, from, until: Number.POSITIVE_INFINITY }
    if (result === "ok") return [{ type: "delete", from, until }, ...sure ? [] : [late]]
    return result === "ConversationBusy" && sure ? [{ type: "busy", from, until }] : [late]
  }
  return []
}

const decisions: ReadonlySet<string> = new Set(["ok", "AlreadyDecided", "ToolCallNotFound"])

/** The value of a decision that nobody made in time. */
const timedOut = "timed out"

/** What the store itself says: the ends of tasks, and decisions that no client made. */
const exactOperations = ({ commits, tasks }: Observed, conversation: string, ends: Ends): ReadonlyArray<Operation> => {
  const operations: Array<Operation> = []
  for (const { task } of tasks.values()) {
    const at = ends.get(task.id)
    if (task.conversationId === conversation && at !== undefined) {
      operations.push({ type: "end", taskId: task.id, from: at + 0.5, until: at + 0.5 })
    }
  }
  for (const commit of commits) {
    if (commit.method !== "putIntent" || !commit.value.written) continue
    const [taskId, intent] = commit.args
    if (commit.value.task.conversationId !== conversation || !isTimedOut(intent)) continue
    const at = commit.n + 0.5
    operations.push({
      type: "decide",
      key: intent.key.replace("decision", taskId),
      value: timedOut,
      taskId,
      from: at,
      until: at
    })
  }
  return operations
}
