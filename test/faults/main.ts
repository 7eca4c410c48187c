/**
 * The fault harness: several server processes on one store, driven over HTTP by many clients, killed, frozen, told to
 * end, cut off, while a checker reads what every client saw and what the store holds, and verifies P1 to P11.
 *
 *     pnpm test:faults [--seconds 120] [--seed 7] [--store postgres,redis]
 *
 * `--seconds` is about how long all of it takes; the cases take half a minute for each store, the storm the rest. Ends
 * with 1 when a promise was broken, and says which, and with which seed.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Data, Duration, Effect, Random } from "effect"
import { parseArgs } from "node:util"
import { cancel } from "./cases/cancel.ts"
import { freeze } from "./cases/freeze.ts"
import { capacity, handOver } from "./cases/handOver.ts"
import { starts } from "./cases/starts.ts"
import { storm } from "./cases/storm.ts"
import { check } from "./checker.ts"
import { report } from "./report.ts"
import * as Run from "./run.ts"
import * as Store from "./store.ts"
import * as World from "./world.ts"

class Broken extends Data.TaggedError("Broken")<{ readonly message: string }> {}

const { values: flags } = parseArgs({
  options: {
    seconds: { type: "string", default: "120" },
    seed: { type: "string" },
    store: { type: "string", default: Store.names.join(",") },
    only: { type: "string" }
  }
})

const cases = { starts, cancel, freeze, handOver, capacity }

/** How long the cases take for one store, about. */
const casesSeconds = 35
const shortestStorm = 20

const options = Effect.gen(function*() {
  const seconds = Number(flags.seconds)
  if (!Number.isInteger(seconds) || seconds < 1) {
    return yield* new Broken({ message: `--seconds ${flags.seconds} is not valid. Accepted: a whole number from 1.` })
  }
  const asked = flags.store.split(",")
  const stores = Store.names.filter((name) => asked.includes(name))
  if (stores.length < asked.length) {
    return yield* new Broken({ message: `--store ${flags.store} is not valid. Accepted: ${Store.names.join(",")}.` })
  }
  const seed = flags.seed ?? String(yield* Random.nextIntBetween(1, 999_999))
  return { seconds, stores, seed }
})

const onStore = Effect.fnUntraced(function*(name: Store.Name, seconds: number, seed: string) {
  const store = yield* Store.make(name)
  const world = yield* World.make({ store, servers: 3, leaseMillis: 3_000, capacity: 60, restartMillis: 500 })
  const run = Run.make(world, seed)
  const all = [
    ...Object.entries(cases),
    ["storm", (run: Run.Run) => storm(run, Math.max(shortestStorm, seconds - casesSeconds))] as const
  ]
  for (const [name, one] of all) {
    if (flags.only !== undefined && !flags.only.split(",").includes(name)) continue
    const [took] = yield* Effect.timed(one(run))
    yield* Run.say(run, `${name} took ${Duration.format(took)}`)
  }
  const observed = yield* Run.observe(run)
  const violations = [...run.violations, ...check(observed)]
  yield* report(run, observed, violations)
  return violations.length
}, Effect.scoped)

const main = Effect.gen(function*() {
  const { seconds, seed, stores } = yield* options
  yield* Console.log(`seed ${seed}`)
  const from = yield* Clock.currentTimeMillis
  let broken = 0
  for (const name of stores) {
    if (Store.isInstalled(name)) broken += yield* onStore(name, seconds / stores.length, seed)
    else yield* Console.log(`Skipped: ${name} is not installed here.`)
  }
  const took = Math.round(((yield* Clock.currentTimeMillis) - from) / 1_000)
  yield* Console.log(`${broken === 0 ? "All promises held" : `${broken} violations`} in ${took} s, seed ${seed}`)
  if (broken > 0) return yield* new Broken({ message: `Repeat with --seed ${seed}.` })
})

NodeRuntime.runMain(main)
