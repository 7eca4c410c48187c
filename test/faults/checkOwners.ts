/**
 * P8 and P11: how long tasks were without an owner, and how many a process owned at once.
 */
import type { Entry, Of } from "./ledger.ts"
import type { Observed, Violation } from "./observed.ts"

/** How long a task of a dead, frozen or leaving process waited for the next one. */
export interface Wait {
  readonly taskId: string
  readonly pid: number
  readonly millis: number
  /** How much of it the store was away, or no process was there. */
  readonly outageMillis: number
}

/** What a process did to a task, from its claim to the end of its part. */
interface Tenure {
  readonly claim: Of<"claimed">
  /** When it ended the task or gave it up. */
  left: Of<"finished"> | Of<"released"> | undefined
  next: Of<"claimed"> | undefined
}

const tenures = (ledger: ReadonlyArray<Entry>): ReadonlyArray<Tenure> => {
  const all: Array<Tenure> = []
  const current = new Map<string, Tenure>()
  for (const entry of ledger.toSorted((a, b) => a.at - b.at)) {
    const tenure = current.get(entry.taskId)
    // Written late, by a process that was frozen between the claim and this line: when it claimed is not known.
    if (entry.type === "claimed" && tenure !== undefined && tenure.claim.attempt > entry.attempt) continue
    if (entry.type === "claimed") {
      if (tenure !== undefined) tenure.next = entry
      const next: Tenure = { claim: entry, left: undefined, next: undefined }
      current.set(entry.taskId, next)
      all.push(next)
    } else if ((entry.type === "finished" || entry.type === "released") && tenure?.claim.pid === entry.pid) {
      tenure.left = entry
    }
  }
  return all
}

const overlap = (outages: Observed["outages"], from: number, to: number): number =>
  outages.reduce((sum, outage) => sum + Math.max(0, Math.min(to, outage.to) - Math.max(from, outage.from)), 0)

/** Beyond the lease: for the sweep, and for the claim itself. */
const graceMillis = 2_000

/** Tasks whose owner died, or was frozen for longer than its lease: until another process had them. */
export const orphans = ({ deaths, leaseMillis, ledger, outages }: Observed): ReadonlyArray<Wait> => {
  const owned = Map.groupBy(tenures(ledger), ({ claim }) => claim.pid)
  return deaths.filter(({ how }) => how !== "terminated").flatMap(({ at, pid, until = Infinity }) =>
    (owned.get(pid) ?? []).flatMap(({ claim, left, next }) => {
      if (next === undefined || claim.at > at || next.at < at || (left !== undefined && left.at < next.at)) return []
      // It was back before anybody had to take over, and went on.
      if (next.at > until && until - at < leaseMillis + graceMillis) return []
      // A claim that was written down late may have been made by one that is not known.
      if (next.attempt !== claim.attempt + 1) return []
      return [{ taskId: claim.taskId, pid, millis: next.at - at, outageMillis: overlap(outages, at, next.at) }]
    })
  )
}

/** Tasks that a process gave up on purpose: until another process had them. */
export const handOvers = ({ ledger, outages }: Observed): ReadonlyArray<Wait> =>
  tenures(ledger).flatMap(({ claim, left, next }) =>
    // As above: the next claim must be known.
    left?.type !== "released" || next?.attempt !== claim.attempt + 1
      ? []
      : [{
        taskId: claim.taskId,
        pid: claim.pid,
        millis: Math.max(0, next.at - left.at),
        outageMillis: overlap(outages, left.at, next.at)
      }]
  )

/**
 * P8: nobody waited longer than lease + 2 s. After an outage of the store in which leases ran out, owners first get a third
 * of the lease to renew theirs, and connections are made again with up to a second between two tries.
 */
export const waits = (observed: Observed): ReadonlyArray<Violation> => {
  const { leaseMillis } = observed
  const late = (wait: Wait, bound: number, what: string): ReadonlyArray<Violation> => {
    const allowed = wait.outageMillis === 0 ? bound : bound + wait.outageMillis + leaseMillis / 3 + graceMillis
    return wait.millis <= allowed
      ? []
      : [{ promise: "P8", what: `task ${wait.taskId} waited ${wait.millis} ms after ${wait.pid} ${what}` }]
  }
  return [
    ...orphans(observed).flatMap((wait) => late(wait, leaseMillis + graceMillis, "was gone")),
    ...handOvers(observed).flatMap((wait) => late(wait, graceMillis, "had handed it over"))
  ]
}

/** P11: no process owned more tasks than it has places. */
export const places = ({ capacity, deaths, ledger }: Observed): ReadonlyArray<Violation> =>
  [...Map.groupBy(tenures(ledger), ({ claim }) => claim.pid)].flatMap(([pid, owned]) => {
    const death = deaths.find((one) => one.pid === pid)?.at ?? Infinity
    const changes = owned.flatMap(({ claim, left, next }) => [
      { at: claim.at, by: 1 },
      { at: left?.at ?? next?.at ?? death, by: -1 }
    ])
    let now = 0
    let most = 0
    for (const { by } of changes.toSorted((a, b) => a.at - b.at || a.by - b.by)) {
      now += by
      most = Math.max(most, now)
    }
    return most <= capacity ? [] : [{ promise: "P11", what: `process ${pid} ran ${most} tasks at once` }]
  })
