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
 * Whether the store answers soon. A slow store is not ready, because load balancers have a time limit of their own.
 *
 * It asks the store at most once at a time. A query that takes too long is interrupted. The answer does not wait for the
 * interruption, because a dead connection delays that, too.
 */
export const makeReadiness = <E>(
  look: Effect.Effect<unknown, E>
): Effect.Effect<Effect.Effect<unknown, E | Unavailable>, never, Scope.Scope> =>
  Effect.map(oneAtATime(orLate(look)), (looking) => Effect.flatMap(looking, (fiber) => orLate(Fiber.join(fiber))))
