import { Effect, type Fiber, type Scope } from "effect"

/**
 * Runs an effect at most once at a time. A call while the effect runs gets the fiber that runs it. The scope owns the fiber.
 */
export const oneAtATime = <A, E>(
  effect: Effect.Effect<A, E>
): Effect.Effect<Effect.Effect<Fiber.Fiber<A, E>>, never, Scope.Scope> =>
  Effect.map(Effect.scope, (scope) => {
    let running: Fiber.Fiber<A, E> | undefined
    const begin = Effect.map(Effect.forkIn(effect, scope, { startImmediately: true }), (fiber) => {
      running = fiber
      fiber.addObserver(() => {
        running = undefined
      })
      return fiber
    })
    return Effect.suspend(() => running === undefined ? begin : Effect.succeed(running))
  })
