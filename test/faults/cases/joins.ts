/**
 * P8 and P10: a runner joins a cluster under load, gets some of the tasks, and leaves again: told to end, then killed.
 */
import { Clock, Effect } from "effect"
import * as Ledger from "../ledger.ts"
import type { Plan } from "../plan.ts"
import { atLeast, type Run, violated } from "../run.ts"
import { begin, ended } from "./common.ts"

const count = 12

/** At least so many of them move: a quarter is due. */
const moved = 1

/** About 12 seconds, with calls that must not run twice. */
const plan = (name: string): Plan => ({
  name,
  words: 5,
  drip: 100,
  steps: Array.from({ length: 10 }, () => [{ tool: "pay", millis: 700 }])
})

const round = Effect.fnUntraced(function*(run: Run, how: "terminate" | "kill") {
  const { world } = run
  const tasks = yield* begin(run, Array.from({ length: count }, (_, i) => `joins-${how}-${i}`), plan)
  yield* Effect.forEach(tasks, ({ watching }) => watching.saw("text"), { concurrency: "unbounded" })
  const came = yield* world.visit(Effect.fnUntraced(function*(guest) {
    const from = yield* Clock.currentTimeMillis
    yield* Ledger.until(
      world.ledger,
      (entries) => Ledger.ofType(entries, "claimed").filter(({ pid }) => pid === guest.process?.pid).length >= moved
    )
    run.figures.set(`joins: until a task had moved, ms (${how})`, (yield* Clock.currentTimeMillis) - from)
    yield* world[how](guest)
  }))
  if (!came) yield* violated(run, "run", "the runner that was to join did not come up")
  yield* ended(tasks)
})

export const joins = Effect.fnUntraced(function*(run: Run) {
  yield* atLeast(run, {
    "processes told to end": 1,
    "processes killed -9": 1,
    "tasks handed over": 2 * moved,
    orphans: 1
  })
  yield* round(run, "terminate")
  yield* round(run, "kill")
})
