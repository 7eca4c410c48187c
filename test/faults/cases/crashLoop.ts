/**
 * P8: a task on which each of its owners dies is ended with an error, after four of them, and its conversation is free.
 */
import { Clock, Effect } from "effect"
import * as Clients from "../clients.ts"
import * as Ledger from "../ledger.ts"
import type { Plan } from "../plan.ts"
import { type Run, violated } from "../run.ts"
import { next } from "./common.ts"

/** `TaskLimits.failures`, and the one that ends it. */
const mostDeaths = 4

/** SCENARIO 28. */
export const crashLoop = Effect.fnUntraced(function*(run: Run, until: number) {
  // Its owners live long enough for their other tasks to make progress: those must not be taken for the cause.
  const plan = (name: string): Plan => ({ name, words: 10, drip: 150, steps: [], fatal: true })
  let name = ""
  let deaths = 0
  // The harness may take every one of its owners away before the task does: then another task shows the promise. To the
  // owners of a task that was started after the storm nothing else happens.
  for (let task = 1, from = 0; deaths === 0 && from < until; task++) {
    from = yield* Clock.currentTimeMillis
    name = `fatal-${task}`
    const id = yield* Clients.start(run, plan(name), { ends: ["error"] })
    const watching = yield* Clients.watch(run, id, name)
    yield* watching.ended
    deaths = Ledger.ofType(Ledger.read(run.world.ledger), "dying").filter(({ taskId }) => taskId === id).length
  }
  run.figures.set("crash loop: processes that died on the task", deaths)
  // The checker counts all owners that were lost.
  if (deaths < 1 || deaths > mostDeaths) {
    yield* violated(run, "P8", `${deaths} processes died on one task, 1 to ${mostDeaths} were due`)
  }
  yield* next(run, "fatal-next", name)
})
