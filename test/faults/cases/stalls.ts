/**
 * P6: a task after the other that says more than any socket buffers, each with a reader that reads and some that do not,
 * however long it takes. The task and its reader are not held up; the others get everything when they read again.
 */
import { Clock, Effect, Latch } from "effect"
import * as Clients from "../clients.ts"
import type { Plan } from "../plan.ts"
import { atLeast, type Run, seeded } from "../run.ts"

/** About 3 MB of text, and as much again in messages, each of which is just below the largest event there may be. */
const plan = (name: string): Plan => ({
  name,
  words: 30,
  drip: 10,
  pad: 8_000,
  steps: Array.from({ length: 11 }, () => [{ tool: "lookup", millis: 20 }])
})

/** Begins such tasks until a time, and lets readers stall until then, at the least until all others have read everything. */
export const stalls = (run: Run, until: number) =>
  Effect.gen(function*() {
    const { slots } = run.world
    yield* atLeast(run, { "stalled readers": slots.length })
    const reads = yield* Latch.make(false)
    const stalled: Array<Clients.Watching> = []
    for (let turn = 1; turn === 1 || (yield* Clock.currentTimeMillis) < until; turn++) {
      const name = `stalls.${turn}`
      const task = yield* Clients.start(run, plan(name))
      for (const at of slots) stalled.push(yield* Clients.stall(run, task, `${name} ${at.name}`, { at, until: reads }))
      const reader = yield* Clients.watch(run, task, name)
      yield* reader.ended
    }
    yield* reads.open
    yield* Effect.forEach(stalled, ({ ended }) => ended, { concurrency: "unbounded" })
  }).pipe(seeded(run, "stalls"))
