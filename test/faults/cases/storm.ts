/**
 * P1 to P11 under everything at once: many tasks with tools and two readers each, while a process is killed every five
 * seconds, the store restarted twice, processes are frozen and told to end, and connections to the store are cut.
 */
import { Clock, Effect, Random, type Scope } from "effect"
import * as Clients from "../clients.ts"
import type { Plan } from "../plan.ts"
import { type Run, say, seeded } from "../run.ts"
import { crashLoop } from "./crashLoop.ts"

/** Conversations with a task at any time. */
const conversations = 60
const killEvery = 5_000

const between = Random.nextIntBetween

/** Tasks of 2 to 10 seconds, when nothing happens to them. */
const somePlan = Effect.fnUntraced(function*(name: string) {
  const drip = yield* between(40, 120)
  const steps = yield* Effect.forEach(
    Array.from({ length: yield* between(4, 12) }),
    () =>
      Effect.flatMap(
        between(1, 2),
        (calls) =>
          Effect.forEach(Array.from({ length: calls }), () =>
            Effect.all({ tool: Random.choice(["lookup", "pay"] as const), millis: between(20, 600) }))
      )
  )
  return { name, words: yield* between(2, 6), drip, steps } satisfies Plan
})

/** One conversation: a task after the other, now and then two at once, each with two readers. */
const conversation = (run: Run, id: string, until: number) =>
  Effect.gen(function*() {
    for (let turn = 1; (yield* Clock.currentTimeMillis) < until; turn++) {
      const names = (yield* between(1, 4)) === 1 ? [`${id}.${turn}`, `${id}.${turn}b`] : [`${id}.${turn}`]
      const readers: Array<Clients.Watching> = []
      for (const name of names) {
        const plan = yield* somePlan(name)
        const task = yield* Clients.start(run, plan, { conversationId: id, onBusy: "enqueue" })
        readers.push(yield* Clients.watch(run, task, `${name} first`))
        yield* Effect.sleep(yield* between(0, 500))
        readers.push(yield* Clients.watch(run, task, `${name} second`, { after: yield* between(0, 1) }))
      }
      yield* Effect.forEach(readers, ({ ended }) => ended, { concurrency: "unbounded" })
    }
  }).pipe(seeded(run, id))

/** One of the processes that are up, as soon as it is not the last. */
const victim = Effect.fnUntraced(function*(run: Run) {
  for (;;) {
    const [slot, other] = yield* Random.shuffle(run.world.healthy())
    if (slot !== undefined && other !== undefined) return slot
    yield* Effect.sleep("200 millis")
  }
})

const kills = (run: Run, from: number, until: number) =>
  Effect.gen(function*() {
    let count = 0
    for (let at = from + killEvery; at < until; at += killEvery) {
      yield* Effect.sleep(Math.max(0, at - (yield* Clock.currentTimeMillis)))
      yield* run.world.kill(yield* victim(run))
      count++
    }
    run.figures.set("storm: processes killed -9", count)
  }).pipe(seeded(run, "kills"))

const restarts = (run: Run, millis: number) =>
  Effect.gen(function*() {
    for (const how of ["fast", "immediate"] as const) {
      yield* Effect.sleep(millis / 3)
      yield* run.world.store.restart(how)
    }
    run.figures.set("storm: restarts of the store", run.world.store.outages.length)
    const longest = Math.max(...run.world.store.outages.map(({ from, to }) => to - from))
    run.figures.set("storm: longest restart of the store, ms", longest)
  })

const others = (run: Run, until: number) =>
  Effect.gen(function*() {
    const counts = { freeze: 0, terminate: 0, disconnect: 0 }
    let due: Array<keyof typeof counts> = []
    while ((yield* Clock.currentTimeMillis) < until - 2 * run.world.leaseMillis) {
      yield* Effect.sleep(yield* between(2_000, 6_000))
      if (due.length === 0) due = yield* Random.shuffle(["freeze", "terminate", "disconnect"] as const)
      const what = due.pop() ?? "freeze"
      if (what === "disconnect") yield* run.world.store.disconnectAll
      else if (what === "terminate") yield* run.world.terminate(yield* victim(run))
      else {
        const slot = yield* victim(run)
        yield* run.world.freeze(slot)
        yield* Effect.sleep(yield* between(200, 2 * run.world.leaseMillis))
        yield* run.world.thaw(slot)
      }
      counts[what]++
    }
    run.figures.set("storm: processes frozen", counts.freeze)
    run.figures.set("storm: processes told to end", counts.terminate)
    run.figures.set("storm: times all connections to the store were cut", counts.disconnect)
  }).pipe(seeded(run, "others"))

const memory = (run: Run, until: number) =>
  Effect.gen(function*() {
    let largest = 0
    while ((yield* Clock.currentTimeMillis) < until) {
      yield* Effect.sleep("1 second")
      largest = Math.max(largest, run.world.largestBytes())
    }
    run.figures.set("storm: largest process, MiB", Math.round(largest / 2 ** 20))
  })

export const storm = Effect.fnUntraced(
  function*(run: Run, seconds: number): Effect.fn.Return<void, never, Scope.Scope> {
    const millis = seconds * 1_000
    const from = yield* Clock.currentTimeMillis
    const until = from + millis
    const tasks = Effect.forEach(
      Array.from({ length: conversations }, (_, i) => `storm-${i}`),
      (id) => conversation(run, id, until),
      { concurrency: "unbounded" }
    )
    yield* Effect.all(
      [tasks, kills(run, from, until), restarts(run, millis), others(run, until), memory(run, until), crashLoop(run)],
      { concurrency: "unbounded" }
    )
    yield* say(run, "the storm is over")
  }
)
