/**
 * P7: a cancel that comes in at another process reaches a task whose tool sleeps, and its tool's finalizer runs; a cancel
 * of a task whose owner is dead ends it within lease + 2 s.
 */
import { Clock, Effect } from "effect"
import * as Clients from "../clients.ts"
import * as Ledger from "../ledger.ts"
import { conversationsAt } from "../placement.ts"
import type { Plan } from "../plan.ts"
import { atLeast, atMost, type Run, violated } from "../run.ts"
import type { Slot } from "../world.ts"
import { median, next, percentile } from "./common.ts"

const count = 50
const rounds = 3
const orphaned = 5
/** Between the call and the terminal event at a reader, in milliseconds. */
const bound = 250

const sleeping = (name: string): Plan => ({ name, words: 2, drip: 5, steps: [[{ tool: "pay", millis: 30_000 }]] })

/** Tasks of one process that are in their tools, each with a reader at another process. */
const sleepers = (run: Run, name: string, conversations: ReadonlyArray<string>, owner: Slot, other: Slot) =>
  Effect.forEach(conversations, (conversationId) =>
    Effect.gen(function*() {
      const plan = sleeping(`${name}-${conversationId}`)
      const id = yield* Clients.start(run, plan, { conversationId, ends: ["cancelled"], at: owner })
      const watching = yield* Clients.watch(run, id, plan.name, { at: other, isSteady: true })
      yield* watching.saw("tool_call")
      return { id, name: plan.name, conversationId, watching }
    }), { concurrency: 10 })

/** The conversations are free, and their history is one that can be answered. */
const nextTurns = (run: Run, tasks: ReadonlyArray<{ readonly name: string; readonly conversationId: string }>) =>
  Effect.forEach(tasks, ({ conversationId, name }) => next(run, `${name}-next`, conversationId), {
    concurrency: 10,
    discard: true
  })

/** Cancels at B, and waits until the reader at C has seen it; the milliseconds of each. */
const latencies = Effect.fnUntraced(function*(
  run: Run,
  name: string,
  conversations: ReadonlyArray<string>,
  [a, b, c]: readonly [Slot, Slot, Slot]
) {
  const tasks = yield* sleepers(run, name, conversations, a, c)
  const took: Array<number> = []
  for (const { id, watching } of tasks) {
    const from = yield* Clock.currentTimeMillis
    const [, at] = yield* Effect.all([Clients.cancel(run, id, b), watching.saw("cancelled")], { concurrency: 2 })
    took.push(at - from)
  }
  yield* Effect.forEach(tasks, ({ watching }) => watching.ended, { concurrency: "unbounded" })
  yield* nextTurns(run, tasks)
  const finalized = new Set(
    Ledger.ofType(Ledger.read(run.world.ledger), "left").flatMap(({ how, taskId }) =>
      how === "interrupted" ? [taskId] : []
    )
  )
  const missed = tasks.filter(({ id }) => !finalized.has(id))
  if (missed.length > 0) yield* violated(run, "P7", `the tools of ${missed.length} cancelled tasks were not finalized`)
  return took
})

/** What else happens on the machine may spoil one of the rounds; the bound is held by the median of them. */
const fromElsewhere = Effect.fnUntraced(function*(run: Run) {
  const [a, b, c] = run.world.slots
  if (a === undefined || b === undefined || c === undefined) return
  const conversations = yield* conversationsAt(run, a, "cancel", count)
  const all = yield* Effect.forEach(
    Array.from({ length: rounds }, (_, i) => `cancel-${i + 1}`),
    (name) => latencies(run, name, conversations, [a, b, c])
  )
  const of = (percent: number) => all.map((took) => percentile(took, percent))
  run.figures.set(`cancel from another process, p50 of ${count}, each round, ms`, of(50).join(", "))
  run.figures.set(`cancel from another process, p99 of ${count}, each round, ms`, of(99).join(", "))
  yield* atMost(run, "cancel from another process, the p99 in the middle, ms", median(of(99)), bound, "P7")
})

const ofDeadOwner = Effect.fnUntraced(function*(run: Run) {
  const { world } = run
  const [a, b, c] = world.slots
  if (a === undefined || b === undefined || c === undefined) return
  yield* atLeast(run, { "processes killed -9": 1 })
  const conversations = yield* conversationsAt(run, a, "cancel-dead", orphaned)
  const tasks = yield* sleepers(run, "cancel-dead", conversations, a, c)
  const died = yield* Clock.currentTimeMillis
  yield* world.kill(a)
  const ends = yield* Effect.forEach(
    tasks,
    ({ id, watching }) =>
      Effect.andThen(
        Effect.all([Clients.cancel(run, id, b), watching.ended], { concurrency: 2 }),
        watching.saw("cancelled")
      ),
    { concurrency: "unbounded" }
  )
  const longest = Math.max(...ends) - died
  yield* atMost(
    run,
    "cancel of a dead owner's task, longest after the death, ms",
    longest,
    world.leaseMillis + 2_000,
    "P7"
  )
  yield* nextTurns(run, tasks)
})

export const cancel = (run: Run) => Effect.andThen(fromElsewhere(run), ofDeadOwner(run))
