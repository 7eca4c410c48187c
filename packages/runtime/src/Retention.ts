/**
 * Removes the logs of tasks that ended long ago. The tasks and the messages of their conversations stay. Reading a removed
 * log fails with `EventsExpired`.
 *
 * @since 0.1.0
 */
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Layer, Schedule } from "effect"

/** The number of logs that one statement removes, so that the statement is short. */
const batch = 50

/**
 * Removes expired logs periodically: one batch after the other, with pauses of 10 ms, until none is left.
 *
 * **When to use** In at least one process of a store. Several processes may run it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options?: {
  /** How long a log is kept after its task has ended; 30 days by default. */
  readonly keep?: Duration.Input | undefined
  /** The time from the end of a pass to the next pass. 1 hour by default. */
  readonly interval?: Duration.Input | undefined
}): Layer.Layer<never, never, TaskBackend> =>
  Layer.effectDiscard(Effect.gen(function*() {
    const backend = yield* TaskBackend
    const keep = Duration.fromInputUnsafe(options?.keep ?? "30 days")
    // The store's clock decides what is old: a process whose clock is ahead removes nothing too early.
    const step = Effect.suspend(() => backend.prune({ finishedFor: keep, limit: batch })).pipe(
      Effect.tap((removed) => removed === 0 ? Effect.void : Effect.logInfo(`Logs of old tasks removed: ${removed}.`))
    )
    const pass = step.pipe(
      Effect.repeat({ while: (removed) => removed === batch, schedule: Schedule.spaced("10 millis") }),
      Effect.catchCause((cause) => Effect.logWarning("Expired logs could not be removed; it is tried again.", cause))
    )
    yield* Effect.forkScoped(Effect.repeat(pass, Schedule.spaced(options?.interval ?? "1 hour")))
  }))
