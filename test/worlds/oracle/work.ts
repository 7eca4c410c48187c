/** What agents did: finished work is not repeated, unsafe work is done once, and capacity is a bound (P10, P11). */
import type { Observed } from "../world.ts"
import type { Broken } from "./violation.ts"

export const checkWork = ({ deeds, plan, tasks }: Observed, broken: Broken): void => {
  /** The attempt in which each tool call and each model response was finished. */
  const finished = new Map<string, number>()
  for (const { log, task } of tasks.values()) {
    let attempt = 0
    let messages = 0
    for (const { event } of log) {
      if (event.type === "started" || event.type === "resumed") attempt = event.attempt
      if (event.type === "message") finished.set(`${task.id}/m${messages++}`, attempt)
      if (event.type !== "tool_result") continue
      const call = `${task.id}/${event.toolCallId}`
      if (finished.has(call)) broken("P10", `${call} has two results`, task.id)
      finished.set(call, attempt)
    }
  }
  const done = new Set<string>()
  /** The work that each process does at present, by task. */
  const working = new Map<string, Map<string, number>>()
  for (const { attempt, call, process, taskId, tool, type } of deeds) {
    const here = working.get(process) ?? new Map<string, number>()
    working.set(process, here)
    const begins = type === "asked" || type === "entered"
    const count = (here.get(taskId) ?? 0) + (begins ? 1 : -1)
    if (tool !== "model") {
      if (count > 0) here.set(taskId, count)
      else here.delete(taskId)
    }
    if (!begins) continue
    if (here.size > plan.limits.capacity) {
      broken(
        "P11",
        `${process} works for ${[...here.keys()].join(", ")}; its capacity is ${plan.limits.capacity}`,
        process,
        ...here.keys()
      )
    }
    const what = `${taskId}/${type === "asked" ? "m" : ""}${call}`
    if (attempt > (finished.get(what) ?? Number.POSITIVE_INFINITY)) {
      broken("P10", `${what} is done again in attempt ${attempt}`, taskId)
    }
    const once = tool === "pay" ? what : `${what} ${attempt}`
    if (done.has(once)) broken("P10", `${what} (${tool}) is done twice`, taskId)
    done.add(once)
  }
}
