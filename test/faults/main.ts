/**
 * The fault harness: several server processes on one store, driven over HTTP by many clients, killed, frozen, told to
 * end, cut off, while a checker reads what every client saw and what the store holds, and verifies P1 to P11. It prints the
 * promises and the seed. `node test/faults/main.ts --help` lists the options.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Cause, Clock, Console, Data, Duration, Effect, Exit, Random } from "effect"
import { parseArgs } from "node:util"
import { cancel } from "./cases/cancel.ts"
import { children } from "./cases/children.ts"
import { clocks } from "./cases/clocks.ts"
import { content } from "./cases/content.ts"
import { faces } from "./cases/faces.ts"
import { freeze } from "./cases/freeze.ts"
import { capacity, handOver } from "./cases/handOver.ts"
import { joins } from "./cases/joins.ts"
import { partition, runnersCut } from "./cases/links.ts"
import { proxies } from "./cases/proxies.ts"
import { refusals } from "./cases/refusals.ts"
import { starts } from "./cases/starts.ts"
import { storm } from "./cases/storm.ts"
import { check } from "./checker.ts"
import * as Clocks from "./clocks.ts"
import { within } from "./deadline.ts"
import { settled } from "./placement.ts"
import { report } from "./report.ts"
import * as Run from "./run.ts"
import { soaks } from "./soaks.ts"
import * as Store from "./store.ts"
import * as World from "./world.ts"

class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}

const { values: flags } = parseArgs({
  options: {
    help: { type: "boolean", short: "h", default: false },
    seconds: { type: "string", default: "120" },
    seed: { type: "string" },
    store: { type: "string", default: Store.names.join(",") },
    only: { type: "string" },
    engine: { type: "string", default: "local" },
    require: { type: "boolean", default: false }
  }
})

/** How long the cases take for one store, about, with what the storm takes to come to rest. */
const casesSeconds = 135
const shortestStorm = 20
/**
 * When a case is broken off, and the storm after its seconds, in which it gets much to do: what is stranded must not hang the
 * run. The checker finds what is late.
 */
const patienceSeconds = 90
const stormPatienceSeconds = 120

const engines = ["local", "cluster"] as const

const cases = {
  starts,
  clocks,
  cancel,
  children,
  freeze,
  handOver,
  capacity,
  refusals,
  proxies,
  faces,
  content,
  runnersCut,
  partition,
  joins
}
/** Cases of a cluster alone. */
const ofCluster = new Set(["runnersCut", "partition", "joins"])
const names = ["soaks", ...Object.keys(cases), "storm"]

const usage = `pnpm test:faults [options]

  --seconds 120           how long all parts but the soaks take, about: ${casesSeconds} s for each store, and the storm for the rest
  --seed 7                repeats the schedule of an earlier run; a random one if absent
  --store postgres,redis  the stores; all if absent
  --engine cluster        the processes are a cluster on PostgreSQL; each executes what it accepts if absent
  --only cancel,storm     the parts; all if absent
  --require               a store that is not installed is a failure

The parts are ${names.filter((name) => !ofCluster.has(name)).join(", ")}.
A cluster has no soaks, and also ${[...ofCluster].join(", ")}.
The command exits with 1 if a promise was broken or if nothing was shown.`

const list = (flag: string, text: string, known: ReadonlyArray<string>) => {
  const asked = text.split(",")
  return asked.every((name) => known.includes(name))
    ? Effect.succeed(known.filter((name) => asked.includes(name)))
    : Effect.fail(new Failed({ message: `--${flag} ${text} is not valid. Accepted: ${known.join(",")}.` }))
}

const options = Effect.gen(function*() {
  const seconds = Number(flags.seconds)
  if (!Number.isInteger(seconds) || seconds < 1) {
    return yield* new Failed({ message: `--seconds ${flags.seconds} is not valid. Accepted: a whole number from 1.` })
  }
  const engine = engines.find((engine) => engine === flags.engine)
  if (engine === undefined) {
    return yield* new Failed({ message: `--engine ${flags.engine} is not valid. Accepted: ${engines.join(", ")}.` })
  }
  const asked = yield* list("store", flags.store, Store.names)
  const stores = Store.names.filter((name) => asked.includes(name) && (engine === "local" || name === "postgres"))
  const known = names.filter((name) => engine === "local" ? !ofCluster.has(name) : name !== "soaks")
  const only = yield* list("only", flags.only ?? known.join(","), known)
  const seed = flags.seed ?? String(yield* Random.nextIntBetween(1, 999_999))
  return { engine, seconds, stores, only, seed }
})

const onStore = Effect.fnUntraced(
  function*(
    name: Store.Name,
    { engine, only, seconds, seed }: Omit<Effect.Success<typeof options>, "stores">
  ) {
    const store = yield* Store.make(name)
    const world = yield* World.make({
      store,
      engine,
      linked: true,
      servers: 3,
      leaseMillis: 3_000,
      capacity: 60,
      growthBytes: 384 * 2 ** 20,
      restartMillis: 500,
      clocks: Clocks.aheadSeconds
    })
    const run = Run.make(world, seed)
    const stormSeconds = Math.max(shortestStorm, seconds - casesSeconds)
    const all = [
      ...Object.entries(cases).map(([name, one]) => ({ name, seconds: patienceSeconds, run: one(run) })),
      { name: "storm", seconds: stormSeconds + stormPatienceSeconds, run: storm(run, stormSeconds) }
    ]
    for (const { name, run: one, seconds } of all) {
      if (!only.includes(name)) continue
      // What a case does to a server must not depend on the case before it.
      const [took] = yield* Effect.timed(within(run.violations, name, seconds, Effect.andThen(settled(run), one)))
      yield* Run.say(run, `${name} took ${Math.round(Duration.toSeconds(took))} s`)
    }
    const observed = yield* Effect.exit(Run.observe(run))
    const verdict = Exit.isSuccess(observed)
      ? check(observed.value)
      : [{ promise: "run", what: `the store could not be read: ${Cause.pretty(observed.cause)}` }]
    const violations = [...run.violations, ...verdict]
    yield* report(run, Exit.isSuccess(observed) ? observed.value : undefined, violations)
    return violations.length
  },
  Effect.scoped
)

const main = Effect.gen(function*() {
  const asked = yield* options
  const { only, seconds, seed, stores } = asked
  yield* Console.log(`seed ${seed}`)
  const installed = stores.filter(Store.isInstalled)
  const missing = stores.filter((name) => !installed.includes(name))
  if (missing.length > 0) yield* Console.log(`Skipped: ${missing.join(", ")}, not installed here.`)
  if (!Clocks.isInstalled) yield* Console.log("Skipped: clocks that are wrong. faketime is not installed here.")
  if (flags.require && !Clocks.isInstalled) return yield* new Failed({ message: "Nothing is shown without faketime." })
  if (installed.length === 0 || (flags.require && missing.length > 0)) {
    return yield* new Failed({ message: `Nothing is shown without ${missing.join(" and ")}.` })
  }
  if (only.includes("soaks") && !(yield* soaks)) return yield* new Failed({ message: "A soak failed." })
  const onStores = only.filter((name) => name !== "soaks")
  if (onStores.length === 0) return
  const from = yield* Clock.currentTimeMillis
  let broken = 0
  for (const name of installed) {
    broken += yield* onStore(name, { ...asked, seconds: seconds / stores.length, only: onStores })
  }
  const took = Math.round(((yield* Clock.currentTimeMillis) - from) / 1_000)
  yield* Console.log(`${broken === 0 ? "All promises held" : `${broken} violations`} in ${took} s, seed ${seed}`)
  if (broken > 0) return yield* new Failed({ message: `Repeat with --seed ${seed}.` })
})

NodeRuntime.runMain(flags.help ? Console.log(usage) : main)
