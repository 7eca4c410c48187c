/**
 * Whether a store answers soon: load balancers ask with a timeout of their own, and a store that is slow is not ready.
 */
import { Cause, Effect, Exit, Fiber, type Scope } from "effect"
import { Unavailable } from "../Problems.ts"

const patience = "2 seconds"

const late = Exit.fail(new Unavailable({ detail: `The store did not answer within ${patience}.` }))

/**
 * Looks once at a time, however many ask. A look that takes too long is interrupted, and nobody waits until it is: a
 * connection that is dead takes its time for that, too.
 */
export const makeReadiness = <E>(
  look: Effect.Effect<unknown, E>
): Effect.Effect<Effect.Effect<unknown, E | Unavailable>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    let looking: Fiber.Fiber<unknown, E> | undefined

    const begin = Effect.map(Effect.forkIn(look, scope, { startImmediately: true }), (fiber) => {
      looking = fiber
      fiber.addObserver(() => {
        looking = undefined
      })
      return fiber
    })

    return Effect.gen(function*() {
      const fiber = looking ?? (yield* begin)
      const end: Effect.Effect<Exit.Exit<unknown, E | Unavailable>> = Fiber.await(fiber)
      const exit = yield* Effect.timeoutOrElse(end, {
        duration: patience,
        orElse: () =>
          Effect.sync(() => {
            fiber.interruptUnsafe()
            return late
          })
      })
      return yield* Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause) ? late : exit
    })
  })
