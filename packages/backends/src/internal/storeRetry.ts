/**
 * How an operation on any store is retried, and which of its failures are not.
 */
import { Cause, Data, Duration, Effect, Predicate, Schedule } from "effect"

/** Transient failures are retried for this long: longer than a restart of the store takes. */
const budget = Duration.seconds(30)

/** A try without an answer is given up after this many milliseconds. Another one follows, if there is time left. */
export const answerMillis = 15_000

const schedule = Schedule.min([Schedule.exponential("25 millis"), Schedule.spaced("1 second")]).pipe(
  Schedule.jittered
)

/** A duration in whole milliseconds, up to the largest safe integer: that is longer than any time of a store. */
export const toMillis = (duration: Duration.Duration): number =>
  Math.min(Math.ceil(Duration.toMillis(duration)), Number.MAX_SAFE_INTEGER)

/** A value that cannot be encoded, or a row that cannot be decoded. Another try would fail in the same way. */
export class CodecError extends Data.TaggedError("CodecError")<{ readonly cause: unknown }> {}

const isCodecError = (error: unknown): error is CodecError => Predicate.isTagged(error, "CodecError")

/** Runs a synchronous encoder or decoder, which may throw. */
export const tryCodec = <A>(body: () => A): Effect.Effect<A, CodecError> =>
  Effect.try({ try: body, catch: (cause) => new CodecError({ cause }) })

/**
 * Runs an operation until it has an answer, within a time limit. With `again`, an earlier try may have been applied although
 * its reply was lost: the operation finds that out by reading the row.
 */
export type WithRetriesOf<F> = <A, E, E2>(
  operation: (again: boolean) => Effect.Effect<A, E>,
  onFailure: (cause: F | CodecError) => E2
) => Effect.Effect<A, Exclude<E, F | CodecError> | E2>

/**
 * Logs why the first try of a renewal failed, if it is tried again. The lease interrupts a renewal when the lease runs out,
 * which is before the retries end. The log would otherwise have no reason for it.
 */
export const logFirst =
  <F>(again: boolean, isTransient: (error: F) => boolean) =>
  <A, R>(renewal: Effect.Effect<A, F | CodecError, R>): Effect.Effect<A, F | CodecError, R> =>
    again ? renewal : Effect.tapError(renewal, (error) =>
      isCodecError(error) || !isTransient(error)
        ? Effect.void
        : Effect.logWarning("The lease could not be renewed at once.", error))

/** Retries for a store whose client fails with `F`. */
export const make = <F>(options: {
  readonly isFailure: (error: unknown) => error is F
  readonly isTransient: (error: F) => boolean
  /** The failure of a try without an answer. If absent, a try waits for its answer without a limit. */
  readonly unanswered?: F | undefined
  /** Runs after each failure, before the next try. */
  readonly mend?: ((error: F) => Effect.Effect<void>) | undefined
}): WithRetriesOf<F> =>
<A, E, E2>(
  operation: (again: boolean) => Effect.Effect<A, E>,
  onFailure: (cause: F | CodecError) => E2
): Effect.Effect<A, Exclude<E, F | CodecError> | E2> =>
  Effect.clockWith((clock) => {
    const end = clock.currentTimeMillisUnsafe() + Duration.toMillis(budget)
    const { mend = () => Effect.void, unanswered } = options
    let tries = 0
    let last: F | undefined
    const attempt = Effect.suspend((): Effect.Effect<A, E | F> => {
      const tried = operation(tries++ > 0)
      if (unanswered === undefined) return tried
      const left = Math.max(0, end - clock.currentTimeMillisUnsafe())
      return Effect.timeoutOrElse(tried, {
        duration: Math.min(left, answerMillis),
        orElse: () => Effect.fail(last ?? unanswered)
      })
    })
    return attempt.pipe(
      // A rollback on a lost connection is a defect, beside the reason for the rollback: the transaction ended with the
      // connection. The next try finds the reason again.
      Effect.catchCause((cause) => {
        const defects = cause.reasons.filter(Cause.isDieReason).map(({ defect }) => defect)
        const lost = defects.find(options.isFailure)
        return lost === undefined ? Effect.failCause(cause) : Effect.fail(lost)
      }),
      Effect.tapError((error) => options.isFailure(error) ? mend(error) : Effect.void),
      Effect.retry({
        while: (error) => {
          if (!options.isFailure(error) || !options.isTransient(error)) return false
          last = error
          return clock.currentTimeMillisUnsafe() < end
        },
        schedule
      }),
      Effect.catch((error): Effect.Effect<never, Exclude<E, F | CodecError> | E2> =>
        options.isFailure(error) || isCodecError(error)
          ? Effect.fail(onFailure(error))
          // The guard leaves exactly the other errors of the operation.
          : Effect.fail(error as Exclude<E, F | CodecError>)
      )
    )
  })
