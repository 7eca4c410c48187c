/**
 * The deadlines of the tasks that this process executes. One fiber checks all of them periodically, because a timer for each
 * task would double the memory of a waiting task.
 */
import { Clock, Effect, Schedule } from "effect"
import type { TaskLimits } from "../../TaskLimits.ts"
import type { StopSignal } from "./stopSignal.ts"

export interface Deadlines {
  /** Requests a stop after so many milliseconds, or at once if the number is not positive. */
  readonly set: (stop: StopSignal, remainingMillis: number) => void
  readonly delete: (stop: StopSignal) => void
}

/** Checks the deadlines every `TaskLimits.sweep`, until the scope closes. */
export const make = Effect.fnUntraced(function*({ sweep }: TaskLimits) {
  const clock = yield* Clock.Clock
  // The monotonic clock, so that a step of the wall clock moves no deadline.
  const now = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  const deadlines = new Map<StopSignal, number>()

  yield* Effect.sync(() => {
    const at = now()
    for (const [stop, deadline] of deadlines) if (deadline <= at) stop.stop("deadline")
  }).pipe(Effect.repeat(Schedule.spaced(sweep)), Effect.forkScoped)

  return {
    set: (stop, remainingMillis) => {
      if (remainingMillis <= 0) return stop.stop("deadline")
      if (Number.isFinite(remainingMillis)) deadlines.set(stop, now() + remainingMillis)
    },
    delete: (stop) => {
      deadlines.delete(stop)
    }
  } satisfies Deadlines
})
