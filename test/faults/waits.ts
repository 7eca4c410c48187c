/**
 * How long tasks were without an owner: new ones, those whose turn had come, those of processes that were gone.
 */
import type { TaskId } from "@perennial/domain/Ids"
import { full, type Interval, overlap, pauses } from "./intervals.ts"
import { ofType } from "./ledger.ts"
import type { Kept, Observed } from "./observed.ts"
import { isPause, type Tenure, tenures } from "./tenures.ts"

export interface Wait {
  readonly taskId: string
  readonly kind: "accepted" | "orphaned" | "handedOver"
  /** The process that had it before. */
  readonly pid?: number
  readonly millis: number
  /** How much of it nobody could have done anything: the store was away or slow, no process was there or had a place. */
  readonly excusedMillis: number
  /** How long it may have been at most. */
  readonly allowedMillis: number
}

/** Beyond the lease: for the sweep, and for the claim itself. */
export const graceMillis = 2_000

interface Span {
  readonly taskId: string
  readonly kind: Wait["kind"]
  readonly pid?: number
  readonly from: number
  /** The next claim that is known. */
  readonly claim: Tenure["claim"]
  /** Claims before that one that the ledger does not have: their owners died before they had written them down. */
  readonly missing: number
}

/**
 * The one that waited longest of the waits between two moments, where so many owners may have been in between, each of which
 * died at one of these times at once: as short as it can have been.
 */
const longestHop = (
  { from, to }: Interval,
  ends: ReadonlyArray<number>,
  owners: number,
  cost: (hop: Interval) => number
): Interval => {
  let best: Interval = { from, to }
  if (owners === 0) return best
  for (const end of ends) {
    if (end <= from || end >= to) continue
    const before = { from, to: end }
    const after = longestHop({ from: end, to }, ends, owners - 1, cost)
    const worse = cost(before) > cost(after) ? before : after
    if (cost(worse) < cost(best)) best = worse
  }
  return best
}

const toWait = (observed: Observed, whenFull: ReadonlyArray<Interval>) => {
  const { absences, deaths, leaseMillis, ledger, outages, slow } = observed
  const released = Map.groupBy(ofType(ledger, "released"), ({ taskId }) => taskId)
  return ({ claim, from, kind, missing, pid, taskId }: Span): Wait => {
    const excuses = [...outages, ...absences, ...whenFull, ...pauses(observed, claim.pid)]
    const bound = kind === "handedOver" && missing === 0 ? graceMillis : leaseMillis + graceMillis
    const excused = ({ from, to }: Interval) => overlap(excuses, from, to)
    const excusedOrSlow = ({ from, to }: Interval) => overlap([...excuses, ...slow], from, to)
    // After an outage in which leases ran out owners first get a third of the lease to renew theirs, and connections are
    // made again with up to a second between two tries.
    const allowed = (hop: Interval) => {
      const millis = excusedOrSlow(hop)
      if (excused(hop) > 0) return bound + millis + leaseMillis / 3 + graceMillis
      // So they do after an outage that ended just before: its first renewals give tasks back that had no lease.
      const afterOutage = outages.some(({ to }) => to <= hop.from && hop.from - to < leaseMillis)
      return bound + millis + (afterOutage ? leaseMillis / 3 : 0)
    }
    const ends = [...deaths, ...released.get(taskId) ?? []].map(({ at }) => at)
    const hop = longestHop({ from, to: claim.at }, ends, missing, (hop) => hop.to - hop.from - allowed(hop))
    return {
      taskId,
      kind,
      ...(pid === undefined ? {} : { pid }),
      millis: Math.max(0, hop.to - hop.from),
      excusedMillis: excusedOrSlow(hop),
      allowedMillis: allowed(hop)
    }
  }
}

/** From when a task could run: it is accepted, and the one before it in its conversation has ended. */
const accepted = ({ kept }: Observed, all: ReadonlyArray<Tenure>): ReadonlyArray<Span> => {
  const first = new Map<string, Tenure["claim"]>()
  for (const { claim } of all) if (!first.has(claim.taskId)) first.set(claim.taskId, claim)
  const ends = ({ log, task }: Kept) => ({ id: task.id, at: log.at(-1)?.at ?? Infinity })
  return [...Map.groupBy(kept, ({ task }) => task.conversationId).values()].flatMap((tasks) => {
    const ended = tasks.map(ends)
    return tasks.flatMap(({ log, task }) => {
      const claim = first.get(task.id)
      const ack = log[0]
      if (claim === undefined || ack === undefined) return []
      const before = ended.flatMap(({ at, id }: { at: number; id: TaskId }) =>
        id !== task.id && at <= claim.at ? [at] : []
      )
      const from = Math.max(ack.at, ...before)
      return [{ taskId: task.id, kind: "accepted" as const, from, claim, missing: claim.attempt - 1 }]
    })
  })
}

/** From when a task was without the owner it had. */
const leftAlone = (observed: Observed, { claim, left, next }: Tenure): ReadonlyArray<Span> => {
  const { deaths, leaseMillis } = observed
  if (next === undefined) return []
  const span = { taskId: claim.taskId, pid: claim.pid, claim: next, missing: next.attempt - claim.attempt - 1 }
  const orphaned = deaths.flatMap((death): ReadonlyArray<Span> => {
    const { at, pid, until = Infinity } = death
    if (pid !== claim.pid || at < claim.at || at > next.at) return []
    if (left !== undefined && (left.at < at || left.type === "finished" || isPause(death) && left.at < next.at)) {
      return []
    }
    // It was back before anybody had to take over, and went on.
    if (next.at > until && until - at < leaseMillis + graceMillis) return []
    return [{ ...span, kind: "orphaned", from: at }]
  })
  return left?.type === "released"
    ? [...orphaned, { ...span, kind: "handedOver", from: Math.min(left.at, next.at) }]
    : orphaned
}

/** All waits of a run for the next owner that is known. */
export const waits = (observed: Observed): ReadonlyArray<Wait> => {
  const all = tenures(observed.ledger)
  const spans = [...accepted(observed, all), ...all.flatMap((tenure) => leftAlone(observed, tenure))]
  return spans.map(toWait(observed, full(observed, all)))
}
