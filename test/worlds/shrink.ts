/** Makes the plan of a broken world smaller, as long as it breaks. */
import type { Act, Plan, Script, Weather } from "./plan.ts"

/** A smaller plan draws other dice, so each is tried with several seeds of its scheduler. */
const schedules = 20
const nextSchedule = 1_000_003

const without = <A>(values: ReadonlyArray<A>, i: number): ReadonlyArray<A> => values.filter((_, j) => j !== i)
const replaced = <A>(values: ReadonlyArray<A>, i: number, value: A): ReadonlyArray<A> =>
  values.map((other, j) => j === i ? value : other)

const smallerActs = ({ acts }: Script): ReadonlyArray<Script["acts"]> => [
  ...acts.map((_, i) => without(acts, i)),
  ...acts.flatMap((act, i) => smallerAct(act).map((smaller) => replaced(acts, i, { ...smaller, pause: act.pause })))
]

const smallerAct = (act: Act): ReadonlyArray<Act> =>
  act.type !== "start" ? [] : [
    ...act.steps.length > 1 ? act.steps.map((_, i) => ({ ...act, steps: without(act.steps, i) })) : [],
    ...act.readers > 0 ? [{ ...act, readers: act.readers - 1 }] : [],
    ...act.again ? [{ ...act, again: false }] : []
  ]

const calm: Weather = {
  refused: 0,
  unanswered: 0,
  late: 0,
  slow: 0,
  lostWakes: 0,
  repeatedWakes: 0,
  commitMillis: 0,
  deleteMillis: 0
}

const keys = Object.keys(calm) as ReadonlyArray<keyof Weather>

const withScript = (plan: Plan, i: number, script: Script): Plan => ({
  ...plan,
  scripts: replaced(plan.scripts, i, script)
})

/** All plans that are one step smaller, the smallest first. */
const smaller = (plan: Plan): ReadonlyArray<Plan> => [
  ...plan.scripts.map((_, i) => ({ ...plan, scripts: without(plan.scripts, i) })),
  ...plan.faults.map((_, i) => ({ ...plan, faults: without(plan.faults, i) })),
  ...keys.flatMap((key) => plan.weather[key] > 0 ? [{ ...plan, weather: { ...plan.weather, [key]: 0 } }] : []),
  ...plan.skews.some((skew) => skew !== 0) ? [{ ...plan, skews: plan.skews.map(() => 0) }] : [],
  ...plan.http ? [{ ...plan, http: false }] : [],
  ...plan.llm ? [{ ...plan, llm: false }] : [],
  ...plan.reorders ? [{ ...plan, reorders: false }] : [],
  ...plan.scripts.flatMap((script, i) =>
    script.follows === true ? [withScript(plan, i, { ...script, follows: false })] : []
  ),
  ...plan.scripts.flatMap((script, i) => smallerActs(script).map((acts) => withScript(plan, i, { ...script, acts })))
]

/** The plan with another seed of the scheduler with which it breaks. Undefined if it does not break. */
const broken = (plan: Plan, breaks: (plan: Plan) => boolean): Plan | undefined => {
  for (let i = 0; i < schedules; i++) {
    const tried = { ...plan, seed: plan.seed + i * nextSchedule }
    if (breaks(tried)) return tried
  }
  return undefined
}

/** The smallest plan that was found. `plan` itself breaks. */
export const shrink = (plan: Plan, breaks: (plan: Plan) => boolean): Plan => {
  for (const candidate of smaller(plan)) {
    const found = broken(candidate, breaks)
    if (found !== undefined) return shrink(found, breaks)
  }
  return plan
}
