/**
 * P8, P9 and P10 in a cluster whose connections fail. Runners do not reach each other: tasks begin and go on, because the store
 * is enough. One of them does not reach the store either: the others take its tasks over, and it changes nothing any more.
 */
import { Effect, Option } from "effect"
import * as Ledger from "../ledger.ts"
import { conversationsAt } from "../placement.ts"
import type { Plan } from "../plan.ts"
import * as Requests from "../requests.ts"
import { atLeast, type Run, violated } from "../run.ts"
import type { Slot } from "../world.ts"
import { begin, type Begun, ended } from "./common.ts"

const tasksOfEach = 6

/** Between two heartbeats of a runner that cannot reach the others, all intervals of the cluster pass. */
const brokenFor = "6 seconds"
/** Beyond the expiration of the locks of shards, 12 seconds. */
const lostFor = "14 seconds"

/** About 10 seconds, with calls that must not run twice. */
const plan = (name: string): Plan => ({
  name,
  words: 5,
  drip: 150,
  steps: Array.from({ length: 5 }, () => [{ tool: "pay", millis: 700 }])
})

const brief = (name: string): Plan => ({ name, words: 2, drip: 50, steps: [[{ tool: "pay", millis: 100 }]] })

const namesOf = (name: string) => Array.from({ length: 3 * tasksOfEach }, (_, i) => `${name}-${i}`)

/** Runners lose each other in two ways, while tasks run and new ones come. */
export const runnersCut = (run: Run) =>
  Effect.gen(function*() {
    const { betweenRunners } = run.world
    const links = run.world.slots.flatMap(({ runner }) => runner?.links === undefined ? [] : [runner.links.toRunner])
    const all: Array<Begun> = []
    for (const state of ["cut", "silent"] as const) {
      const running = yield* begin(run, namesOf(`runners-${state}`), plan)
      yield* Effect.forEach(running, ({ watching }) => watching.saw("text"), { concurrency: "unbounded" })
      yield* betweenRunners(state)
      const meanwhile = yield* begin(run, namesOf(`runners-${state}-meanwhile`), brief)
      all.push(running, meanwhile)
      yield* Effect.sleep(brokenFor).pipe(Effect.andThen(ended(meanwhile)), Effect.ensuring(betweenRunners("whole")))
    }
    const broken = links.reduce((sum, { broken }) => sum + broken(), 0)
    run.figures.set("runners cut: connections between runners that were reset or silent", broken)
    if (broken === 0) yield* violated(run, "run", "no connection between runners was cut")
    yield* ended(...all)
  })

/** One runner reaches nobody but its clients. */
export const partition = Effect.fnUntraced(function*(run: Run) {
  const { world } = run
  const [a, b] = world.slots
  const pid = a?.process?.pid
  if (a === undefined || b === undefined) return
  yield* atLeast(run, { "processes cut off": 1, orphans: tasksOfEach / 2 })
  const lost = yield* begin(run, yield* conversationsAt(run, a, "partition", tasksOfEach), plan, a)
  const others = yield* begin(run, namesOf("partition-others"), plan, b)
  yield* Effect.forEach([...lost, ...others], ({ watching }) => watching.saw("text"), { concurrency: "unbounded" })
  yield* world.cutOff(a)
  const meanwhile = yield* begin(run, namesOf("partition-meanwhile"), brief, b)
  const takenOver = Ledger.until(world.ledger, (entries) => {
    const owners = new Map(Ledger.ofType(entries, "claimed").map((claim) => [claim.taskId, claim.pid]))
    return lost.every(({ id }) => owners.get(id) !== pid)
  })
  yield* Effect.all([takenOver, ended(meanwhile), Effect.sleep(lostFor)], { concurrency: "unbounded" }).pipe(
    Effect.ensuring(world.rejoin(a))
  )
  yield* ended(lost, others)
  yield* worksAgain(run, a)
})

/** It says that it is ready, and tasks are placed on it. */
const worksAgain = Effect.fnUntraced(function*(run: Run, slot: Slot) {
  while (!(yield* Requests.isReady(slot))) yield* Effect.sleep("100 millis")
  const names = yield* Effect.timeoutOption(conversationsAt(run, slot, "partition-again", tasksOfEach), "30 seconds")
  if (Option.isNone(names)) return yield* violated(run, "P8", `server ${slot.name}, back in the cluster, gets no tasks`)
  yield* ended(yield* begin(run, names.value, brief, slot))
})
