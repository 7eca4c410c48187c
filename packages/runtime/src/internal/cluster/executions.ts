/** What this process executes for the cluster: each task in a place of the capacity, handed over by an interruption. */
import { Agents } from "@perennial/domain/Agent"
import type { TaskId } from "@perennial/domain/Ids"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import { isBoundary } from "@perennial/domain/TaskEvent"
import { Cause, Duration, Effect, Fiber, FiberMap, Latch, Option, Semaphore, Stream } from "effect"
import { TaskExecutor } from "../../TaskExecutor.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import { TaskReaders } from "../../TaskReaders.ts"
import { Capacity, type Place } from "../task/capacity.ts"
import type { WaitingTasks } from "./waitingTasks.ts"

/** Between two looks at a task that another process owns: at first, and at most. */
const firstPause = Duration.millis(200)
const longestPause = Duration.seconds(1)

/** How long another runner has for taking a task that was handed over, before this one goes on with it (P8). */
const untilTakenBack = Duration.millis(1_200)

export interface Executions {
  /** Executes a task until it has ended, here or elsewhere. An interruption hands it over. It never fails. */
  readonly run: (id: TaskId) => Effect.Effect<void>
  /** Executes a head at once if there is a place, in a fiber of this process. */
  readonly execute: (head: Head) => Effect.Effect<void>
  /** Interrupts what `execute` has begun, and waits until it is handed over. */
  readonly clear: Effect.Effect<void>
  readonly capacity: Capacity
  /** How many tasks are executed here, those included that have no place because they wait. */
  readonly size: () => number
  /** How many messages wait here, for a place or for the end of another owner. */
  readonly queued: () => number
}

export const make = Effect.fnUntraced(function*(options: {
  readonly waiting: WaitingTasks
  readonly submit: (head: Head) => Effect.Effect<void>
  /** How long a task may go on with its step when its shard leaves. */
  readonly stepPatience: Duration.Duration
  /** Whether the process hands everything over because it ends. */
  readonly isEnding: () => boolean
}) {
  const agents = yield* Agents
  const backend = yield* TaskBackend
  const executor = yield* TaskExecutor
  const limits = yield* CurrentTaskLimits
  const readers = yield* TaskReaders
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  /** Heads wait for places in the order of their arrival. */
  const turn = Semaphore.makeUnsafe(1)
  const freed = Latch.makeUnsafe(false)
  const capacity = new Capacity(limits.capacity, () => freed.openUnsafe())
  /** The tasks whose messages are handled here. A second message of a task lets the first look at once, and ends. */
  const handled = new Map<TaskId, Latch.Latch>()
  /** The tasks that are executed here, with or without a message. */
  const running = new Set<TaskId>()
  const direct = yield* FiberMap.make<TaskId, void>()
  let inTurn = 0

  const untilFree: Effect.Effect<Place> = Effect.suspend(() => {
    freed.closeUnsafe()
    return Effect.filterOrElse(
      capacity.tryAcquire,
      (place) => place !== undefined,
      () => Effect.andThen(Effect.interruptible(freed.await), untilFree)
    )
  })
  /** Waits interruptibly for a place, which the caller has to end. */
  const acquire = Effect.acquireUseRelease(
    Effect.sync(() => inTurn++),
    () => Effect.acquireUseRelease(Effect.interruptible(turn.take(1)), () => untilFree, () => turn.release(1)),
    () => Effect.sync(() => inTurn--)
  )

  /** Waits for the end of a step: a durable `message` or `tool_result`. */
  const endOfStep = Effect.fnUntraced(function*({ taskId }: Head) {
    const { lastSeq } = yield* backend.get(taskId)
    yield* readers.read(taskId, lastSeq).pipe(
      Stream.filter(({ event }) => isBoundary(event) && event.type !== "started"),
      Stream.runHead
    )
  })

  /** Executes a task that was handed over and that no other runner has taken, as when the cluster cannot lock its shards. */
  const takeBack = ({ taskId }: Head) =>
    Effect.gen(function*() {
      yield* Effect.sleep(untilTakenBack)
      if ((yield* backend.owners([taskId])).length > 0) return
      const head = yield* backend.head(taskId)
      if (Option.isSome(head)) yield* execute(head.value)
    }).pipe(Effect.ignore)

  /** Lets the present step end, within the patience. In a fiber of its own: the fiber of the handler is interrupted already. */
  const letStepEnd = (fiber: Fiber.Fiber<void>, head: Head) =>
    Effect.raceFirst(Fiber.await(fiber), Effect.ignore(endOfStep(head))).pipe(
      Effect.timeoutOption(options.stepPatience),
      Effect.forkIn(scope),
      Effect.flatMap(Fiber.await)
    )

  /** When the process ends, any other runner may go on. When the shard leaves, its next runner does. */
  const handOver = (fiber: Fiber.Fiber<void>, head: Head, place: Place) =>
    Effect.suspend(() => {
      if (options.isEnding()) return Fiber.interrupt(fiber)
      return (Duration.isZero(options.stepPatience) ? Effect.void : letStepEnd(fiber, head)).pipe(
        Effect.andThen(Effect.suspend(() => {
          if (!options.isEnding()) place.move()
          return Fiber.interrupt(fiber)
        })),
        Effect.andThen(Effect.forkIn(takeBack(head), scope))
      )
    })

  /** The fiber belongs to the engine, so that an interruption of the handler can wait for the end of a step. */
  const executeIn = (place: Place, head: Head) =>
    Effect.gen(function*() {
      options.waiting.delete(head.taskId)
      running.add(head.taskId)
      const fiber = yield* executor.execute(head, place, options.submit).pipe(
        Effect.flatMap(Option.match({ onNone: () => Effect.void, onSome: options.submit })),
        Effect.updateContext<never, never>(() => context),
        Effect.forkIn(scope, { startImmediately: true })
      )
      yield* Effect.interruptible(Fiber.await(fiber)).pipe(Effect.onInterrupt(() => handOver(fiber, head, place)))
    }).pipe(
      Effect.ensuring(Effect.sync(() => running.delete(head.taskId))),
      Effect.ensuring(place.end),
      Effect.uninterruptible
    )

  /** One look at a task. True when it has ended, or waits behind another task of its conversation. */
  const look = Effect.fnUntraced(function*(id: TaskId) {
    const head = yield* Effect.interruptible(backend.head(id))
    if (Option.isNone(head)) return true
    if (running.has(id) || !agents.ids.includes(head.value.agentId)) return false
    const place = inTurn > 0 ? undefined : yield* capacity.tryAcquire
    if (place !== undefined) {
      yield* executeIn(place, head.value)
    } else {
      const waited = yield* acquire
      // The head may have changed meanwhile.
      const newest = yield* Effect.onError(Effect.interruptible(backend.head(id)), () => waited.end)
      if (Option.isNone(newest)) return yield* Effect.as(waited.end, true)
      yield* executeIn(waited, newest.value)
    }
    return Option.isNone(yield* Effect.interruptible(backend.head(id)))
  }, Effect.uninterruptible)

  /**
   * A claim against a live owner is refused: then the handler waits for its turn instead of replying. The reply would end the
   * message, and with it the last thing that makes somebody take the task up when the owner dies.
   */
  const untilEnded = Effect.fnUntraced(function*(id: TaskId, nudged: Latch.Latch) {
    let pause = firstPause
    while (true) {
      nudged.closeUnsafe()
      const ended = yield* look(id).pipe(
        Effect.catchCause((cause) =>
          Cause.hasInterruptsOnly(cause) ? Effect.interrupt : Effect.as(
            Effect.logWarning(`Task ${id} could not be looked up; it is tried again.`, cause),
            false
          )
        )
      )
      if (ended) return
      yield* Effect.timeoutOption(nudged.await, pause)
      pause = Duration.min(Duration.times(pause, 2), longestPause)
    }
  })

  const run = (id: TaskId): Effect.Effect<void> =>
    Effect.suspend(() => {
      const other = handled.get(id)
      if (other !== undefined) return Effect.asVoid(other.open)
      const nudged = Latch.makeUnsafe(false)
      handled.set(id, nudged)
      return Effect.ensuring(untilEnded(id, nudged), Effect.sync(() => handled.delete(id)))
    })

  // A handler that only waits does not keep its task from being executed: the claim decides between the two.
  const execute = (head: Head): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (running.has(head.taskId)) return Effect.void
      return Effect.flatMap(capacity.tryAcquire, (place) =>
        place === undefined
          ? Effect.void
          : Effect.asVoid(FiberMap.run(direct, head.taskId, executeIn(place, head), { startImmediately: true })))
    }).pipe(Effect.uninterruptible, Effect.updateContext<never, never>(() => context))

  return {
    run,
    execute,
    clear: FiberMap.clear(direct),
    capacity,
    size: () => running.size,
    queued: () => [...handled.keys()].filter((id) => !running.has(id)).length
  } satisfies Executions
})
