/**
 * P2: of a hundred starts of one conversation at once, over all processes, exactly one is accepted; also when a process is
 * killed among them and starts are repeated.
 */
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import type { Plan } from "../plan.ts"
import { atLeast, type Run, seeded, violated } from "../run.ts"

const count = 100

const round = Effect.fnUntraced(function*(run: Run, name: string, fault: Effect.Effect<void>) {
  const { slots } = run.world
  // It runs until all have been answered.
  const steps: Plan["steps"] = [[{ tool: "lookup", millis: 60_000 }]]
  const plan = (i: number): Plan => ({ name: `${name}-${i}`, words: 1, drip: 1, steps })
  const starting = Effect.forEach(
    Array.from({ length: count }, (_, i) => i),
    (i) =>
      Clients.tryStart(run, plan(i), { conversationId: name, ends: ["cancelled"], at: slots[i % slots.length] }).pipe(
        seeded(run, `${name} ${i}`)
      ),
    { concurrency: "unbounded" }
  )
  const [answers] = yield* Effect.all([starting, fault], { concurrency: "unbounded" })
  const accepted = answers.filter(({ status }) => status === 201)
  const busy = answers.filter(({ status }) => status === 409)
  if (accepted.length !== 1 || busy.length !== count - 1) {
    const statuses = Map.groupBy(answers, ({ status }) => status)
    const found = [...statuses].map(([status, all]) => `${all.length} x ${status}`).join(", ")
    yield* violated(run, "P2", `${count} starts of conversation ${name} were answered with ${found}`)
  }
  const id = accepted[0]?.body.id ?? ""
  if (busy.some(({ body }) => body.activeTaskId !== id)) {
    yield* violated(run, "P2", `a refused start of conversation ${name} names another task than ${id}`)
  }
  const watching = yield* Clients.watch(run, id, name)
  yield* Clients.cancel(run, id)
  yield* watching.ended
  return accepted.length
})

export const starts = Effect.fnUntraced(function*(run: Run) {
  const calm = yield* round(run, "starts", Effect.void)
  run.figures.set("starts: accepted of 100 at once", calm)
  const { world } = run
  const [victim] = world.slots
  if (victim === undefined) return
  yield* atLeast(run, { "processes killed -9": 1 })
  const kill = Effect.andThen(Effect.sleep("30 millis"), world.kill(victim))
  const killed = yield* round(run, "starts-killed", kill)
  run.figures.set("starts: accepted of 100 at once, one process killed", killed)
})
