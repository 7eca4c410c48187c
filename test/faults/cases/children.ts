/**
 * P7, P8, P10: tasks that wait for child tasks. The processes of both are killed and told to end, and the tasks are cancelled: a call
 * goes on with the same child, and no child works on when its parent has ended.
 */
import { childTaskId, TaskId } from "@perennial/domain/Ids"
import type { Terminal } from "@perennial/domain/TaskEvent"
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import * as Plan from "../plan.ts"
import { insist } from "../requests.ts"
import { atLeast, type Run } from "../run.ts"
import type { Slot } from "../world.ts"

const count = 8

/** Waits until a child is accepted: it comes after the event that names it. */
const accepted = Effect.fnUntraced(function*(run: Run, child: string) {
  while ((yield* insist(run, { method: "GET", path: `/tasks/${child}` })).status !== 200) {
    yield* Effect.sleep("50 millis")
  }
})

/** Tasks that wait for two children each, which are in their tools, with readers of all of them. */
const families = (run: Run, name: string, millis: number, ends: Terminal["type"], at: Slot) =>
  Effect.forEach(Array.from({ length: count }, (_, i) => `${name}-${i}`), (name) =>
    Effect.gen(function*() {
      const children = ["a", "b"].map((letter): Plan.Plan => ({
        name: `${name}-${letter}`,
        words: 2,
        drip: 5,
        steps: [[{ tool: "lookup", millis }]]
      }))
      const calls = children.map((child) => ({
        tool: "delegate" as const,
        millis: millis + 20,
        child: Plan.encode(child)
      }))
      const id = yield* Clients.start(run, { name, words: 2, drip: 5, steps: [calls] }, { ends: [ends], at })
      const parent = yield* Clients.watch(run, id, name)
      yield* parent.saw("tool_call")
      const watchings = yield* Effect.forEach(children, (plan, i) =>
        Effect.gen(function*() {
          const taskId = childTaskId(TaskId.make(id), i + 1)
          yield* accepted(run, taskId)
          run.accepted.push({ taskId, ends: [ends], plan, undisturbed: false })
          const watching = yield* Clients.watch(run, taskId, plan.name)
          yield* watching.saw("tool_call")
          return watching
        }))
      return { id, ended: Effect.forEach([parent, ...watchings], ({ ended }) => ended, { discard: true }) }
    }), { concurrency: count })

export const children = Effect.fnUntraced(function*(run: Run) {
  const { world } = run
  const [a, b, c] = world.slots
  if (a === undefined || b === undefined || c === undefined) return
  yield* atLeast(run, { "processes killed -9": 1, "processes told to end": 1, "child tasks": 6 * count })
  const all = (found: ReadonlyArray<{ readonly ended: Effect.Effect<void> }>) =>
    Effect.forEach(found, ({ ended }) => ended, { concurrency: "unbounded", discard: true })
  const killed = yield* families(run, "children-killed", 2_000, "done", a)
  yield* world.kill(a)
  const handedOver = yield* families(run, "children-term", 2_000, "done", b)
  yield* world.terminate(b)
  yield* all([...killed, ...handedOver])
  const cancelled = yield* families(run, "children-cancel", 30_000, "cancelled", c)
  yield* Effect.forEach(cancelled, ({ id }) => Clients.cancel(run, id, a), { concurrency: count, discard: true })
  yield* all(cancelled)
})
