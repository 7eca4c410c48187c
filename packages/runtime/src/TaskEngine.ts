/**
 * The port to engines, which make tasks run somewhere.
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
 * Makes heads run. `TaskManager` uses only this port: to execute tasks somewhere else, an application replaces the layer. An
 * engine passes the tests of `TaskEngineContract`.
 *
 * **Details** An engine executes heads by `TaskExecutor.execute` and hands a task over by interrupting that effect. It
 * builds its sweep with `Supervision.make`.
 *
 * @since 0.1.0
 * @category services
 */
export class TaskEngine extends Context.Service<TaskEngine, {
  /**
   * Makes this head run somewhere, at least once. Returns at once. Submitting a head again changes nothing. A head for which
   * there is no place stays unclaimed until this or another process has a place. A head of an agent that this process does
   * not have is left to other processes.
   */
  readonly submit: (head: Head) => Effect.Effect<void>

  /** A submitted task has ended before it began. It no longer counts as waiting. */
  readonly forget: (id: TaskId) => Effect.Effect<void>

  /** Fails if the largest number of tasks already waits in this process, for a place or for a person (P11). */
  readonly admission: Effect.Effect<void, CapacityExceeded>

  /**
   * Accepts no more heads, and hands over the tasks that run here (P8). Each task is handed over when the finalizers of its
   * agent have ended, or after the grace. Returns when all tasks are handed over. The end of the layer does the same.
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

/** The submitting fiber continues before the new fiber begins. */
const later = { startImmediately: false }

const makeLocal = Effect.gen(function*() {
  const agents = yield* Agents
  const executor = yield* TaskExecutor
  const limits = yield* CurrentTaskLimits
  const context = yield* Effect.context<never>()
  const running = yield* FiberMap.make<TaskId, void>()
  /** The submitted tasks without a place. The sweep finds their heads in the store. */
  const waiting = new Set<TaskId>()
  /** Opens when a place is free for a waiting task. */
  const freed = Latch.makeUnsafe(false)
  const capacity = new Capacity(limits.capacity, () => {
    if (waiting.size > 0) freed.openUnsafe()
  })
  // Two concurrent submits of one head must not both find that it does not run.
  const oneAtATime = Semaphore.makeUnsafe(1)
  let draining = false

  const submitPromoted = Option.match({ onNone: () => Effect.void, onSome: (head: Head) => submit(head) })

  const executeIn = (place: Place, head: Head) =>
    executor.execute(head, place, submit).pipe(
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

  /** A head that arrives while others wait is not taken before them: the sweep finds them in the order of the store. */
  const submit = (head: Head): Effect.Effect<void> => {
    if (!agents.ids.includes(head.agentId)) return Effect.void
    return Effect.suspend(() => {
      if (waiting.size === 0 || draining || FiberMap.hasUnsafe(running, head.taskId)) return execute(head)
      if (waiting.size < limits.waiting) waiting.add(head.taskId)
      if (capacity.free > 0) freed.openUnsafe()
      return Effect.void
    })
  }

  yield* Supervision.make({
    execute,
    free: () => draining ? 0 : capacity.free,
    unclaimed: () => capacity.unclaimed,
    freed,
    onNoneLeft: () => waiting.clear()
  })

  const drain = Effect.gen(function*() {
    draining = true
    const before = yield* executor.released
    yield* FiberMap.clear(running)
    const tasks = (yield* executor.released) - before
    if (tasks > 0) yield* Effect.logInfo(`Tasks handed over: ${tasks}.`)
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
