/**
 * Deterministic simulation: a seed makes a world of several processes, clients and faults, and an oracle verifies P1 to P12.
 *
 *     pnpm test:worlds [--seed 7] [--count 1000] [--seconds 280] [--workers 2]
 *     pnpm test:worlds --seed 7 --trace | --shrink
 *     pnpm test:worlds --plan world.json
 *     pnpm test:worlds --canaries [--only name]
 *
 * Without a seed it is drawn, and printed. `--trace` prints every step of the world of the seed. `--shrink` makes its plan
 * smaller as long as the same promise breaks, and prints it for `--plan`. `--canaries` puts known bugs into the sources, one at
 * a time, and prints how soon each is found. The command exits with 1 if a promise was broken, if a world differed when another
 * thread repeated it, or if a canary was not found.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Console, Effect, Random } from "effect"
import { readFileSync } from "node:fs"
import { availableParallelism } from "node:os"
import { parseArgs } from "node:util"
import { canaryTable } from "./canaryTable.ts"
import { Failed } from "./failed.ts"
import { type Plan, planOf } from "./plan.ts"
import { command, formatFailure, formatTrace } from "./report.ts"
import { runWorld } from "./runWorld.ts"
import { runWorlds } from "./runWorlds.ts"
import { shrink } from "./shrink.ts"

const { values: flags } = parseArgs({
  options: {
    seed: { type: "string" },
    count: { type: "string" },
    seconds: { type: "string", default: "3600" },
    workers: { type: "string", default: String(availableParallelism()) },
    trace: { type: "boolean", default: false },
    shrink: { type: "boolean", default: false },
    plan: { type: "string" },
    canaries: { type: "boolean", default: false },
    only: { type: "string" }
  }
})

/** One in so many worlds is repeated. */
const repeatEvery = 100
/** A thread stops after so many worlds that broke a promise. */
const maxFailures = 5
/** Failures that are shown. */
const shown = 3

const whole = (flag: string, text: string) => {
  const value = Number(text)
  return Number.isSafeInteger(value) && value >= 1
    ? Effect.succeed(value)
    : Effect.fail(new Failed({ message: `--${flag} ${text} is not valid. Accepted: a whole number from 1.` }))
}

/** Every step of one world. */
const trace = Effect.fnUntraced(function*(plan: Plan) {
  const { trace, violations } = runWorld(plan, { traced: true })
  yield* Console.log(`${JSON.stringify(plan)}\n${formatTrace(trace)}`)
  for (const { promise, what } of violations) yield* Console.log(`${promise}: ${what}`)
  if (violations.length > 0) return yield* new Failed({ message: `World ${plan.seed} broke promises.` })
  yield* Console.log("All promises held.")
})

const shrinkWorld = Effect.fnUntraced(function*(plan: Plan) {
  const [violation] = runWorld(plan).violations
  if (violation === undefined) return yield* Console.log("All promises held: there is nothing to make smaller.")
  const breaks = (plan: Plan) => runWorld(plan).violations.some(({ promise }) => promise === violation.promise)
  const small = shrink(plan, breaks)
  yield* Console.log(
    formatFailure(small, runWorld(small).violations, "pnpm test:worlds --plan <file with the next line>")
  )
  yield* Console.log(JSON.stringify(small))
})

const main = Effect.gen(function*() {
  if (flags.canaries) return yield* canaryTable(flags.only)
  if (flags.plan !== undefined) return yield* trace(JSON.parse(readFileSync(flags.plan, "utf8")) as Plan)
  const first = yield* whole("seed", flags.seed ?? String(yield* Random.nextIntBetween(1, 1_000_000_000)))
  if (flags.trace) return yield* trace(planOf(first))
  if (flags.shrink) return yield* shrinkWorld(planOf(first))
  const count = yield* whole("count", flags.count ?? (flags.seed === undefined ? "1000" : "1"))
  const seconds = yield* whole("seconds", flags.seconds)
  const workers = Math.min(count, yield* whole("workers", flags.workers))
  yield* Console.log(`seed ${first}`)
  const begun = process.cpuUsage()
  const from = performance.now()
  const { differing, failures, repeated, steps, worlds } = yield* runWorlds({
    first,
    count,
    seconds,
    workers,
    repeatEvery,
    maxFailures
  })
  for (const { seed, violations } of failures.toSorted((a, b) => a.seed - b.seed).slice(0, shown)) {
    yield* Console.log(formatFailure(planOf(seed), violations))
  }
  if (failures.length > shown) yield* Console.log(`Also: ${failures.slice(shown).map(({ seed }) => seed).join(", ")}`)
  for (const seed of differing) yield* Console.log(`World ${seed} was different the second time: ${command(seed)}`)
  const { system, user } = process.cpuUsage(begun)
  const millis = (user + system) / 1_000 / Math.max(1, worlds + repeated)
  yield* Console.log(
    `${worlds} worlds from seed ${first} in ${
      Math.round((performance.now() - from) / 1_000)
    } s, ${failures.length} failed; ` +
      `${repeated - differing.length} of ${repeated} repeated worlds were equal; ` +
      `${millis.toFixed(1)} ms of CPU time and ${Math.round(steps / Math.max(1, worlds))} steps each`
  )
  if (failures.length > 0 || differing.length > 0) return yield* new Failed({ message: "A promise was broken." })
})

NodeRuntime.runMain(main)
