/**
 * How soon tasks go on when their process dies, ends, freezes or gets company: a table, for the engine of one process and for
 * the cluster, on the same machine.
 *
 *     node test/faults/takeover.ts [--engine local,cluster] [--tasks 50] [--lease 9000] [--rolls 20] [--only kill,roll]
 *
 * Each task makes steps with a tool that must not run twice. `roll` ends each process in turn, `--rolls` times, and starts it
 * again at once, while the tasks run. The command exits with 1 if a task was lost or a finished step was repeated.
 *
 * A task is without owner from its release to its next claim: the wait before is the end of its step in the old process. A reader
 * that lost its connection asks any process, after 20 to 120 ms, until one answers; its wait is from the end of a connection to the
 * answer of the next one.
 */
import { NodeRuntime } from "@effect/platform-node"
import { Clock, Console, Data, Effect } from "effect"
import { parseArgs } from "node:util"
import { percentile } from "./cases/common.ts"
import * as Clients from "./clients.ts"
import * as Ledger from "./ledger.ts"
import type { Plan } from "./plan.ts"
import * as Run from "./run.ts"
import * as Store from "./store.ts"
import * as World from "./world.ts"

class Failed extends Data.TaggedError("Failed")<{ readonly message: string }> {}

const { values: flags } = parseArgs({
  options: {
    engine: { type: "string", default: "local,cluster" },
    tasks: { type: "string", default: "50" },
    lease: { type: "string", default: "9000" },
    rolls: { type: "string", default: "20" },
    only: { type: "string", default: "kill,term,freeze,roll" }
  }
})

const engines = (["local", "cluster"] as const).filter((engine) => flags.engine.split(",").includes(engine))
const only = flags.only.split(",")
const tasks = Number(flags.tasks)
const leaseMillis = Number(flags.lease)
const rolls = Number(flags.rolls)

/** How long a task that a process owned went without a step, in milliseconds. */
interface Wait {
  /** From the signal to the next claim, or to the end of the task. */
  readonly whole: number
  /** From the owner's release to the next claim: absent if the owner did not release the task. */
  readonly unowned: number | undefined
}

/** What became of the tasks that a process owned at a time. */
interface Takeover {
  readonly owned: number
  readonly waits: ReadonlyArray<Wait>
}

/** The tasks whose last claim before a time was by this process, and that had not ended. */
const ownedBy = (entries: ReadonlyArray<Ledger.Entry>, pid: number, at: number): ReadonlySet<string> => {
  const owners = new Map<string, number>()
  for (const entry of entries) {
    if (entry.at > at) continue
    if (entry.type === "claimed") owners.set(entry.taskId, entry.pid)
    if (entry.type === "finished") owners.delete(entry.taskId)
  }
  return new Set([...owners].flatMap(([task, owner]) => owner === pid ? [task] : []))
}

/** How long tasks that a process owned at a time went without a step, from all entries after that time, in their order. */
const waitsOf = (owned: ReadonlySet<string>, pid: number, at: number) => {
  const released = new Map<string, number>()
  const waits = new Map<string, Wait>()
  return {
    waits,
    add: (entry: Ledger.Entry) => {
      const { taskId } = entry
      if (entry.at < at || !owned.has(taskId) || waits.has(taskId)) return
      if (entry.type === "released" && entry.pid === pid) released.set(taskId, entry.at)
      if (entry.type !== "claimed" && entry.type !== "finished") return
      const since = released.get(taskId)
      waits.set(taskId, { whole: entry.at - at, unowned: since === undefined ? undefined : entry.at - since })
    }
  }
}

/** Waits until other processes have claimed all tasks of this one, and says how long each took. */
const takeover = Effect.fnUntraced(function*(world: World.World, pid: number, at: number) {
  const owned = ownedBy(Ledger.read(world.ledger), pid, at)
  const seen = waitsOf(owned, pid, at)
  let next = 0
  yield* Effect.timeoutOption(
    Ledger.until(world.ledger, (entries) => {
      for (const entry of entries.slice(next)) seen.add(entry)
      next = entries.length
      return seen.waits.size === owned.size
    }),
    "90 seconds"
  )
  return { owned: owned.size, waits: [...seen.waits.values()] } satisfies Takeover
})

const cases = {
  kill: (world: World.World, slot: World.Slot) => world.kill(slot),
  term: (world: World.World, slot: World.Slot) => Effect.asVoid(world.terminate(slot)),
  freeze: (world: World.World, slot: World.Slot) => world.freeze(slot)
}

/** A step every second. */
const planOf = (name: string, seconds: number): Plan => ({
  name,
  words: 2,
  drip: 100,
  steps: Array.from({ length: seconds }, () => [{ tool: "pay", millis: 700 }])
})

/** The finished steps that ran again, and the refused writes. */
const harm = (entries: ReadonlyArray<Ledger.Entry>) => {
  const done = new Set<string>()
  let repeated = 0
  let refused = 0
  for (const entry of entries) {
    if (entry.type === "refused") refused++
    if (entry.type === "left" && entry.how === "completed") done.add(`${entry.taskId} ${entry.call}`)
    if (entry.type === "entered" && done.has(`${entry.taskId} ${entry.call}`)) repeated++
  }
  return { repeated, refused }
}

/** The median, 99 % of them, and all. */
const spread = (millis: ReadonlyArray<number>): ReadonlyArray<number | string> =>
  millis.length === 0 ? ["", "", ""] : [percentile(millis, 50), percentile(millis, 99), Math.max(...millis)]

const line = (cells: ReadonlyArray<string | number>) => Console.log(`| ${cells.join(" | ")} |`)

const measure = Effect.fnUntraced(
  function*(engine: "local" | "cluster", name: string) {
    const store = yield* Store.make("postgres")
    const world = yield* World.make({
      store,
      engine,
      servers: 3,
      leaseMillis,
      capacity: 1_000,
      growthBytes: 2 ** 30,
      restartMillis: name === "roll" ? 200 : 3_600_000,
      clocks: [0]
    })
    const run = Run.make(world, "takeover")
    const [, victim] = world.slots
    if (victim === undefined) return yield* Effect.die("There are three servers.")
    const seconds = name === "roll" ? rolls * 3 : 20
    const watchings = yield* Effect.forEach(
      Array.from({ length: tasks }, (_, i) => `${name}-${i}`),
      (task, i) =>
        Effect.flatMap(
          Clients.start(run, planOf(task, seconds), { at: world.slots[i % 3] }),
          (id) => Clients.watch(run, id, task, { isSteady: true })
        ),
      { concurrency: 16 }
    )
    yield* Ledger.until(world.ledger, (entries) => Ledger.ofType(entries, "claimed").length >= tasks)
    let owned = 0
    const waits: Array<Wait> = []
    const strike = (slot: World.Slot, how: keyof typeof cases) =>
      Effect.gen(function*() {
        const pid = slot.process?.pid ?? 0
        const at = yield* Clock.currentTimeMillis
        yield* cases[how](world, slot)
        const seen = yield* takeover(world, pid, at)
        owned += seen.owned
        waits.push(...seen.waits)
        if (how === "freeze") yield* world.thaw(slot)
      })
    if (name === "roll") {
      for (let i = 0; i < rolls; i++) {
        const slot = world.slots[i % 3]
        if (slot !== undefined) yield* strike(slot, "term")
        yield* world.allUp
      }
    } else yield* strike(victim, name as keyof typeof cases)
    yield* Effect.timeoutOption(
      Effect.forEach(watchings, ({ ended }) => ended, { concurrency: "unbounded" }),
      `${seconds + 120} seconds`
    )
    const entries = Ledger.read(world.ledger)
    const { refused, repeated } = harm(entries)
    const lost = tasks - new Set(Ledger.ofType(entries, "finished").map(({ taskId }) => taskId)).size
    const whole = waits.map(({ whole }) => whole)
    yield* line([
      name,
      engine,
      owned,
      Math.min(...whole),
      ...spread(whole),
      ...spread(waits.flatMap(({ unowned }) => unowned ?? [])),
      ...spread(watchings.flatMap(({ reconnects }) => reconnects)),
      lost,
      repeated,
      refused
    ])
    return lost + repeated + (owned - waits.length)
  },
  Effect.scoped
)

const main = Effect.gen(function*() {
  yield* Console.log(
    `${tasks} tasks on 3 processes, leases of ${leaseMillis} ms, PostgreSQL. Times in ms from the signal.`
  )
  yield* line([
    "what",
    "engine",
    "tasks of the process",
    "first",
    "median",
    "p99",
    "all",
    "without owner: median",
    "p99",
    "all",
    "readers: median",
    "p99",
    "all",
    "lost",
    "repeated steps",
    "refused writes"
  ])
  yield* line(Array.from({ length: 16 }, () => "-"))
  let harmed = 0
  for (const name of only) for (const engine of engines) harmed += yield* measure(engine, name)
  if (harmed > 0) return yield* new Failed({ message: "Tasks were lost, or steps were repeated." })
})

NodeRuntime.runMain(main)
