/**
 * P1 to P11 under everything at once: many tasks with tools and two readers each, while a process is killed every five
 * seconds, the store restarted twice, processes are frozen and told to end, connections to the store are cut, and it refuses
 * writes.
 */
import { Clock, Effect, Random } from "effect"
import * as Clients from "../clients.ts"
import * as Clocks from "../clocks.ts"
import * as FaceReaders from "../faceReaders.ts"
import * as Followers from "../followers.ts"
import * as Ledger from "../ledger.ts"
import type { Plan } from "../plan.ts"
import { type Route, someSlot } from "../requests.ts"
import { atLeast, type Run, say, seeded } from "../run.ts"
import { crashLoop } from "./crashLoop.ts"
import { stalls } from "./stalls.ts"

/** Conversations with a task at any time. */
const conversations = 60
const killEvery = 5_000
/** How long a runner that joins stays, in milliseconds: at least, and at most. */
const stay = [5_000, 9_000] as const
/** Of so many conversations one has clients behind proxies. */
const proxiedOneOf = 4
/** Of so many tasks whose clients are beside the servers one has a reader through a face. */
const throughFaceOneOf = 8
/** Of so many tasks one is cancelled. */
const cancelledOneOf = 8

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

/** One conversation: a task after the other, now and then two at once, each with two readers; some are cancelled. */
const conversation = (run: Run, id: string, route: Route, until: number) =>
  Effect.gen(function*() {
    for (let turn = 1; (yield* Clock.currentTimeMillis) < until; turn++) {
      const names = (yield* between(1, 4)) === 1 ? [`${id}.${turn}`, `${id}.${turn}b`] : [`${id}.${turn}`]
      const readers: Array<Pick<Clients.Watching, "ended">> = []
      for (const name of names) {
        const plan = yield* somePlan(name)
        const isCancelled = (yield* between(1, cancelledOneOf)) === 1
        const ends = isCancelled ? ["done", "cancelled"] as const : ["done"] as const
        const task = yield* Clients.start(run, plan, { conversationId: id, onBusy: "enqueue", ends, route })
        readers.push(yield* Clients.watch(run, task, `${name} first`, { route }))
        yield* Effect.sleep(yield* between(0, 500))
        if (route === "direct") {
          if ((yield* between(1, throughFaceOneOf)) === 1) {
            readers.push(yield* FaceReaders.follow(run, task, yield* Random.choice(FaceReaders.kinds)))
          }
          readers.push(yield* Clients.watch(run, task, `${name} second`, { after: yield* between(0, 1) }))
        } else {
          const kind = yield* Random.choice(Followers.kinds)
          readers.push(yield* Followers.follow(run, task, kind, yield* someSlot(run)))
        }
        if (isCancelled) {
          yield* Effect.sleep(yield* between(0, 2_000))
          yield* Clients.cancel(run, task, undefined, route)
        }
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
    const times: Array<number> = []
    for (let at = from + killEvery; at < until; at += killEvery) times.push(at)
    yield* atLeast(run, { "processes killed -9": times.length, orphans: times.length })
    for (const at of times) {
      yield* Effect.sleep(Math.max(0, at - (yield* Clock.currentTimeMillis)))
      yield* run.world.kill(yield* victim(run))
    }
  }).pipe(seeded(run, "kills"))

const restarts = (run: Run, millis: number) =>
  Effect.gen(function*() {
    yield* atLeast(run, { "restarts of the store": 2 })
    for (const how of ["fast", "immediate"] as const) {
      yield* Effect.sleep(millis / 3)
      yield* run.world.store.restart(how)
    }
    const longest = Math.max(...run.world.store.outages.map(({ from, to }) => to - from))
    run.figures.set("storm: longest restart of the store, ms", longest)
  })

const freeze = Effect.fnUntraced(function*(run: Run) {
  const slot = yield* victim(run)
  yield* run.world.freeze(slot)
  yield* Effect.ensuring(Effect.sleep(yield* between(200, 2 * run.world.leaseMillis)), run.world.thaw(slot))
})

/** The store refuses writes, in one of its ways. */
const refuse = Effect.fnUntraced(function*(run: Run) {
  const { leaseMillis, store } = run.world
  // Every store has a way.
  const refuse = yield* Effect.orDie(Random.choice(Object.values(store.refuse)))
  yield* refuse(Effect.sleep(yield* between(200, 2 * leaseMillis)))
})

/** A runner joins the cluster and leaves it again: told to end, then killed. */
const joins = (run: Run, until: number) =>
  Effect.gen(function*() {
    const { world } = run
    let tasks = 0
    for (let visits = 0; (yield* Clock.currentTimeMillis) < until - stay[1]; visits++) {
      const leave = visits % 2 === 0 ? world.terminate : world.kill
      yield* world.visit(Effect.fnUntraced(function*(guest) {
        yield* Effect.sleep(yield* between(...stay))
        const { pid } = guest.process ?? {}
        yield* leave(guest)
        tasks += Ledger.ofType(Ledger.read(world.ledger), "claimed").filter((claim) => claim.pid === pid).length
      }))
    }
    run.figures.set("storm: tasks of runners that joined in it", tasks)
  }).pipe(seeded(run, "joins"))

/** One of each at once, then in an order of their own. */
const others = (run: Run, until: number) =>
  Effect.gen(function*() {
    const faults = {
      freeze: freeze(run),
      terminate: Effect.asVoid(Effect.flatMap(victim(run), run.world.terminate)),
      disconnect: run.world.store.disconnectAll,
      refuse: refuse(run)
    }
    const kinds = ["freeze", "terminate", "disconnect", "refuse"] as const
    yield* atLeast(run, {
      "processes frozen": 1,
      "processes told to end": 1,
      "times all connections to the store were cut": 1,
      "times the store refused writes": 1
    })
    const first = yield* Random.shuffle(kinds)
    // The first tasks stream by then.
    yield* Effect.sleep("1 second")
    yield* Effect.forEach(first, (kind) => faults[kind])
    let due: Array<keyof typeof faults> = []
    while ((yield* Clock.currentTimeMillis) < until - 2 * run.world.leaseMillis) {
      yield* Effect.sleep(yield* between(2_000, 6_000))
      if (due.length === 0) due = yield* Random.shuffle(kinds)
      yield* faults[due.pop() ?? "freeze"]
    }
  }).pipe(seeded(run, "others"))

export const storm = Effect.fnUntraced(function*(run: Run, seconds: number) {
  const millis = seconds * 1_000
  const from = yield* Clock.currentTimeMillis
  const until = from + millis
  yield* atLeast(run, {
    tasks: conversations,
    readers: 2 * conversations,
    "readers through faces": 3,
    "tasks cancelled": 1
  })
  yield* atLeast(run, {
    "processes whose clock was wrong": Clocks.isInstalled ? run.world.slots.length : 0,
    "connections through a proxy": conversations,
    "connections that a proxy cut": conversations / 10,
    "connections that a proxy left half-open": conversations / 10
  })
  const tasks = Effect.forEach(
    Array.from({ length: conversations }, (_, i) => i),
    (i) => conversation(run, `storm-${i}`, i % proxiedOneOf === 0 ? "proxied" : "direct", until),
    { concurrency: "unbounded" }
  )
  yield* Effect.all(
    [
      tasks,
      stalls(run, until),
      kills(run, from, until),
      restarts(run, millis),
      others(run, until),
      crashLoop(run, until),
      run.world.engine === "cluster" ? joins(run, until) : Effect.void
    ],
    { concurrency: "unbounded" }
  )
  yield* say(run, "the storm is over")
})
