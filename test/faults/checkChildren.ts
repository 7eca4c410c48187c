/** P7 and P10: a call has one child task, and no child task works on when its parent has ended. */
import * as TaskEvent from "@perennial/domain/TaskEvent"
import type { Kept, Observed, Violation } from "./observed.ts"
import { graceMillis } from "./waits.ts"

const endOf = ({ log }: Kept): number | undefined => log.find(({ event }) => TaskEvent.isTerminal(event))?.at

export const children = ({ kept, leaseMillis }: Observed): ReadonlyArray<Violation> => {
  const byId = new Map(kept.map((one): [string, Kept] => [one.task.id, one]))
  return kept.flatMap((one): ReadonlyArray<Violation> => {
    const { parent: link, id } = one.task
    if (link === undefined) return []
    const parent = byId.get(link.taskId)
    // A log that was removed says nothing.
    if (parent === undefined || parent.log.length === 0 || one.log.length === 0) return []
    const { event } = parent.log[link.seq - 1] ?? {}
    if (event?.type !== "tool_call" || event.childTaskId !== id || event.toolCallId !== link.toolCallId) {
      return [{ promise: "P10", what: `event ${link.seq} of task ${link.taskId} does not name its child ${id}` }]
    }
    const named = parent.log.filter(({ event }) =>
      event.type === "tool_call" && event.toolCallId === link.toolCallId && event.childTaskId !== undefined
    )
    if (named.length > 1) {
      return [{
        promise: "P10",
        what: `call ${link.toolCallId} of task ${link.taskId} names ${named.length} child tasks`
      }]
    }
    const [ended, after] = [endOf(parent), endOf(one)]
    // A child whose owner is dead ends when another process takes it up.
    const allowed = leaseMillis + graceMillis
    return ended !== undefined && after !== undefined && after > ended + allowed
      ? [{ promise: "P7", what: `child ${id} ended ${after - ended} ms after its parent` }]
      : []
  })
}
