/**
 * P7 and P8: every task ends. As long as nothing happens to processes and store, it takes no longer than its work, and a
 * cancelled task no longer than a take-over and finalizers.
 */
import * as TaskEvent from "@perennial/domain/TaskEvent"
import { type Interval, longestGap } from "./intervals.ts"
import type { Accepted, Kept, Observed, Violation } from "./observed.ts"
import { graceMillis } from "./waits.ts"

/** For finalizers, what clients and stores need, and a machine that is busy with other things. */
const patienceMillis = 30_000
/** For timers of a busy machine, and for work that is done again after a fault. */
const slowness = 2

/** When the harness did something that may hold tasks up. */
const faults = ({ absences, cuts, deaths, outages }: Observed): ReadonlyArray<Interval> => [
  ...outages,
  ...absences,
  ...deaths.map(({ at, gone = at, until = at }) => ({ from: at, to: Math.max(gone, until) })),
  ...cuts.map((at) => ({ from: at, to: at }))
]

const endOf = ({ log }: Kept): number | undefined => log.find(({ event }) => TaskEvent.isTerminal(event))?.at

const plannedMillis = ({ drip, steps, words }: Accepted["plan"]): number =>
  (steps.length + 1) * words * drip +
  steps.reduce((sum, calls) => sum + Math.max(0, ...calls.map(({ millis }) => millis)), 0)

/** P8: a task, and those before it in its conversation, ended in time once nothing happened to them any more. */
export const ends = (observed: Observed): ReadonlyArray<Violation> => {
  const { accepted, kept, leaseMillis } = observed
  const all = faults(observed)
  const plans = new Map(accepted.map(({ plan, taskId }) => [taskId, plan]))
  return [...Map.groupBy(kept, ({ task }) => task.conversationId).values()].flatMap((tasks) => {
    const ended = tasks.flatMap((one) => {
      const from = one.log[0]?.at
      const to = endOf(one)
      const plan = plans.get(one.task.id)
      return from === undefined || to === undefined || plan === undefined
        ? []
        : [{ id: one.task.id, from, to, millis: plannedMillis(plan) }]
    })
    return ended.flatMap(({ from, id, to }) => {
      const millis = ended.reduce((sum, one) => one.from <= from && one.to > from ? sum + one.millis : sum, 0)
      const allowed = leaseMillis + graceMillis + patienceMillis + slowness * millis
      const took = longestGap(all, from, to)
      return took <= allowed ? [] : [{
        promise: "P8",
        what: `task ${id} did not end in ${took} ms in which nothing happened: its work takes ${millis} ms`
      }]
    })
  })
}

/** P7: a cancel ends a task, in time once nothing happened to it any more. */
export const cancels = (observed: Observed): ReadonlyArray<Violation> => {
  const all = faults(observed)
  const allowed = observed.leaseMillis + graceMillis + patienceMillis
  const kept = new Map(observed.kept.map((one): [string, Kept] => [one.task.id, one]))
  return observed.cancels.flatMap(({ at, taskId }) => {
    const one = kept.get(taskId)
    const to = one === undefined ? undefined : endOf(one)
    if (to === undefined) return [{ promise: "P7", what: `task ${taskId} was cancelled, and has not ended` }]
    const took = longestGap(all, at, to)
    return took <= allowed
      ? []
      : [{
        promise: "P7",
        what: `task ${taskId} was cancelled, and did not end in ${took} ms in which nothing happened`
      }]
  })
}
