/**
 * P9: a process is frozen beyond its lease while its tasks stream, and continued: its writes are refused, and readers see
 * one history.
 */
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import * as Ledger from "../ledger.ts"
import type { Plan } from "../plan.ts"
import { type Run, violated } from "../run.ts"

const count = 8

export const freeze = Effect.fnUntraced(function*(run: Run) {
  const { world } = run
  const [a, b, c] = world.slots
  const pid = a?.process?.pid
  if (a === undefined || b === undefined || c === undefined) return
  const watchings = yield* Effect.forEach(
    Array.from({ length: count }, (_, i) => `freeze-${i}`),
    (name) =>
      Effect.gen(function*() {
        const plan: Plan = { name, words: 100, drip: 30, steps: [] }
        const id = yield* Clients.start(run, plan, { at: a })
        return yield* Effect.forEach([a, b, c], (at) => Clients.watch(run, id, `${name} ${at.name}`, { at }))
      }),
    { concurrency: "unbounded" }
  ).pipe(Effect.map((all) => all.flat()))
  yield* Effect.forEach(watchings, ({ saw }) => saw("text"), { concurrency: "unbounded" })
  yield* world.freeze(a)
  yield* Effect.forEach(watchings, ({ saw }) => saw("resumed"), { concurrency: "unbounded" })
  yield* Effect.sleep("1 second")
  yield* world.thaw(a)
  yield* Effect.forEach(watchings, ({ ended }) => ended, { concurrency: "unbounded" })
  const refused = Ledger.ofType(Ledger.read(world.ledger), "refused").filter((entry) => entry.pid === pid)
  run.figures.set(`freeze: refused writes of the continued process, ${count} tasks`, refused.length)
  if (refused.length === 0) yield* violated(run, "P9", "the process that was continued has tried to write nothing")
})
