import { Clock, Duration, Effect } from "effect"

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

/** The time of each pause passes at once; `onPause` runs in it. */
export const hurried = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  onPause: Effect.Effect<unknown> = Effect.void
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    let passed = 0
    const now = () => clock.currentTimeMillisUnsafe() + passed
    const sleep: Clock.Clock["sleep"] = (duration) => {
      if (!isPause(duration)) return clock.sleep(duration)
      passed += Duration.toMillis(duration)
      return Effect.andThen(onPause, Effect.yieldNow)
    }
    return Effect.provideService(
      effect,
      Clock.Clock,
      Object.assign(Object.create(clock), { sleep, currentTimeMillisUnsafe: now, currentTimeMillis: Effect.sync(now) })
    )
  })
