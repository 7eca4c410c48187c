/**
 * P8: a task on which each of its owners dies is ended with an error, after four of them.
 */
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import * as Ledger from "../ledger.ts"
import type { Plan } from "../plan.ts"
import { type Run, violated } from "../run.ts"

/** `TaskLimits.failures`, and the one that ends it. */
const mostDeaths = 4

export const crashLoop = Effect.fnUntraced(function*(run: Run) {
  // Its owners live long enough for their other tasks to make progress: those must not be taken for the cause.
  const plan: Plan = { name: "fatal", words: 10, drip: 150, steps: [], fatal: true }
  const id = yield* Clients.start(run, plan, { ends: ["error"] })
  const watching = yield* Clients.watch(run, id, "fatal")
  yield* watching.ended
  const deaths = Ledger.ofType(Ledger.read(run.world.ledger), "dying").filter(({ taskId }) => taskId === id)
  run.figures.set("crash loop: processes that died on the task", deaths.length)
  if (deaths.length > mostDeaths) {
    yield* violated(run, "P8", `${deaths.length} processes died on one task, at most ${mostDeaths}`)
  }
})
