/**
 * P9: a process is frozen beyond its lease while its tasks stream, and continued: its writes are refused, and readers see
 * one history.
 */
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import * as Ledger from "../ledger.ts"
import { conversationsAt } from "../placement.ts"
import type { Plan } from "../plan.ts"
import { atLeast, type Run, violated } from "../run.ts"

const count = 8

/** How long the continued process may take to find out. */
const patience = "10 seconds"
/** The continued process may be told by its heartbeat before it writes: then it is frozen again. */
const rounds = 3

/** Returns how many writes of the process were refused since it started. */
const round = Effect.fnUntraced(function*(run: Run, n: number) {
  const { world } = run
  const [a, b, c] = world.slots
  const pid = a?.process?.pid
  if (a === undefined || b === undefined || c === undefined) return 0
  const tasks = yield* Effect.forEach(
    yield* conversationsAt(run, a, `freeze-${n}`, count),
    (name) =>
      Effect.gen(function*() {
        // Most of them are not in the middle of a write when the process is frozen, so that they write when it goes on.
        const plan: Plan = { name, words: 30, drip: 200, steps: [] }
        const id = yield* Clients.start(run, plan, { at: a })
        const watchings = yield* Effect.forEach([a, b, c], (at) => Clients.watch(run, id, `${name} ${at.name}`, { at }))
        return { id, watchings }
      }),
    { concurrency: "unbounded" }
  )
  const watchings = tasks.flatMap(({ watchings }) => watchings)
  yield* Effect.forEach(watchings, ({ saw }) => saw("text"), { concurrency: "unbounded" })
  yield* world.freeze(a)
  // Not what readers see: those that have turned to the frozen process wait for it.
  const takenOver = Ledger.until(world.ledger, (entries) => {
    const owners = new Map(Ledger.ofType(entries, "claimed").map((claim) => [claim.taskId, claim.pid]))
    return tasks.every(({ id }) => owners.get(id) !== pid)
  })
  yield* takenOver.pipe(Effect.andThen(Effect.sleep("1 second")), Effect.ensuring(world.thaw(a)))
  const refused = (entries: ReadonlyArray<Ledger.Entry>) =>
    Ledger.ofType(entries, "refused").filter((entry) => entry.pid === pid).length
  yield* Effect.timeoutOption(Ledger.until(world.ledger, (entries) => refused(entries) > 0), patience)
  yield* Effect.forEach(watchings, ({ ended }) => ended, { concurrency: "unbounded" })
  return refused(Ledger.read(world.ledger))
})

export const freeze = Effect.fnUntraced(function*(run: Run) {
  yield* atLeast(run, { "processes frozen": 1, orphans: count / 2 })
  let found = 0
  for (let n = 1; n <= rounds && found === 0; n++) found = yield* round(run, n)
  run.figures.set(`freeze: refused writes of the continued process, ${count} tasks`, found)
  if (found === 0) yield* violated(run, "P9", "the process that was continued has tried to write nothing")
})
