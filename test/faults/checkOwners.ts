/**
 * P8 and P11: tasks are never without an owner for long, processes end as they must, and none owns more than it has places
 * for.
 */
import { type Interval, overlap } from "./intervals.ts"
import { ofType } from "./ledger.ts"
import type { Observed, Violation } from "./observed.ts"
import { occupied, type Tenure, tenures } from "./tenures.ts"
import * as Waits from "./waits.ts"
import type { Death } from "./world.ts"

const after = ({ kind, pid }: Waits.Wait): string => {
  switch (kind) {
    case "accepted":
      return "its turn had come"
    case "orphaned":
      return `${pid} was gone`
    case "handedOver":
      return `${pid} had handed it over`
  }
}

/** P8: nobody waited longer than lease + 2 s, and after a hand-over no longer than that 2 s. */
export const waits = (observed: Observed): ReadonlyArray<Violation> =>
  Waits.waits(observed).flatMap((wait) =>
    wait.millis <= wait.allowedMillis
      ? []
      : [{ promise: "P8", what: `task ${wait.taskId} waited ${wait.millis} ms after ${after(wait)}` }]
  )

/** P9: no task is taken from an owner that is well. */
export const undisturbed = ({ accepted, ledger }: Observed): ReadonlyArray<Violation> => {
  const claims = Map.groupBy(ofType(ledger, "claimed"), ({ taskId }) => taskId)
  return accepted.flatMap(({ taskId, undisturbed }) => {
    const owners = claims.get(taskId) ?? []
    return !undisturbed || owners.length <= 1 ? [] : [{
      promise: "P9",
      what: `task ${taskId} was taken from process ${owners[0]?.pid}, to which nothing had happened`
    }]
  })
}

/** Whether the process killed itself on a task, as that task asked it to. */
const diedOnTask = ({ ledger }: Observed, pid: number): boolean =>
  ofType(ledger, "dying").some((entry) => entry.pid === pid)

/** P8: a process that was told to end ended every task or gave it up, and then ended itself. */
const handedOver = (observed: Observed, { at, code, gone, pid }: Death, owned: ReadonlyArray<Tenure>) => {
  const { leaseMillis, ledger, outages } = observed
  if (gone === undefined) return [{ promise: "P8", what: `process ${pid}, told to end, did not` }]
  // Without the store nobody can hand over.
  if (diedOnTask(observed, pid) || overlap(outages, at - leaseMillis, gone) > 0) return []
  const refused = new Set(ofType(ledger, "refused").flatMap((entry) => entry.pid === pid ? [entry.taskId] : []))
  const kept = owned.filter(({ claim, left, next }) =>
    left === undefined && !refused.has(claim.taskId) && (next === undefined || next.at > at)
  )
  return [
    ...(code === 0 ? [] : [{ promise: "P8", what: `process ${pid}, told to end, exited with ${code}` }]),
    ...kept.map(({ claim }) => ({
      promise: "P8",
      what: `process ${pid}, told to end, neither ended task ${claim.taskId} nor gave it up`
    }))
  ]
}

/** P8: processes end when they are told to, as they must, and not by themselves. */
export const ends = (observed: Observed): ReadonlyArray<Violation> => {
  const owned = Map.groupBy(tenures(observed.ledger), ({ claim }) => claim.pid)
  const wereUp = new Set(observed.lives.map(({ pid }) => pid))
  return observed.deaths.flatMap((death): ReadonlyArray<Violation> => {
    if (death.how === "terminated") return handedOver(observed, death, owned.get(death.pid) ?? [])
    // One that does not come up, because it found no store, is tried again.
    return death.how === "died" && wereUp.has(death.pid) && !diedOnTask(observed, death.pid)
      ? [{ promise: "P8", what: `process ${death.pid} ended by itself with ${death.code}` }]
      : []
  })
}

/** An owner that could not renew its lease for as long as that may have stopped, and has not written it down. */
const longOutage = ({ leaseMillis }: Observed): number => leaseMillis / 2

/** From when to when a tenure certainly took a place. */
const certainlyOccupied = (observed: Observed, tenure: Tenure): Interval => {
  const { from, to } = occupied(observed, tenure)
  const outages = observed.outages.filter((one) => one.to - one.from >= longOutage(observed) && one.to > from)
  return { from, to: Math.max(from, Math.min(to, ...outages.map((one) => one.from))) }
}

/** P11: no process owned more tasks than it has places. */
export const places = (observed: Observed): ReadonlyArray<Violation> =>
  [...Map.groupBy(tenures(observed.ledger), ({ claim }) => claim.pid)].flatMap(([pid, owned]) => {
    const changes = owned.map((tenure) => certainlyOccupied(observed, tenure)).flatMap(({ from, to }) => [
      { at: from, by: 1 },
      { at: to, by: -1 }
    ])
    let now = 0
    let most = 0
    for (const { by } of changes.toSorted((a, b) => a.at - b.at || a.by - b.by)) {
      now += by
      most = Math.max(most, now)
    }
    return most <= observed.capacity ? [] : [{ promise: "P11", what: `process ${pid} ran ${most} tasks at once` }]
  })
