/**
 * What a fault run found, for people.
 */
import { Console, Effect } from "effect"
import * as Owners from "./checkOwners.ts"
import type { Observed, Violation } from "./observed.ts"
import type { Run } from "./run.ts"

/** Violations that are shown; one cause has many. */
const shown = 20

const longest = (waits: ReadonlyArray<Owners.Wait>): string =>
  waits.length === 0 ? "none" : String(Math.max(...waits.map(({ millis }) => millis)))

const figuresOf = (observed: Observed): ReadonlyArray<readonly [string, string | number]> => {
  const { deaths, kept, leaseMillis, readings } = observed
  const orphans = Owners.orphans(observed)
  const calm = orphans.filter(({ outageMillis }) => outageMillis === 0)
  const stormy = orphans.filter(({ outageMillis }) => outageMillis > 0)
  const died = (how: string) => deaths.filter((death) => death.how === how).length
  return [
    ["tasks", kept.length],
    ["events kept", kept.reduce((sum, { log }) => sum + log.length, 0)],
    ["readers", readings.length],
    ["connections of readers", readings.reduce((sum, { connections }) => sum + connections, 0)],
    ["events checked at readers", readings.reduce((sum, { seen }) => sum + seen.length, 0)],
    [
      "processes killed, frozen, told to end, died",
      `${died("killed")}, ${died("frozen")}, ${died("terminated")}, ${died("died")}`
    ],
    ["orphans", orphans.length],
    [`longest wait of an orphan, ms (at most ${leaseMillis + 2_000})`, longest(calm)],
    ["the same with an outage of the store in between, ms", longest(stormy)],
    [
      "longest wait of a task handed over, ms",
      longest(Owners.handOvers(observed).filter((wait) => wait.outageMillis === 0))
    ]
  ]
}

export const report = Effect.fnUntraced(function*(
  run: Run,
  observed: Observed,
  violations: ReadonlyArray<Violation>
) {
  const { directory, store } = run.world
  for (const [name, value] of [...figuresOf(observed), ...run.figures]) {
    yield* Console.log(`${store.name}: ${name}: ${value}`)
  }
  for (const { promise, what } of violations.slice(0, shown)) yield* Console.log(`${store.name}: ${promise}: ${what}`)
  if (violations.length > shown) yield* Console.log(`${store.name}: and ${violations.length - shown} more`)
  if (violations.length > 0) yield* Console.log(`${store.name}: the servers' logs are in ${directory}`)
})
