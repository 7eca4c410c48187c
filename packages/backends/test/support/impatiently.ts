import { Clock, Duration, Effect } from "effect"

/**
 * Runs the effect with a clock that shortens time-outs of 10 seconds or more: such a sleep ends as soon as `dead` has
 * completed, and the clock then shows the time at which the sleep would have ended. `waits` says whether this applies to
 * the sleeps that began before `dead` completed, or to all of them.
 */
export const impatiently = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  dead: Effect.Effect<void>,
  waits: "first" | "all" = "first"
): Effect.Effect<A, E, R> =>
  Effect.flatMap(Clock.Clock, (clock) => {
    let isDead = false
    let passed = 0
    const now = () => clock.currentTimeMillisUnsafe() + passed
    const sleep: Clock.Clock["sleep"] = (duration) => {
      const millis = Duration.toMillis(duration)
      if (millis < 10_000 || (isDead && waits === "first")) return clock.sleep(duration)
      const end = now() + millis
      return Effect.andThen(
        dead,
        Effect.sync(() => {
          isDead = true
          passed = Math.max(passed, end - clock.currentTimeMillisUnsafe())
        })
      )
    }
    return Effect.provideService(
      effect,
      Clock.Clock,
      Object.assign(Object.create(clock), { sleep, currentTimeMillisUnsafe: now, currentTimeMillis: Effect.sync(now) })
    )
  })
