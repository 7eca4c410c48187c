/**
 * P3 and P8 through the faces: programs with the cursors of their protocols read at any process while one is killed and one is told to
 * end. Each shows the whole text of the agent, once.
 */
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import * as FaceReaders from "../faceReaders.ts"
import type { Plan } from "../plan.ts"
import { atLeast, type Run } from "../run.ts"
import type { Slot } from "../world.ts"

/** A task, a reader of its log, and a program of each face. */
const followed = Effect.fnUntraced(function*(run: Run, at: Slot) {
  const name = `faces-${at.name}`
  const plan: Plan = { name, words: 40, drip: 25, steps: [[{ tool: "lookup", millis: 300 }]] }
  const id = yield* Clients.start(run, plan, { at })
  const watching = yield* Clients.watch(run, id, name, { isSteady: true })
  const programs = yield* Effect.forEach(FaceReaders.kinds, (kind) => FaceReaders.follow(run, id, kind))
  return { at, watching, readers: [watching, ...programs] }
})

export const faces = Effect.fnUntraced(function*(run: Run) {
  const { slots, kill, terminate } = run.world
  yield* atLeast(run, {
    "readers through faces": FaceReaders.kinds.length * slots.length,
    "processes killed -9": 1,
    "processes told to end": 1
  })
  const tasks = yield* Effect.forEach(slots, (at) => followed(run, at), { concurrency: "unbounded" })
  const faults = [{ type: "text", does: kill }, { type: "tool_call", does: terminate }] as const
  yield* Effect.forEach(faults, ({ does, type }, i) => {
    const task = tasks[i]
    return task === undefined ? Effect.void : Effect.andThen(task.watching.saw(type), does(task.at))
  }, { concurrency: "unbounded" })
  yield* Effect.forEach(tasks.flatMap(({ readers }) => readers), ({ ended }) => ended, { concurrency: "unbounded" })
})
