import { Clock, Duration, Effect } from "effect"

/** Nobody has to wait until an answer is overdue: once the line is dead, what was waited for until then has passed. */
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
