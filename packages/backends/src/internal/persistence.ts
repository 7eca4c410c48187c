/**
 * What the operations of every store have in common: rows decoded, transient failures retried, lost replies resolved.
 */
import { Data, Duration, Effect, Schedule } from "effect"

/** A transient failure is retried this long: longer than a restart of the store takes. */
const budget = Duration.seconds(30)

/** What has no answer by then is tried again, if there is time left: in milliseconds. */
export const patienceMillis = 15_000

const schedule = Schedule.min([Schedule.exponential("25 millis"), Schedule.spaced("1 second")]).pipe(
  Schedule.jittered
)

/** A row holds what no version of this library wrote. */
export class Unreadable extends Data.TaggedError("Unreadable")<{ readonly cause: unknown }> {}

/** Reads rows with a function that throws where they are not what they should be. */
export const read = <A>(body: () => A): Effect.Effect<A, Unreadable> =>
  Effect.try({ try: body, catch: (cause) => new Unreadable({ cause }) })

/**
 * Runs an operation until it has an answer, within the budget. `again` tells that an earlier try may have been applied
 * although its reply was lost: the operation resolves that by asking the row.
 */
export type Persistently<F> = <A, E, E2>(
  operation: (again: boolean) => Effect.Effect<A, E>,
  onFailure: (cause: F | Unreadable) => E2
) => Effect.Effect<A, Exclude<E, F | Unreadable> | E2>

/** For a store whose client fails with `F`. */
export const make = <F>(options: {
  readonly isFailure: (error: unknown) => error is F
  readonly isTransient: (error: F) => boolean
  /** Why an operation fails that has no answer. Without it, an answer is waited for. */
  readonly unanswered?: F | undefined
}): Persistently<F> =>
<A, E, E2>(
  operation: (again: boolean) => Effect.Effect<A, E>,
  onFailure: (cause: F | Unreadable) => E2
): Effect.Effect<A, Exclude<E, F | Unreadable> | E2> =>
  Effect.clockWith((clock) => {
    const end = clock.currentTimeMillisUnsafe() + Duration.toMillis(budget)
    const { unanswered } = options
    let tries = 0
    let last: F | undefined
    const attempt = Effect.suspend((): Effect.Effect<A, E | F> => {
      const tried = operation(tries++ > 0)
      if (unanswered === undefined) return tried
      const left = Math.max(0, end - clock.currentTimeMillisUnsafe())
      return Effect.timeoutOrElse(tried, {
        duration: Math.min(left, patienceMillis),
        orElse: () => Effect.fail(last ?? unanswered)
      })
    })
    return attempt.pipe(
      // A rollback on a lost connection is a defect: the transaction ended with the connection.
      Effect.catchDefect((defect) => options.isFailure(defect) ? Effect.fail(defect) : Effect.die(defect)),
      Effect.retry({
        while: (error) => {
          if (!options.isFailure(error) || !options.isTransient(error)) return false
          last = error
          return clock.currentTimeMillisUnsafe() < end
        },
        schedule
      }),
      Effect.catch((error): Effect.Effect<never, Exclude<E, F | Unreadable> | E2> =>
        options.isFailure(error) || error instanceof Unreadable
          ? Effect.fail(onFailure(error))
          // The guard leaves exactly the other errors of the operation.
          : Effect.fail(error as Exclude<E, F | Unreadable>)
      )
    )
  })
