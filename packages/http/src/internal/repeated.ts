/** Requests that are safe to repeat. */
import { Effect, Schedule } from "effect"
import { mayPass } from "../Watch.ts"

const schedule = Schedule.exponential("200 millis").pipe(Schedule.jittered, Schedule.upTo({ times: 5 }))

/** Refusals that do not pass in a few seconds. */
const lasting: ReadonlySet<string> = new Set(["CapacityExceeded", "TooManyActiveTasks", "InternalError"])

/** For requests that are safe to repeat: again after 0.2 s, 0.4 s, ... 3.2 s, unless the server has answered. */
export const repeated = <A, E extends { readonly _tag: string }, R>(
  self: Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.retry(self, {
    schedule,
    while: (error) => mayPass(error) && !lasting.has(error._tag)
  })

type Defined<A> = { readonly [Name in keyof A]: Exclude<A[Name], undefined> }

/** A query has no fields without a value. */
export const withoutUndefined = <A extends object>(options: A): Defined<A> =>
  // What is left has a value.
  Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Defined<A>
