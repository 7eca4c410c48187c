/**
 * Finds work for an engine, so that no task stays without an owner (P8): a sweep finds heads without an owner, and hints of
 * other processes are followed.
 *
 * @since 0.1.0
 */
import { Agents } from "@perennial/domain/Agent"
import type { TaskId } from "@perennial/domain/Ids"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import type { Wake } from "@perennial/domain/Wake"
import { Duration, Effect, Latch, Random, Schedule, Stream } from "effect"
import { Lease } from "./Lease.ts"
import { TaskExecutor } from "./TaskExecutor.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"
import { TaskReaders } from "./TaskReaders.ts"

/** The most heads that one query reads. */
const page = 1_000

/**
 * The engine, as the sweep sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How many more heads the engine would execute now. */
  readonly free: () => number
  /** How many heads the engine has taken and not yet claimed. The store still returns them as heads without an owner. */
  readonly unclaimed: () => number
  /** Opens when the engine has a place for a head that it could not execute before. */
  readonly freed: Latch.Latch
  /** Executes a head. A head of an agent that this process does not have comes only if it has to be ended. */
  readonly execute: (head: Head) => Effect.Effect<void>
  /** Called when the store has fewer waiting heads than the engine has places. */
  readonly onNoneLeft: () => void
}

/**
 * Follows the hints of other processes about logs, intents and records, until the scope closes. `onHead` runs after a hint that a
 * head has no owner, with its id; without an id after a hint that any heads may have none.
 *
 * **When to use** In an engine that finds heads without an owner in its own way. `make` does this, too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const followHints = Effect.fnUntraced(function*(onHead: (id?: TaskId) => Effect.Effect<unknown>) {
  const backend = yield* TaskBackend
  const executor = yield* TaskExecutor
  const readers = yield* TaskReaders

  const follow = ({ kind, taskId, userId }: Wake): Effect.Effect<unknown, { readonly _tag: string }> => {
    if (kind === "user") return userId === undefined ? Effect.void : readers.tasksChanged(userId)
    if (kind === "head") return onHead(taskId)
    if (kind === "all" || taskId === undefined) return Effect.andThen(readers.recheckAll, onHead())
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

/**
 * Sweeps every `TaskLimits.sweep`, and at once after a hint about heads or when the engine has a free place again. Heads of
 * agents that this process does not have are left to other processes, except heads that only have to be ended. It also
 * follows the hints of other processes about logs and intents. It works until the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: Options) {
  const agents = yield* Agents
  const backend = yield* TaskBackend
  const lease = yield* Lease
  const limits = yield* CurrentTaskLimits

  const sweep = Effect.gen(function*() {
    const free = options.free()
    if (free === 0 || !(yield* lease.mayTakeOver)) return
    // Heads whose claims are slow must not hide the others.
    const limit = Math.min(page, free + options.unclaimed())
    const heads = yield* backend.unowned({ limit, agentIds: agents.ids, staleFor: limits.taskTimeout })
    if (heads.length < limit) options.onNoneLeft()
    yield* Effect.forEach(heads, options.execute, { discard: true })
  })

  /** Opens after a hint that heads have no owner. */
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

  yield* followHints(() => hinted.open)
})
