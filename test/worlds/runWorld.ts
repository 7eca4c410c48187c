/** Runs one world and judges it. */
import { check } from "./oracle/oracle.ts"
import type { Violation } from "./oracle/violation.ts"
import type { Plan } from "./plan.ts"
import type { Line } from "./simulation.ts"
import { World } from "./world.ts"

export interface Outcome {
  readonly violations: ReadonlyArray<Violation>
  /** Equal for equal worlds. */
  readonly hash: number
  readonly steps: number
  readonly trace: ReadonlyArray<Line>
}

export const runWorld = (plan: Plan, options: { readonly traced: boolean } = { traced: false }): Outcome => {
  const world = new World(plan, options.traced)
  const violations = check(world.run())
  const { hash, steps, trace = [] } = world.simulation
  return { violations, hash, steps, trace }
}
