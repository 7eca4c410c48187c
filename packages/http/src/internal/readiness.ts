import { Effect, Fiber, type Scope } from "effect"
import { Unavailable } from "../Problems.ts"
import { oneAtATime } from "./oneAtATime.ts"

const patience = "2 seconds"

const orLate = <A, E>(self: Effect.Effect<A, E>) =>
  Effect.timeoutOrElse(self, {
    duration: patience,
    orElse: () => Effect.fail(new Unavailable({ detail: `The store did not answer within ${patience}.` }))
  })

/**
 * Whether the store answers soon: load balancers ask with a timeout of their own, and a store that is slow is not ready.
 *
 * Looks once at a time, however many ask. A look that takes too long is interrupted. Nobody waits for the interruption: a
 * dead connection takes its time for that, too.
 */
export const makeReadiness = <E>(
  look: Effect.Effect<unknown, E>
): Effect.Effect<Effect.Effect<unknown, E | Unavailable>, never, Scope.Scope> =>
  Effect.map(oneAtATime(orLate(look)), (looking) => Effect.flatMap(looking, (fiber) => orLate(Fiber.join(fiber))))
