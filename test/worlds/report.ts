/** What broke in a world, for people: the promise, the last steps that matter, and the command that repeats it. */
import type { Violation } from "./oracle/violation.ts"
import { type Plan, planOf } from "./plan.ts"
import { runWorld } from "./runWorld.ts"
import type { Line } from "./simulation.ts"

/** One cause breaks many promises. */
const shownViolations = 5
const shownLines = 60
const shownLength = 600

export const command = (seed: number): string => `pnpm test:worlds --seed ${seed} --count 1`

const formatLine = ({ at, text }: Line): string => `${(at / 1_000).toFixed(3).padStart(9)}  ${text}`

/** The lines about these tasks, conversations and processes, and all faults. */
const relevant = (trace: ReadonlyArray<Line>, about: ReadonlyArray<string>): ReadonlyArray<Line> => {
  const names = about.filter((name) => name !== "")
  const lines = trace.filter(({ text }) => text.startsWith("--") || names.some((name) => text.includes(name)))
  return lines.length === 0 ? trace : lines
}

export const formatTrace = (trace: ReadonlyArray<Line>): string => trace.map(formatLine).join("\n")

/** `repeat` is the command that repeats the world. */
export const formatFailure = (
  plan: Plan,
  violations: ReadonlyArray<Violation>,
  repeat = command(plan.seed)
): string => {
  const { trace } = runWorld(plan, { traced: true })
  const lines = relevant(trace, violations[0]?.about ?? [])
  return [
    `World ${plan.seed} broke ${[...new Set(violations.map(({ promise }) => promise))].join(", ")}:`,
    ...violations.slice(0, shownViolations).map(({ promise, what }) => `  ${promise}: ${what.slice(0, shownLength)}`),
    ...violations.length > shownViolations ? [`  and ${violations.length - shownViolations} more`] : [],
    `The last of ${lines.length} steps about it:`,
    formatTrace(lines.slice(-shownLines)),
    `Repeat it: ${repeat} [--trace]`
  ].join("\n")
}

/** What broke in the world of a seed. Undefined if all promises held. */
export const judge = (seed: number): string | undefined => {
  const plan = planOf(seed)
  const { violations } = runWorld(plan)
  return violations.length === 0 ? undefined : formatFailure(plan, violations)
}
