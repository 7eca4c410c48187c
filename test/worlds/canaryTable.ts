/** Shows how soon the oracle finds known bugs: the table of `docs/testing.md`. */
import { Console, Effect, Stream } from "effect"
import { availableParallelism } from "node:os"
import { canaries } from "./canaries.ts"
import { Failed } from "./failed.ts"
import { type Failure, runWorlds } from "./runWorlds.ts"

/** A bug that is not found within so many worlds is missed. */
const most = 1_000
/** A thread stops after so many worlds that broke. */
const enough = 1

const first = 1

const promisesOf = (failures: ReadonlyArray<Failure>): string => {
  const promises = failures.flatMap(({ violations }) => violations.slice(0, 1).map(({ promise }) => promise))
  return [...new Set(promises)].toSorted().join(", ")
}

/** `only`: a part of the names. */
export const canaryTable = Effect.fnUntraced(function*(only = "") {
  const chosen = canaries.filter(({ name }) => name.includes(only))
  const missed: Array<string> = []
  yield* Console.log(
    "| bug | first found in world | worlds that find it | broken promises |\n| --- | ---: | ---: | --- |"
  )
  const rowOf = Effect.fnUntraced(function*(canary: string) {
    const { failures, worlds } = yield* runWorlds({
      first,
      count: most,
      seconds: 3_600,
      workers: 1,
      repeatEvery: 0,
      maxFailures: enough,
      canary
    })
    const seeds = failures.map(({ seed }) => seed - first + 1)
    if (seeds.length === 0) missed.push(canary)
    const percent = 100 * failures.length / worlds
    const rate = `${percent < 10 ? percent.toPrecision(1) : Math.round(percent)} %`
    return seeds.length === 0
      ? `| ${canary} | not in ${worlds} | | |`
      : `| ${canary} | ${Math.min(...seeds)} | ${rate} | ${promisesOf(failures)} |`
  })
  const rows = Stream.fromIterable(chosen).pipe(
    Stream.mapEffect(({ name }) => rowOf(name), { concurrency: availableParallelism() })
  )
  yield* Stream.runForEach(rows, Console.log)
  yield* Console.log(`\n${chosen.length - missed.length} of ${chosen.length} bugs were found within ${most} worlds.`)
  if (missed.length > 0) return yield* new Failed({ message: `Not found: ${missed.join("; ")}` })
})
