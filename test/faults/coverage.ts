/**
 * What happened in a run, and that it was enough: a run in which nothing happened has shown nothing.
 */
import { countNames, type Counts, type Observed, type Violation } from "./observed.ts"
import * as Waits from "./waits.ts"

/** What every run has. */
const always: Partial<Counts> = { tasks: 1, events: 1, readers: 1, "events checked at readers": 1 }

const total = <A>(all: ReadonlyArray<A>, count: (one: A) => number): number =>
  all.reduce((sum, one) => sum + count(one), 0)

export const counts = (observed: Observed): Counts => {
  const { cancels, content, cuts, deaths, faceReadings, kept, lives, proxies, readings, refusals, restarts } = observed
  const waits = Waits.waits(observed)
  const died = (how: string) => deaths.filter((death) => death.how === how).length
  const waited = (kind: Waits.Wait["kind"]) => waits.filter((wait) => wait.kind === kind).length
  return {
    tasks: kept.length,
    events: total(kept, ({ log }) => log.length),
    readers: readings.length,
    "stalled readers": readings.filter(({ stalled }) => stalled !== undefined).length,
    "readers through faces": faceReadings.length,
    "events checked at readers": total(readings, ({ seen }) => seen.length),
    "processes killed -9": died("killed"),
    "processes frozen": died("frozen"),
    "processes cut off": died("cutOff"),
    "processes told to end": died("terminated"),
    "processes whose clock was wrong": lives.filter(({ clockAhead }) => clockAhead !== 0).length,
    "restarts of the store": restarts,
    "times the store refused writes": refusals,
    "connections through a proxy": total(proxies, ({ connections }) => connections),
    "connections that a proxy cut": total(proxies, ({ cut }) => cut),
    "connections that a proxy left half-open": total(proxies, ({ halfOpen }) => halfOpen),
    "times all connections to the store were cut": cuts.length,
    orphans: waited("orphaned"),
    "tasks handed over": waited("handedOver"),
    "tasks cancelled": cancels.length,
    "child tasks": kept.filter(({ task }) => task.parent !== undefined).length,
    "content at a bound that was accepted": content.accepted,
    "content over a bound that was refused": content.refused
  }
}

/** What several cases need, together. */
export const sum = (all: ReadonlyArray<Partial<Counts>>): Partial<Counts> =>
  Object.fromEntries(countNames.map((name) => [name, all.reduce((sum, one) => sum + (one[name] ?? 0), 0)]))

/** Everything happened as often as the cases of the run need it. */
export const enough = (observed: Observed): ReadonlyArray<Violation> => {
  const happened = counts(observed)
  return countNames.flatMap((name) => {
    const least = Math.max(observed.least[name] ?? 0, always[name] ?? 0)
    return happened[name] >= least
      ? []
      : [{ promise: "run", what: `${name}: ${happened[name]}, at least ${least} would have shown something` }]
  })
}
