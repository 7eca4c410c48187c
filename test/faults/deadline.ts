/**
 * Cases end: by themselves, broken off by what they found, or at their deadline. Whichever it is, the run goes on, and what was
 * seen is checked and reported.
 */
import { Cause, Data, Duration, Effect, Exit, Option, type Scope } from "effect"
import type { Violation } from "./observed.ts"

/** A promise was broken so that the case cannot go on. */
export class Broken extends Data.TaggedError("Broken")<Violation> {}

/** What broke a case off, as a violation. */
const toViolation = (name: string, cause: Cause.Cause<Broken>): Violation => {
  const broken = Cause.findErrorOption(cause)
  if (Option.isNone(broken)) return { promise: "run", what: `${name} broke off: ${Cause.pretty(cause)}` }
  const { promise, what } = broken.value
  return { promise, what }
}

/** Runs a case with its clients, but not for longer than so many seconds: then they are interrupted. */
export const within = Effect.fnUntraced(function*(
  violations: Array<Violation>,
  name: string,
  seconds: number,
  one: Effect.Effect<unknown, Broken, Scope.Scope>
) {
  const exit = yield* Effect.exit(Effect.timeoutOption(Effect.scoped(one), Duration.seconds(seconds)))
  if (Exit.isFailure(exit)) violations.push(toViolation(name, exit.cause))
  else if (Option.isNone(exit.value)) {
    violations.push({ promise: "P8", what: `${name} has not ended after ${seconds} s` })
  }
})
