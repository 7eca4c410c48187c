/**
 * P8: a process that is told to end hands its tasks over without waiting for its lease. Tasks that found no place in a
 * process, or wait in the queue of a conversation, are taken up by others when it dies.
 */
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import { conversationsAt } from "../placement.ts"
import type { Plan } from "../plan.ts"
import { atLeast, type Run } from "../run.ts"

const streaming = 12

export const handOver = Effect.fnUntraced(function*(run: Run) {
  const { world } = run
  const [a, b] = world.slots
  if (a === undefined || b === undefined) return
  yield* atLeast(run, { "processes told to end": 1, "tasks handed over": streaming / 2 })
  const watchings = yield* Effect.forEach(
    yield* conversationsAt(run, a, "term", streaming),
    (name) =>
      Effect.gen(function*() {
        const plan: Plan = { name, words: 30, drip: 30, steps: [[{ tool: "lookup", millis: 500 }]] }
        const id = yield* Clients.start(run, plan, { at: a })
        return yield* Clients.watch(run, id, name, { at: b })
      }),
    { concurrency: "unbounded" }
  )
  yield* Effect.forEach(watchings, ({ saw }) => saw("text"), { concurrency: "unbounded" })
  yield* world.terminate(a)
  yield* Effect.forEach(watchings, ({ ended }) => ended, { concurrency: "unbounded" })
})

/** More tasks than the first process has places for, and a queue behind each of some; then it is killed. */
export const capacity = Effect.fnUntraced(function*(run: Run) {
  const { world } = run
  const [a] = world.slots
  if (a === undefined) return
  yield* atLeast(run, { "processes killed -9": 1, orphans: world.capacity / 2 })
  const start = (name: string, conversationId: string) =>
    Effect.gen(function*() {
      const plan: Plan = { name, words: 3, drip: 100, steps: [[{ tool: "pay", millis: 800 }]] }
      const id = yield* Clients.start(run, plan, { at: a, conversationId, onBusy: "enqueue" })
      return yield* Clients.watch(run, id, name)
    })
  const heads = yield* conversationsAt(run, a, "capacity", Math.ceil(world.capacity * 1.3))
  const watchings = yield* Effect.forEach(heads, (name) => start(name, name), { concurrency: 16 })
  const queued = yield* Effect.forEach(
    heads.slice(0, 10),
    (name) => Effect.forEach(["second", "third"], (turn) => start(`${name}-${turn}`, name)),
    { concurrency: 16 }
  )
  yield* world.kill(a)
  const all = [...watchings, ...queued.flat()]
  yield* Effect.forEach(all, ({ ended }) => ended, { concurrency: "unbounded" })
  run.figures.set("capacity: tasks taken over from a full process", all.length)
})
