/**
 * P8: a task on which each of its owners dies is ended with an error, after four of them, and its conversation is free.
 */
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import * as Ledger from "../ledger.ts"
import type { Plan } from "../plan.ts"
import { type Run, violated } from "../run.ts"
import { next } from "./common.ts"

/** `TaskLimits.failures`, and the one that ends it. */
const mostDeaths = 4

/** SCENARIO 28. */
export const crashLoop = Effect.fnUntraced(function*(run: Run) {
  // Its owners live long enough for their other tasks to make progress: those must not be taken for the cause.
  const plan: Plan = { name: "fatal", words: 10, drip: 150, steps: [], fatal: true }
  let deaths = 0
  // The harness may kill every one of its owners before the task does: then another task shows the promise.
  for (let task = 1; task <= 3 && deaths === 0; task++) {
    const id = yield* Clients.start(run, plan, { ends: ["error"] })
    const watching = yield* Clients.watch(run, id, `fatal-${task}`)
    yield* watching.ended
    deaths = Ledger.ofType(Ledger.read(run.world.ledger), "dying").filter(({ taskId }) => taskId === id).length
  }
  run.figures.set("crash loop: processes that died on the task", deaths)
  // The checker counts all owners that were lost.
  if (deaths < 1 || deaths > mostDeaths) {
    yield* violated(run, "P8", `${deaths} processes died on one task, 1 to ${mostDeaths} were due`)
  }
  yield* next(run, "fatal-next", plan.name)
})
