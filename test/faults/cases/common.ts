/** What several cases do. */
import { Effect } from "effect"
import * as Clients from "../clients.ts"
import type { Plan } from "../plan.ts"
import type { Run } from "../run.ts"
import type { Slot } from "../world.ts"

/** The smallest value that so many percent are not above. */
export const percentile = (values: ReadonlyArray<number>, percent: number): number =>
  values.toSorted((a, b) => a - b)[Math.max(0, Math.ceil(values.length * percent / 100) - 1)] ?? 0

export const median = (values: ReadonlyArray<number>): number => percentile(values, 50)

/** The next turn of a conversation is accepted and answered. */
export const next = Effect.fnUntraced(function*(run: Run, name: string, conversationId: string) {
  const plan: Plan = { name, words: 2, drip: 1, steps: [] }
  const id = yield* Clients.start(run, plan, { conversationId })
  const watching = yield* Clients.watch(run, id, name)
  yield* watching.ended
})

/** Starts a task in a conversation of each name, with a reader. */
export const begin = (run: Run, names: ReadonlyArray<string>, planOf: (name: string) => Plan, at?: Slot) =>
  Effect.forEach(names, (name) =>
    Effect.gen(function*() {
      const id = yield* Clients.start(run, planOf(name), { at })
      return { id, watching: yield* Clients.watch(run, id, name) }
    }), { concurrency: "unbounded" })

export type Begun = Effect.Success<ReturnType<typeof begin>>

/** Waits until their readers were told that there is nothing more. */
export const ended = (...all: ReadonlyArray<Begun>) =>
  Effect.forEach(all.flat(), ({ watching }) => watching.ended, { concurrency: "unbounded", discard: true })
