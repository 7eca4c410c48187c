/**
 * Stretches of time in which nobody could have done anything about a task.
 */
import type { Observed } from "./observed.ts"
import { isPause, occupied, type Tenure } from "./tenures.ts"

export interface Interval {
  readonly from: number
  readonly to: number
}

/** The same time as intervals that do not overlap, in order. */
const merged = (intervals: ReadonlyArray<Interval>): ReadonlyArray<Interval> => {
  const all: Array<Interval> = []
  for (const { from, to } of intervals.toSorted((a, b) => a.from - b.from)) {
    const last = all.at(-1)
    if (last === undefined || last.to < from) all.push({ from, to })
    else all[all.length - 1] = { from: last.from, to: Math.max(last.to, to) }
  }
  return all
}

/** How much of the time from one moment to another lies in some of these intervals. */
export const overlap = (intervals: ReadonlyArray<Interval>, from: number, to: number): number =>
  merged(intervals.filter((one) => one.to > from && one.from < to))
    .reduce((sum, one) => sum + Math.min(to, one.to) - Math.max(from, one.from), 0)

/** The longest stretch of the time from one moment to another that lies in none of these intervals. */
export const longestGap = (intervals: ReadonlyArray<Interval>, from: number, to: number): number => {
  let longest = 0
  let since = from
  for (const one of merged(intervals)) {
    if (one.to <= since) continue
    if (one.from >= to) break
    longest = Math.max(longest, one.from - since)
    since = one.to
  }
  return Math.max(longest, to - since)
}

/** When a process was frozen or cut off. */
export const pauses = ({ deaths }: Observed, pid: number): ReadonlyArray<Interval> =>
  deaths.flatMap((death) =>
    isPause(death) && death.pid === pid ? [{ from: death.at, to: death.until ?? Infinity }] : []
  )

interface Change {
  readonly at: number
  readonly pid: number
  /** Taken places, and how many things keep the process from taking more: it is not up, or paused. */
  readonly taken: number
  readonly away: number
}

/** A place is taken before the claim that needs it: of many tasks that are taken up at once, for the last one so long. */
const admittedMillis = 1_000

/** When no process had a place for one more task. */
export const full = (observed: Observed, all: ReadonlyArray<Tenure>): ReadonlyArray<Interval> => {
  const { capacity, lives } = observed
  const changes: Array<Change> = []
  const during = ({ from, to }: Interval, pid: number, change: Pick<Change, "taken" | "away">) =>
    changes.push({ at: from, pid, ...change }, { at: to, pid, taken: -change.taken, away: -change.away })
  for (const { from, pid, to = Infinity } of lives) {
    during({ from, to }, pid, { taken: 0, away: -1 })
    for (const paused of pauses(observed, pid)) during(paused, pid, { taken: 0, away: 1 })
  }
  for (const tenure of all) {
    const { from, to } = occupied(observed, tenure)
    during({ from: from - admittedMillis, to }, tenure.claim.pid, { taken: 1, away: 0 })
  }

  const states = new Map<number, { taken: number; away: number }>()
  const intervals: Array<Interval> = []
  let since: number | undefined
  for (const { at, away, pid, taken } of changes.toSorted((a, b) => a.at - b.at)) {
    const before = states.get(pid) ?? { taken: 0, away: 1 }
    states.set(pid, { taken: before.taken + taken, away: before.away + away })
    const isFull = [...states.values()].every(({ away, taken }) => away > 0 || taken >= capacity)
    if (isFull) since ??= at
    else if (since !== undefined) {
      intervals.push({ from: since, to: at })
      since = undefined
    }
  }
  return since === undefined ? intervals : [...intervals, { from: since, to: Infinity }]
}
