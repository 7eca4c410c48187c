/**
 * The port to what makes tasks run somewhere.
 *
 * @since 0.1.0
 */
import { Agents } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskId } from "@perennial/domain/Ids"
import type { Head, TaskBackend } from "@perennial/domain/TaskBackend"
import { CapacityExceeded } from "@perennial/domain/TaskError"
import { Context, Effect, FiberMap, Latch, Layer, Option, Semaphore } from "effect"
import { Capacity, type Place } from "./internal/task/capacity.ts"
import type { Lease } from "./Lease.ts"
import * as Supervision from "./Supervision.ts"
import { TaskExecutor } from "./TaskExecutor.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"
import type { TaskReaders } from "./TaskReaders.ts"

/**
 * Makes heads run. `TaskRuntime` is written over this port alone, so that swapping its layer is all an application changes
 * to run tasks somewhere else. An engine passes the tests of `TaskEngineContract`.
 *
 * **Details** An engine executes heads by `TaskExecutor.execute` and hands a task over by interrupting that effect. It
 * builds its sweep with `Supervision.make`.
 *
 * @since 0.1.0
 * @category services
 */
export class TaskEngine extends Context.Service<TaskEngine, {
  /**
   * Makes this head run somewhere, at least once. Returns at once; submitting again is harmless. A head for which there is
   * no place stays unclaimed until there is one, here or in another process. A head of an agent that this process does not
   * have is left to processes that have it.
   */
  readonly submit: (head: Head) => Effect.Effect<void>

  /** A task that was submitted has ended before it began: it waits for no place any more. */
  readonly forget: (id: TaskId) => Effect.Effect<void>

  /** Fails when as many tasks wait, for a place or for a person, as this process takes (P11). */
  readonly admission: Effect.Effect<void, CapacityExceeded>

  /**
   * Takes no more heads and hands over the tasks that run here, each when the finalizers of its agent have run or the grace
   * is over (P8). Returns when all are handed over. The end of the layer does the same.
   */
  readonly drain: Effect.Effect<void>
}>()("@perennial/runtime/TaskEngine") {
  /** Runs tasks as fibers of this process. When the scope closes, tasks are handed over (P8). */
  static readonly layerLocal: Layer.Layer<
    TaskEngine,
    never,
    TaskExecutor | TaskBackend | ConversationStore | Agents | Lease | TaskReaders
  > = Layer.effect(TaskEngine, Effect.suspend(() => makeLocal))
}

/** The fiber that submits goes on first. */
const later = { startImmediately: false }

const makeLocal = Effect.gen(function*() {
  const agents = yield* Agents
  const executor = yield* TaskExecutor
  const limits = yield* CurrentTaskLimits
  const context = yield* Effect.context<never>()
  const running = yield* FiberMap.make<TaskId, void>()
  /** Tasks submitted here that found no place. The sweep finds their heads in the store. */
  const waiting = new Set<TaskId>()
  /** Opens when a place became free for a task that waits. */
  const freed = Latch.makeUnsafe(false)
  const capacity = new Capacity(limits.capacity, () => {
    if (waiting.size > 0) freed.openUnsafe()
  })
  // Two submits of one head at the same time must not both find that it does not run.
  const oneAtATime = Semaphore.makeUnsafe(1)
  let draining = false

  const submitPromoted = Option.match({ onNone: () => Effect.void, onSome: (head: Head) => submit(head) })

  const executeIn = (place: Place, head: Head) =>
    executor.execute(head, place).pipe(
      Effect.ensuring(place.end),
      Effect.flatMap(submitPromoted)
    )

  const execute = (head: Head): Effect.Effect<void> =>
    Effect.gen(function*() {
      if (draining || FiberMap.hasUnsafe(running, head.taskId)) return
      const place = yield* capacity.tryAcquire
      if (place === undefined) {
        if (waiting.size < limits.waiting) waiting.add(head.taskId)
        return
      }
      waiting.delete(head.taskId)
      yield* FiberMap.run(running, head.taskId, executeIn(place, head), later)
    }).pipe(
      oneAtATime.withPermit,
      Effect.uninterruptible,
      Effect.updateContext<never, never>(() => context)
    )

  const submit = (head: Head): Effect.Effect<void> => agents.ids.includes(head.agentId) ? execute(head) : Effect.void

  yield* Supervision.make({
    execute,
    free: () => draining ? 0 : capacity.free,
    freed,
    onNoneLeft: () => waiting.clear()
  })

  const drain = Effect.suspend(() => {
    draining = true
    return FiberMap.clear(running)
  })
  yield* Effect.addFinalizer(() => drain)

  return TaskEngine.of({
    submit,
    forget: (id) => Effect.sync(() => waiting.delete(id)),
    admission: Effect.gen(function*() {
      const withoutPlace = waiting.size + (yield* FiberMap.size(running)) - capacity.taken
      if (withoutPlace >= limits.waiting) return yield* new CapacityExceeded({ limit: limits.waiting })
    }),
    drain
  })
})
