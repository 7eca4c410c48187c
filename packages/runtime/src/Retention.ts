/**
 * Removes the logs of tasks that ended long ago. The tasks and the messages of their conversations stay; reading an
 * expired log fails with `EventsExpired`.
 *
 * @since 0.1.0
 */
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Clock, Duration, Effect, Layer, Schedule } from "effect"

/** Logs removed in one step, so that a step is short. */
const batch = 50

/**
 * Removes expired logs now and then: one batch after the other, 10 ms apart, until none is left.
 *
 * **When to use** In any number of processes; one is enough.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: {
  /** How long a log is kept after its task has ended; 30 days by default. */
  readonly keep?: Duration.Input | undefined
  /** From the end of a pass to the next; 1 hour by default. */
  readonly interval?: Duration.Input | undefined
}): Layer.Layer<never, never, TaskBackend> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const backend = yield* TaskBackend
    const keepMillis = Duration.toMillis(Duration.fromInputUnsafe(options?.keep ?? "30 days"))

    const step = Effect.flatMap(
      Clock.currentTimeMillis,
      (now) => backend.prune({ finishedBefore: now - keepMillis, limit: batch })
    )
    const pass = step.pipe(
      Effect.repeat({ while: (removed) => removed === batch, schedule: Schedule.spaced("10 millis") }),
      Effect.catchCause((cause) => Effect.logWarning("Expired logs could not be removed; it is tried again.", cause))
    )
    yield* Effect.forkScoped(Effect.repeat(pass, Schedule.spaced(options?.interval ?? "1 hour")))
  }))
