/**
 * P1, P5, P8: the store refuses writes for a while, longer than the lease, and answers reads. Starts are refused with 503 or are
 * stored, processes say that they are not ready, and everything goes on by itself afterwards.
 */
import { Clock, Effect, Option } from "effect"
import { createHash } from "node:crypto"
import * as Clients from "../clients.ts"
import type { Plan } from "../plan.ts"
import * as Requests from "../requests.ts"
import { atLeast, type Run, violated } from "../run.ts"
import type { Refuse } from "../store.ts"
import type { Slot } from "../world.ts"

const tasksOfEach = 3
const startsAtEach = 4

/** Text that no store can compress: what is started meanwhile needs room. */
const noise = (name: string): string =>
  Array.from({ length: 800 }, (_, i) => createHash("sha256").update(`${name} ${i}`).digest("base64")).join("")

const plan = (name: string): Plan => ({ name, words: 20, drip: 100, steps: [[{ tool: "lookup", millis: 500 }]] })

/** Looks until a process is ready, or is not; the milliseconds that it took. */
const readiness = Effect.fnUntraced(function*(at: Slot, due: boolean) {
  const from = yield* Clock.currentTimeMillis
  while ((yield* Requests.isReady(at)) !== due) yield* Effect.sleep("100 millis")
  return (yield* Clock.currentTimeMillis) - from
})

const round = Effect.fnUntraced(function*(run: Run, kind: string, refuse: Refuse) {
  const { leaseMillis, slots } = run.world
  yield* atLeast(run, { "times the store refused writes": 1 })
  const prefix = kind.replaceAll(" ", "-")
  const names = slots.flatMap((at) =>
    Array.from({ length: tasksOfEach }, (_, i) => ({ at, name: `${prefix}-${at.name}-${i}` }))
  )
  const running = yield* Effect.forEach(names, ({ at, name }) =>
    Effect.gen(function*() {
      const id = yield* Clients.start(run, plan(name), { at })
      const watching = yield* Clients.watch(run, id, name)
      yield* watching.saw("text")
      return watching
    }), { concurrency: "unbounded" })

  const refused = slots.flatMap((at) =>
    Array.from({ length: startsAtEach }, (_, i) => `${prefix}-meanwhile-${at.name}-${i}`)
      .map((name) => ({ at, name, options: { metadata: { noise: noise(name) } } }))
  )
  const statuses: Array<number> = []
  const notReady: Array<Slot> = []
  yield* refuse(Effect.gen(function*() {
    const starting = Effect.forEach(
      refused,
      ({ at, name, options }) => Clients.startOnce(at, plan(name), options),
      { concurrency: "unbounded" }
    )
    const looking = Effect.forEach(
      slots,
      (at) => Effect.map(readiness(at, false), () => notReady.push(at)),
      { concurrency: "unbounded" }
    )
    // It refuses for as long as that.
    const waiting = Effect.timeoutOption(Effect.andThen(looking, Effect.never), 1.5 * leaseMillis)
    const [answers] = yield* Effect.all([starting, waiting], { concurrency: "unbounded" })
    statuses.push(...answers.flatMap(Option.toArray))
  }))
  const wrong = statuses.filter((status) => status !== 201 && status !== 503)
  if (wrong.length > 0) {
    yield* violated(run, "P1", `starts while the store ${kind} were answered with ${wrong.join(", ")}`)
  }
  // A start that the store may accept in a moment is held back: the client gives it up first.
  const held = refused.length - statuses.filter((status) => status === 201).length
  if (held === 0) yield* violated(run, "run", `no start was refused while the store ${kind}`)
  run.figures.set(`the store ${kind}: starts that were refused or held back`, `${held} of ${refused.length}`)
  run.figures.set(
    `the store ${kind}: processes that said that they were not ready`,
    `${notReady.length} of ${slots.length}`
  )
  const ready = slots.length - notReady.length
  if (ready > 0) yield* violated(run, "P8", `${ready} processes said that they were ready while the store ${kind}`)

  const took = yield* Effect.forEach(slots, (at) => readiness(at, true), { concurrency: "unbounded" })
  run.figures.set(`the store ${kind}: until all processes were ready again afterwards, ms`, Math.max(...took))
  const more = yield* Effect.forEach(refused, ({ at, name, options }) =>
    Effect.flatMap(
      Clients.start(run, plan(name), { at, ...options }),
      (id) => Clients.watch(run, id, name)
    ), { concurrency: "unbounded" })
  yield* Effect.forEach([...running, ...more], ({ ended }) => ended, { concurrency: "unbounded" })
})

export const refusals = (run: Run) =>
  Effect.forEach(Object.entries(run.world.store.refuse), ([kind, refuse]) => round(run, kind, refuse))
