import { Clock, Duration, Effect, Layer } from "effect"

/** Pauses between two tries are about a second or shorter. Longer waits are waits for answers. */
const isPause = (duration: Duration.Duration) => Duration.toMillis(duration) <= 1_500

/** `onPause` runs at the beginning of each pause. */
export const noticing = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  onPause: Effect.Effect<unknown>
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const sleep: Clock.Clock["sleep"] = (duration) =>
      isPause(duration) ? Effect.andThen(onPause, clock.sleep(duration)) : clock.sleep(duration)
    return Effect.provideService(effect, Clock.Clock, Object.assign(Object.create(clock), { sleep }))
  })

const hurry = (clock: Clock.Clock, onPause: Effect.Effect<unknown>): Clock.Clock => {
  let passed = 0
  const now = () => clock.currentTimeMillisUnsafe() + passed
  const sleep: Clock.Clock["sleep"] = (duration) => {
    if (!isPause(duration)) return clock.sleep(duration)
    passed += Duration.toMillis(duration)
    return Effect.andThen(onPause, Effect.yieldNow)
  }
  return Object.assign(Object.create(clock), {
    sleep,
    currentTimeMillisUnsafe: now,
    currentTimeMillis: Effect.sync(now)
  })
}

/** The time of each pause passes at once; `onPause` runs in it. */
export const hurried = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  onPause: Effect.Effect<unknown> = Effect.void
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.Clock, (clock) => Effect.provideService(effect, Clock.Clock, hurry(clock, onPause)))

/**
 * The time of each pause passes at once. With the clock of a test alone, a store that tries an operation again would wait for ever:
 * PostgreSQL ends a transaction in which a busy machine has done nothing for two seconds.
 */
export const layerHurried = Layer.effect(
  Clock.Clock,
  Effect.map(Clock.Clock, (clock) => hurry(clock, Effect.void))
)
