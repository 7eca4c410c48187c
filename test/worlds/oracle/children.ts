/**
 * Child tasks: a tool call has one child, which its event names; the end of the child is the result of the call; and no child works
 * on when its parent has ended (P7, P10). No list of conversations has that of a child.
 */
import { childTaskId, isChildConversation, type TaskId } from "@perennial/domain/Ids"
import { text } from "@perennial/domain/Message"
import type { OfType, StoredEvent } from "@perennial/domain/TaskEvent"
import { quietAt } from "../plan.ts"
import { beginning } from "../simulation.ts"
import type { Kept, Observed } from "../world.ts"
import type { Ends } from "./commits.ts"
import type { Broken } from "./violation.ts"

/** How long a child may work on when its parent has ended, in milliseconds, once everything works: a lease, and a grace. */
const allowed = 25_000
/** The same in a world in which the store and all processes work all the time: until a heartbeat, and its finalizers. */
const allowedAtBest = 6_000

export const checkChildren = (observed: Observed, ends: Ends, broken: Broken): void => {
  for (const id of observed.listed) {
    if (isChildConversation(id)) broken("P10", `the list of conversations has ${id}, which belongs to a child task`, id)
  }
  const results = resultsOf(observed)
  for (const parent of observed.tasks.values()) {
    const named = namedIn(parent.log)
    for (const [i, { childTaskId: child, toolCallId }] of named.entries()) {
      if (
        child !== childTaskId(parent.task.id, i + 1) || named.findIndex((one) => one.toolCallId === toolCallId) !== i
      ) {
        broken("P10", `call ${toolCallId} of ${parent.task.id} names another child, ${child}`, parent.task.id)
      }
      const result = results.get(`${parent.task.id}/${toolCallId}`)
      if (result !== undefined) checkResult(parent, child, result, observed, ends, broken)
    }
  }
  for (const { task: { id, parent: link } } of observed.tasks.values()) {
    if (link === undefined) continue
    const parent = observed.tasks.get(link.taskId)
    if (parent === undefined) {
      broken("P10", `${id} is the child of ${link.taskId}, which was never there`, id)
      continue
    }
    const event = parent.log[link.seq - 1]?.event
    if (event?.type !== "tool_call" || event.childTaskId !== id || event.toolCallId !== link.toolCallId) {
      broken("P10", `event ${link.seq} of ${link.taskId} does not name its child ${id}`, id, link.taskId)
    }
    checkOrphan(id, link.taskId, observed, ends, broken)
  }
}

type NamingEvent = OfType<"tool_call"> & { readonly childTaskId: TaskId }

const namedIn = (log: ReadonlyArray<StoredEvent>): ReadonlyArray<NamingEvent> =>
  log.flatMap(({ event }) =>
    event.type === "tool_call" && event.childTaskId !== undefined ? [{ ...event, childTaskId: event.childTaskId }] : []
  )

interface Result {
  readonly event: OfType<"tool_result">
  /** The commit that stored it. */
  readonly n: number
}

/** The results that agents gave, by task and call. */
const resultsOf = ({ commits }: Observed): ReadonlyMap<string, Result> => {
  const results = new Map<string, Result>()
  for (const commit of commits) {
    if (commit.method !== "append") continue
    for (const [i, { claim, events }] of commit.args[0].entries()) {
      if (commit.value[i]?.ok !== true) continue
      for (const { event } of events) {
        if (event.type === "tool_result") results.set(`${claim.taskId}/${event.toolCallId}`, { event, n: commit.n })
      }
    }
  }
  return results
}

/** A result tells the end of the child, unless the parent ended without it. */
const checkResult = (
  { task: { id: parent, status } }: Kept,
  id: TaskId,
  { event, n }: Result,
  { tasks }: Observed,
  ends: Ends,
  broken: Broken
): void => {
  const say = (what: string) => broken("P10", `call ${event.toolCallId} of ${parent} ${what}`, parent, id)
  if (event.status === "interrupted") {
    if (status === "completed") say(`has no result of ${id}, and the task is completed`)
    return
  }
  const child = tasks.get(id)
  if (child === undefined) return say(`has a result, and there is no ${id}`)
  if ((ends.get(id) ?? Number.POSITIVE_INFINITY) >= n) return say(`has its result before ${id} ended`)
  if ((event.status === "completed") !== (child.task.status === "completed")) {
    return say(`is ${event.status}, and ${id} is ${child.task.status}`)
  }
  const last = child.log.findLast(({ event }) => event.type === "message")?.event
  const answer = last?.type === "message" ? text(last.message) : ""
  if (event.status === "completed" && event.result !== answer) {
    say(`has the result ${JSON.stringify(event.result)}, and ${id} answered ${JSON.stringify(answer)}`)
  }
}

/** The child of a task that has ended ends, too. */
const checkOrphan = (
  id: TaskId,
  parent: TaskId,
  { commits, plan }: Observed,
  ends: Ends,
  broken: Broken
): void => {
  const timeOf = (n: number | undefined) => (n === undefined ? undefined : commits[n]?.at)
  const [ended, parentEnded] = [timeOf(ends.get(id)), timeOf(ends.get(parent))]
  if (ended === undefined || parentEnded === undefined) return
  const { late, refused, slow, unanswered } = plan.weather
  const isCalm = late + refused + slow + unanswered + plan.faults.length === 0
  const limit = isCalm ? parentEnded + allowedAtBest : Math.max(parentEnded, beginning + quietAt) + allowed
  if (ended > limit) broken("P7", `${id} ended ${ended - parentEnded} ms after its parent`, id, parent)
}
