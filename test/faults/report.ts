/**
 * What a fault run found, for people.
 */
import { Console, Effect } from "effect"
import { givenUp } from "./checkLoops.ts"
import { largestGrowth } from "./checkReaders.ts"
import * as Coverage from "./coverage.ts"
import { countNames, type Observed, type Violation } from "./observed.ts"
import type { Run } from "./run.ts"
import * as Waits from "./waits.ts"

/** Violations that are shown; one cause has many. */
const shown = 20

const longest = (waits: ReadonlyArray<Waits.Wait>): string =>
  waits.length === 0 ? "none" : String(Math.max(...waits.map(({ millis }) => millis)))

const slowest = (slow: Observed["slow"]): string =>
  `${slow.length}, ${Math.max(0, ...slow.map(({ from, to }) => to - from))}`

const figuresOf = (observed: Observed): ReadonlyArray<readonly [string, string | number]> => {
  const { deaths, leaseMillis, least, lives, readings, slow } = observed
  const counts = Coverage.counts(observed)
  const waits = Waits.waits(observed)
  const of = (kind: Waits.Wait["kind"], excused = false) =>
    longest(waits.filter((wait) => wait.kind === kind && wait.excusedMillis > 0 === excused))
  const died = deaths.filter(({ how }) => how === "died").length
  const mebibytes = Math.round(largestGrowth(observed) / 2 ** 20)
  return [
    ...countNames.map((name) => [name, `${counts[name]}${least[name] ? ` (at least ${least[name]})` : ""}`] as const),
    ["connections of readers", readings.reduce((sum, { connections }) => sum + connections, 0)],
    ["processes in all, and those that died by themselves or did not come up", `${lives.length}, ${died}`],
    ["tasks given up because too many owners were lost in a row", givenUp(observed)],
    [`longest wait of an orphan, ms (at most ${leaseMillis + Waits.graceMillis})`, of("orphaned")],
    ["the same where the store was away or slow, or all processes were away, ms", of("orphaned", true)],
    ["times that a small write of the harness took over 500 ms, and the longest, ms", slowest(slow)],
    [`longest wait of a task handed over, ms (at most ${Waits.graceMillis})`, of("handedOver")],
    [`longest wait of a task whose turn had come, ms (at most ${leaseMillis + Waits.graceMillis})`, of("accepted")],
    [`most that a server grew by, MiB (at most ${observed.growthBytes / 2 ** 20})`, mebibytes]
  ]
}

export const report = Effect.fnUntraced(function*(
  run: Run,
  /** None where the store could not be read. */
  observed: Observed | undefined,
  violations: ReadonlyArray<Violation>
) {
  const { directory, store } = run.world
  const figures = observed === undefined ? [] : figuresOf(observed)
  for (const [name, value] of [...figures, ...run.figures]) yield* Console.log(`${store.name}: ${name}: ${value}`)
  for (const { promise, what } of violations.slice(0, shown)) yield* Console.log(`${store.name}: ${promise}: ${what}`)
  if (violations.length > shown) yield* Console.log(`${store.name}: and ${violations.length - shown} more`)
  if (violations.length > 0) yield* Console.log(`${store.name}: the servers' logs are in ${directory}`)
})
