/**
 * The deadlines of the tasks that this process executes. One fiber looks at all of them now and then: a timer for each would
 * double what a task keeps in memory while it waits.
 */
import { Clock, Effect, Schedule } from "effect"
import type { TaskLimits } from "../../TaskLimits.ts"
import type { StopSignal } from "./stopSignal.ts"

export interface Deadlines {
  /** Requests a stop when so many milliseconds have passed; at once when none are left. */
  readonly set: (stop: StopSignal, remainingMillis: number) => void
  readonly delete: (stop: StopSignal) => void
}

/** Looks every `TaskLimits.sweep`, until the scope closes. */
export const make = Effect.fnUntraced(function*({ sweep }: TaskLimits) {
  const clock = yield* Clock.Clock
  // Monotonic: a step of the wall clock moves no deadline.
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
