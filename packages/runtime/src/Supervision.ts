/**
 * What an engine needs so that nothing stays active without somebody responsible for it (P8): a sweep that finds heads
 * without an owner, and hints of other processes that are followed.
 *
 * @since 0.1.0
 */
import { Agents } from "@perennial/domain/Agent"
import { type Head, TaskBackend, type Wake } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Latch, Random, Schedule, Stream } from "effect"
import { Lease } from "./Lease.ts"
import { TaskExecutor } from "./TaskExecutor.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"
import { TaskReaders } from "./TaskReaders.ts"

/** Heads asked for at once. */
const page = 1_000

/**
 * What the sweep asks of an engine.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How many more heads the engine would execute now. */
  readonly free: () => number
  /** Opens when the engine could execute a head that it had to leave. */
  readonly freed: Latch.Latch
  /** Executes a head. Heads of agents that this process does not have are given only to be ended. */
  readonly execute: (head: Head) => Effect.Effect<void>
  /** Fewer heads wait in the store than the engine would execute. */
  readonly onNoneLeft: () => void
}

/**
 * Sweeps every `TaskLimits.sweep`, and at once when another process says that there are heads or when the engine has room
 * again. Heads of agents that this process does not have are left to other processes, except for heads that only have to
 * be ended. Also follows the hints of other processes about logs and intents. Works until the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: Options) {
  const agents = yield* Agents
  const backend = yield* TaskBackend
  const executor = yield* TaskExecutor
  const lease = yield* Lease
  const limits = yield* CurrentTaskLimits
  const readers = yield* TaskReaders

  const sweep = Effect.gen(function*() {
    const limit = Math.min(page, options.free())
    if (limit === 0 || !(yield* lease.mayTakeOver)) return
    const heads = yield* backend.unowned({ limit, agentIds: agents.ids, staleFor: limits.taskTimeout })
    if (heads.length < limit) options.onNoneLeft()
    yield* Effect.forEach(heads, options.execute, { discard: true })
  })

  /** Opens when another process says that there are heads without an owner. */
  const hinted = Latch.makeUnsafe(false)
  const pause = Effect.gen(function*() {
    const jitter = yield* Random.nextBetween(0.8, 1.2)
    yield* Effect.raceAllFirst([
      Effect.sleep(Duration.times(limits.sweep, jitter)),
      options.freed.await,
      hinted.await
    ])
    options.freed.closeUnsafe()
    hinted.closeUnsafe()
  })
  yield* sweep.pipe(
    Effect.catchCause((cause) => Effect.logWarning("The sweep failed; it is tried again.", cause)),
    Effect.andThen(pause),
    Effect.forever,
    Effect.forkScoped
  )

  const follow = ({ kind, taskId }: Wake) => {
    if (kind === "head") return hinted.open
    if (kind === "all" || taskId === undefined) return Effect.andThen(readers.recheckAll, hinted.open)
    return kind === "log" ? readers.logGrew(taskId) : executor.readIntents(taskId)
  }
  yield* backend.wakes.pipe(
    Stream.runForEach((wake) =>
      Effect.catchCause(follow(wake), (cause) => Effect.logWarning("A hint could not be followed.", cause))
    ),
    Effect.catchCause((cause) => Effect.logWarning("The hints ended; they are asked for again.", cause)),
    Effect.repeat(Schedule.spaced("1 second")),
    Effect.forkScoped
  )
})
