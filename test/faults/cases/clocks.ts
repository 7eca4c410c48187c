/**
 * P1, P8, P9: clocks of processes differ by minutes, a day and a month. No deadline passes early, no task is taken from its
 * owner, no log is removed, and each process whose clock is wrong says so.
 */
import { Effect } from "effect"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import * as Clients from "../clients.ts"
import * as Clocks from "../clocks.ts"
import type { Plan } from "../plan.ts"
import { atLeast, type Run, violated } from "../run.ts"

const tasksOfEach = 4
const warning = "The store's clock decides"

export const clocks = Effect.fnUntraced(function*(run: Run) {
  const { directory, slots } = run.world
  if (!Clocks.isInstalled) return
  yield* atLeast(run, { "processes whose clock was wrong": slots.length - 1 })
  const names = slots.flatMap((at, i) =>
    Array.from(
      { length: tasksOfEach },
      (_, n) => ({ at, next: slots[(i + 1) % slots.length], name: `clocks-${i}-${n}` })
    )
  )
  const watchings = yield* Effect.forEach(names, ({ at, name, next }) =>
    Effect.gen(function*() {
      // Longer than the lease, and then a turn at a process with another clock.
      const plan: Plan = { name, words: 20, drip: 100, steps: [[{ tool: "pay", millis: 1_000 }]] }
      const id = yield* Clients.start(run, plan, { at, undisturbed: true })
      const turn: Plan = { name: `${name}-next`, words: 2, drip: 10, steps: [] }
      const nextId = yield* Clients.start(run, turn, {
        at: next,
        conversationId: name,
        onBusy: "enqueue",
        undisturbed: true
      })
      return [yield* Clients.watch(run, id, name, { at: next }), yield* Clients.watch(run, nextId, turn.name, { at })]
    }), { concurrency: "unbounded" })
  yield* Effect.forEach(watchings.flat(), ({ ended }) => ended, { concurrency: "unbounded" })
  const silent = slots.filter(({ clockAhead, name }) =>
    clockAhead !== 0 && !readFileSync(join(directory, `${name}.log`), "utf8").includes(warning)
  )
  for (const { clockAhead, name } of silent) {
    yield* violated(run, "clock", `server ${name}, whose clock is ${clockAhead} s ahead, does not say so`)
  }
})
