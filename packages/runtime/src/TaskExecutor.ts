/**
 * What it takes to execute tasks in this process: claims, the event path, the lease, and the readers.
 *
 * The same code executes tasks under every engine; only this code claims.
 *
 * @since 0.1.0
 */
import { Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { NewId, RunnerId, type TaskId } from "@perennial/domain/Ids"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import type { StreamLost, TaskBackendError } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import {
  type Cause,
  Clock,
  Context,
  Duration,
  Effect,
  Latch,
  Layer,
  Option,
  Schedule,
  Scheduler,
  type Stream
} from "effect"
import { executeClaimed, type Shared } from "./internal/executeClaimed.ts"
import { Execution } from "./internal/execution.ts"
import { Hubs } from "./internal/hubs.ts"
import { Pages } from "./internal/pages.ts"
import { Places } from "./internal/places.ts"
import { read } from "./internal/reader.ts"
import * as Watch from "./internal/watch.ts"
import * as Writer from "./internal/writer.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"

/** Tasks whose losses are remembered. */
const maxLosses = 10_000

/**
 * Executes tasks and serves their readers.
 *
 * @since 0.1.0
 * @category services
 */
export class TaskExecutor extends Context.Service<TaskExecutor, {
  readonly runnerId: RunnerId

  /** Takes a place of this process's capacity, if there is one; `execute` needs it and gives it back. */
  readonly admit: Effect.Effect<boolean>

  /** Gives back a place that was taken for nothing. */
  readonly dismiss: Effect.Effect<void>

  /** How many more tasks this process would take. */
  readonly room: Effect.Effect<number>

  /** Opens when a place became free. */
  readonly roomMade: Latch.Latch

  /** Tasks accepted here that wait for a place. */
  readonly waiting: Set<TaskId>

  /** Whether as many tasks wait here, for a place or for a person, as this process takes (P11). */
  readonly isFull: Effect.Effect<boolean>

  /** Whether a task is executed here. */
  readonly isExecuting: (id: TaskId) => boolean

  /**
   * Claims a head and executes it in the background to its end, a hand-over or a loss. `onEnd` is given the head that its
   * end promoted, if this process has its agent. Does nothing when another owner has it. Nothing waits in the meantime.
   */
  readonly launch: (head: Head, onEnd: (promoted: Option.Option<Head>) => void) => void

  /** The same for a fiber that waits. `checkpoint` runs between steps. */
  readonly execute: (
    head: Head,
    options?: { readonly checkpoint?: Effect.Effect<void> | undefined }
  ) => Effect.Effect<Option.Option<Head>>

  /** Looks at what was asked of a task, if it is executed here. */
  readonly notify: (id: TaskId) => Effect.Effect<void, TaskBackendError>

  /** The log of a task grew by another hand: whoever watches it here must see it. */
  readonly grew: (id: TaskId) => Effect.Effect<void>

  /** The same for every task that is watched here. */
  readonly grewAll: Effect.Effect<void>

  /** Ends what time ends: deadlines and graces. */
  readonly tick: Effect.Effect<void>

  /**
   * Stops taking tasks and hands over those that are executed, each when its finalizers have run. Finalizers that cling
   * are given up: their tasks are handed over without them. Returns when all are.
   */
  readonly drain: Effect.Effect<void>

  /** Whether this process may take tasks from owners that seem dead: not just after its own lease had run out. */
  readonly mayRob: Effect.Effect<boolean>

  /** The events of a task after a seq, until the terminal one. Checks nothing. */
  readonly read: (id: TaskId, after: number) => Stream.Stream<StoredEvent, StreamLost>
}>()("@perennial/runtime/TaskExecutor") {
  /** The executor of this process. Its lease ends when the scope closes. */
  static readonly layer: Layer.Layer<TaskExecutor, TaskBackendError, TaskBackend | ConversationStore | Agents> = Layer
    .effect(TaskExecutor, Effect.suspend(() => make))
}

const make = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const store = yield* ConversationStore
  const agents = yield* Agents
  const limits = yield* CurrentTaskLimits
  const clock = yield* Clock.Clock
  const context = yield* Effect.context<never>()
  const scope = yield* Effect.scope
  const runnerId = RunnerId.make(yield* Effect.flatten(NewId))
  const now = () => clock.currentTimeMillisUnsafe()

  const leaseMillis = Duration.toMillis(limits.leaseTtl)
  let renewedAt = now()
  let robsFrom = 0
  const executions = new Map<TaskId, Execution>()
  let draining = false
  const places = new Places(limits.capacity)
  /** Times a task was given up here because of the store, without progress since. */
  const losses = new Map<TaskId, number>()
  const waiting = new Set<TaskId>()
  const hubs = new Hubs()
  const pages = new Pages(backend, limits.pageCacheBytes)

  yield* backend.heartbeat(runnerId, limits.leaseTtl)
  yield* Effect.addFinalizer(() =>
    backend.heartbeat(runnerId, Duration.zero).pipe(
      Effect.timeout(limits.heartbeat),
      Effect.ignore({ log: "Warn", message: "The lease could not be ended." })
    )
  )
  const writer = yield* Writer.make(backend)
  const watch = yield* Watch.make(backend, hubs)

  const notify = Effect.fnUntraced(function*(id: TaskId) {
    const execution = executions.get(id)
    if (execution !== undefined) execution.apply(yield* backend.intents(id), now())
  })

  const noteLoss = ({ excused, failed, progressed, taskId }: Execution) => {
    if (failed && excused) return
    const before = progressed ? 0 : losses.get(taskId) ?? 0
    losses.delete(taskId)
    if (!failed) return
    losses.set(taskId, before + 1)
    // Those that another process took up stay: the oldest go.
    for (const oldest of losses.keys()) if (losses.size > maxLosses) losses.delete(oldest)
  }

  /** From here on others write to its log: whoever reads it here follows it like that of any other process. */
  const disown = (id: TaskId) => {
    hubs.disown(id)
    watch.grewUnsafe(id)
  }

  /** Opens when a process that drains executes nothing any more. */
  const drained = Latch.makeUnsafe(false)

  const shared: Shared = {
    agents,
    backend,
    context,
    end: (execution, promoted) =>
      Effect.suspend(() => {
        const { taskId } = execution
        executions.delete(taskId)
        disown(taskId)
        noteLoss(execution)
        execution.over = true
        return Effect.map(places.leave(execution), () => {
          execution.onEnd(Option.filter(promoted, ({ agentId }) => agents.ids.includes(agentId)))
          if (draining && executions.size === 0) drained.openUnsafe()
        })
      }),
    hubs,
    limits,
    notify: (id) => Effect.ignore(Effect.suspend(() => notify(id)), { log: "Warn" }),
    now,
    places,
    runnerId,
    scope,
    store,
    writer
  }
  const dispatcher = Context.get(context, Scheduler.Scheduler).makeDispatcher()
  const process = {
    onLost: disown,
    look: (id: TaskId) => Effect.asVoid(Effect.forkIn(shared.notify(id), scope)),
    graceMillis: Duration.toMillis(limits.cancelGrace),
    now
  }
  const launch = (
    head: Head,
    checkpoint: Effect.Effect<void>,
    onEnd: (promoted: Option.Option<Head>) => void
  ): void => {
    const { taskId } = head
    const execution = new Execution(head, { checkpoint, losses: losses.get(taskId) ?? 0, onEnd, process })
    if (draining || executions.has(taskId)) {
      Effect.runForkWith(context)(Effect.map(places.leave(execution), () => onEnd(Watch.noHead)))
      return
    }
    executions.set(taskId, execution)
    waiting.delete(taskId)
    // After what this turn of the event loop still does: whoever submits is answered first, and what begins together is
    // executed together.
    dispatcher.scheduleTask(() => executeClaimed(shared, execution), 0)
  }

  /** One task's trouble must not keep the others from being looked after. */
  const alone = Effect.catchCause((cause: Cause.Cause<TaskBackendError>) =>
    Effect.logWarning("A task could not be looked after; it is tried again.", cause)
  )

  /** What the store says this runner owns against what is executed here. */
  const beat = Effect.gen(function*() {
    const before = new Map<TaskId, Execution>()
    for (const [id, execution] of executions) if (execution.claim !== undefined) before.set(id, execution)
    const asked = now()
    const { owned } = yield* backend.heartbeat(runnerId, limits.leaseTtl)
    // After an outage of the store others may have been unable to renew theirs: they get the time to.
    if (asked - renewedAt > leaseMillis) robsFrom = now() + leaseMillis / 3
    // The store counts from when it was asked, at the earliest.
    renewedAt = asked
    const byId = new Map(owned.map((fence) => [fence.taskId, fence]))
    for (const [id, execution] of before) {
      const row = byId.get(id)
      if (executions.get(id) !== execution) continue
      if (row === undefined || row.token !== execution.claim?.token) execution.stop("fenced", now())
      else if (row.intents > execution.intents) yield* alone(notify(id))
    }
    for (const row of owned) {
      if (!before.has(row.taskId) && !executions.has(row.taskId)) yield* alone(backend.release(row))
    }
  })
  /** What this process may not know any more: whether its tasks have other owners by now (P9, P10). */
  const lapse = Effect.suspend(() => {
    if (now() - renewedAt < leaseMillis) return Effect.void
    let stopped = 0
    for (const execution of executions.values()) {
      if (execution.claim === undefined || execution.isLost) continue
      execution.stop("fenced", now())
      stopped++
    }
    return stopped === 0 ? Effect.void : Effect.logWarning(`The lease has run out: ${stopped} tasks stop here.`)
  })
  // A store that never answers must not outlast the lease; once it has run out, it is asked again as often.
  const patience = () => Math.max(0, renewedAt + leaseMillis - now()) || leaseMillis
  yield* Effect.suspend(() => Effect.timeout(beat, patience())).pipe(
    Effect.catchCause((cause) => Effect.andThen(Effect.logWarning("The lease could not be renewed.", cause), lapse)),
    Effect.repeat(Schedule.spaced(limits.heartbeat)),
    Effect.delay(limits.heartbeat),
    Effect.forkScoped
  )

  const tick = Effect.sync(() => {
    const at = now()
    for (const execution of executions.values()) execution.tick(at)
  })

  return TaskExecutor.of({
    runnerId,
    admit: Effect.suspend(() => draining ? Effect.succeed(false) : places.admit),
    dismiss: places.dismiss,
    room: Effect.sync(() => draining ? 0 : places.room),
    roomMade: places.made,
    waiting,
    isFull: Effect.sync(() => waiting.size + executions.size - places.taken >= limits.waiting),
    isExecuting: (id) => executions.has(id),
    launch: (head, onEnd) => launch(head, Effect.void, onEnd),
    execute: (head, options) =>
      Effect.uninterruptible(
        Effect.callback<Option.Option<Head>>((resume) =>
          launch(head, options?.checkpoint ?? Effect.void, (promoted) => resume(Effect.succeed(promoted)))
        )
      ),
    notify,
    grew: watch.grew,
    grewAll: watch.grewAll,
    tick,
    drain: Effect.suspend(() => {
      draining = true
      if (executions.size === 0) return Effect.void
      for (const execution of executions.values()) execution.stop("shutdown", now())
      return Effect.timeoutOption(drained.await, limits.cancelGrace).pipe(
        Effect.andThen(tick),
        Effect.andThen(drained.await)
      )
    }),
    mayRob: Effect.sync(() => now() >= robsFrom && now() - renewedAt <= leaseMillis),
    read: (id, after) => read(hubs, pages, id, after)
  })
})
