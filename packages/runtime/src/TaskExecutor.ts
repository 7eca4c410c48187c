/**
 * Executes one task in this process, from its claim to its end.
 *
 * Every engine uses this code to execute tasks. No other code claims tasks.
 *
 * @since 0.1.0
 */
import { type Agent, Agents } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentTask, type TaskContext } from "@perennial/domain/CurrentTask"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { TaskId } from "@perennial/domain/Ids"
import type { Metadata } from "@perennial/domain/Task"
import { type Claim, type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import { Cause, Context, Duration, Effect, Layer, Option, References, Scope } from "effect"
import { CurrentChildTasks } from "./ChildTasks.ts"
import * as GroupCommit from "./internal/log/groupCommit.ts"
import { OwnedLog } from "./internal/log/ownedLog.ts"
import { TaskAgentInput } from "./internal/task/agentInput.ts"
import * as Deadlines from "./internal/task/deadlines.ts"
import type { ExecutionHost } from "./internal/task/executionHost.ts"
import { conclude, finish, release } from "./internal/task/finish.ts"
import { OwnedChildTasks } from "./internal/task/ownedChildTasks.ts"
import type { OwnedTask } from "./internal/task/ownedTask.ts"
import { prepare } from "./internal/task/prepare.ts"
import { runAgent, wasInterrupted } from "./internal/task/runAgent.ts"
import type { StopSignal } from "./internal/task/stopSignal.ts"
import { StoreFailures } from "./internal/task/storeFailures.ts"
import { TaskOwner } from "./internal/task/taskOwner.ts"
import { traceIdOf } from "./internal/telemetry/taskSpans.ts"
import { Lease } from "./Lease.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"
import { CurrentTaskPlace, type TaskPlace, unbounded } from "./TaskPlace.ts"
import { TaskReaders } from "./TaskReaders.ts"

/**
 * Executes tasks.
 *
 * @since 0.1.0
 * @category services
 */
export class TaskExecutor extends Context.Service<TaskExecutor, {
  /**
   * Claims a head, and executes its task to the end. Returns the head that the end promoted. None if there is no such head,
   * if another owner has the task, and if the task was handed over or lost.
   *
   * An interruption is the hand-over: the agent is interrupted, its finalizers get the grace of `TaskLimits.cancelGrace`,
   * and the task is released for another process (P8). The effect ends after that. It never fails: if a store fails, the
   * task stops as if this process had crashed.
   *
   * `place` is the place of the task in the capacity of the engine. Without it the task takes no place. `submit` makes a child
   * task of the task run: `TaskEngine.submit`. Without it the next sweep finds the child.
   */
  readonly execute: (
    head: Head,
    place?: TaskPlace,
    submit?: (head: Head) => Effect.Effect<void>
  ) => Effect.Effect<Option.Option<Head>>

  /** How many tasks this process has given back so far. */
  readonly released: Effect.Effect<number>

  /** Reads the intents of a task, if the task is executed here. */
  readonly readIntents: (id: TaskId) => Effect.Effect<void, TaskBackendError>
}>()("@perennial/runtime/TaskExecutor") {
  /** The executor of this process. */
  static readonly layer: Layer.Layer<
    TaskExecutor,
    never,
    TaskBackend | ConversationStore | Agents | Lease | TaskReaders
  > = Layer.effect(TaskExecutor, Effect.suspend(() => make))
}

const make = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const store = yield* ConversationStore
  const agents = yield* Agents
  const lease = yield* Lease
  const readers = yield* TaskReaders
  const limits = yield* CurrentTaskLimits
  const scope = yield* Effect.scope
  const context = yield* Effect.context<never>()
  const commit = yield* GroupCommit.make(backend, lease.now)
  const deadlines = yield* Deadlines.make(limits)
  let released = 0
  const onReleased = () => {
    released++
  }
  const owners = new Map<TaskId, TaskOwner>()
  const readIntents = (id: TaskId) => Effect.suspend(() => owners.get(id)?.readIntents ?? Effect.void)
  const host: ExecutionHost = {
    backend,
    store,
    readers,
    agentIds: agents.ids,
    readIntents,
    commit,
    limits,
    scope,
    now: lease.now,
    onReleased
  }
  const storeFailures = new StoreFailures()
  // This scope is never closed. Each execution ends the fiber of its agent. A fiber stays behind only if its finalizers do not
  // end within the grace; waiting for such a fiber could delay the shutdown for ever.
  const agentFibers = yield* Scope.make()

  /** Makes this process the owner of a claimed task. */
  const own = (owner: TaskOwner, claim: Claim, engine: Engine, agent: Option.Option<Agent>): OwnedTask => {
    const { place } = engine
    const { intents, stop } = owner
    const publisher = readers.own(claim.taskId, claim.lastSeq, claim.userId)
    stop.disownOnLoss(publisher)
    const log = new OwnedLog({ claim, publisher, limits, owner })
    place.openCalls(log)
    // Without its agent the task ends for that reason, not because of its age.
    const timeout = Option.match(agent, {
      onNone: () => Duration.infinity,
      onSome: (agent) => timeoutOf(claim, Duration.min(agent.timeout ?? limits.taskTimeout, limits.taskTimeout))
    })
    // The age of the task is measured by the store's time.
    deadlines.set(stop, claim.startedAt + Duration.toMillis(timeout) - claim.now)
    owners.set(claim.taskId, owner)
    const attempt = storeFailures.begin(claim.taskId)
    return owner.owned = {
      attempt,
      children: new OwnedChildTasks(host, { claim, log, place, stop, timeout }, engine.submit),
      claim,
      context: toContext(claim, stop),
      intents,
      log,
      place,
      publisher,
      stop,
      timeout
    }
  }

  const disown = (owner: TaskOwner) => {
    lease.forget(owner)
    if (owner.owned === undefined) return
    const { attempt, claim, publisher, stop } = owner.owned
    if (owners.get(claim.taskId) === owner) owners.delete(claim.taskId)
    deadlines.delete(stop)
    publisher.disown()
    attempt.end(stop.reason === "store")
  }

  /** Executes an owned task: to its end, to a hand-over, or to the loss of its claim. */
  const perform = Effect.fnUntraced(function*(owned: OwnedTask, agent: Option.Option<Agent>) {
    yield* Effect.logDebug("The task is executed here.")
    const preparation = yield* prepare(host, owned, agent)
    if (preparation._tag === "Release") return yield* release(host, owned)
    if (preparation._tag === "End") return yield* finish(host, owned, preparation.outcome)
    if (yield* wasInterrupted) owned.stop.stop("shutdown")
    const input = new TaskAgentInput(host, owned, preparation.prepared)
    const exit = yield* runAgent(host, owned, preparation.agent, input, agentFibers)
    return yield* conclude(host, owned, input, exit)
  })

  const executeClaimed = (owner: TaskOwner, claim: Claim, engine: Engine) =>
    Effect.flatMap(Effect.option(agents.get(claim.agentId)), (agent) => {
      const owned = own(owner, claim, engine, agent)
      return Effect.updateContext<never, never>(() => fiberContext(context, owned))(perform(owned, agent))
    })

  const execute: TaskExecutor["Service"]["execute"] = (head, place = unbounded, submit = () => Effect.void) =>
    Effect.suspend(() => {
      const owner = new TaskOwner(host, head.taskId)
      return lease.claim(head, owner).pipe(
        Effect.flatMap((claim) =>
          Option.isNone(claim) ? Effect.succeed(noHead) : executeClaimed(owner, claim.value, { place, submit })
        ),
        Effect.catchCause((cause) => storeFailed(owner, cause)),
        Effect.ensuring(Effect.sync(() => disown(owner))),
        Effect.uninterruptible
      )
    })

  return TaskExecutor.of({
    execute,
    released: Effect.sync(() => released),
    readIntents
  })
})

/** What an execution gets from its engine. */
interface Engine {
  readonly place: TaskPlace
  readonly submit: (head: Head) => Effect.Effect<void>
}

const noHead: Option.Option<Head> = Option.none()

/** How long a task may take. A child task has a deadline besides. */
const timeoutOf = ({ spec, startedAt }: Claim, most: Duration.Duration): Duration.Duration =>
  spec.deadline === undefined ? most : Duration.min(most, Duration.millis(Math.max(0, spec.deadline - startedAt)))

const none: Metadata = {}

/** The task as tools and hooks see it. */
const toContext = (claim: Claim, stop: StopSignal): TaskContext => ({
  taskId: claim.taskId,
  conversationId: claim.conversationId,
  userId: claim.userId,
  agentId: claim.agentId,
  attempt: claim.attempt,
  metadata: claim.spec.metadata ?? none,
  userMetadata: claim.spec.userMetadata ?? none,
  maxTotalTokens: claim.spec.maxTotalTokens,
  stopReason: Effect.sync(() => Option.fromUndefinedOr(stop.reason))
})

/**
 * The context of the fibers of a task: the context of the process, the task, its user, its place, and log annotations that
 * name the task. Nothing comes from the fiber that submitted the task.
 */
const fiberContext = (context: Context.Context<never>, owned: OwnedTask): Context.Context<never> => {
  const { claim, place } = owned
  return context.pipe(
    Context.add(CurrentTask, Option.some(owned.context)),
    Context.add(CurrentUser, claim.userId),
    Context.add(CurrentTaskPlace, place),
    Context.add(CurrentChildTasks, owned.children),
    Context.add(References.CurrentLogAnnotations, {
      ...Context.get(context, References.CurrentLogAnnotations),
      ...claim.spec.logContext,
      ...traceAnnotation(claim),
      taskId: claim.taskId,
      conversationId: claim.conversationId,
      userId: claim.userId,
      attempt: claim.attempt
    })
  )
}

const traceAnnotation = ({ spec }: Claim) => {
  const traceId = traceIdOf(spec)
  return traceId === undefined ? undefined : { traceId }
}

/** A failure of a store is never the outcome of a task. The task stops here as if this process had crashed. */
const storeFailed = (
  { owned, stop, taskId }: TaskOwner,
  cause: Cause.Cause<{ readonly _tag: string }>
): Effect.Effect<Option.Option<Head>> => {
  const error = Cause.findErrorOption(cause)
  if (stop.reason === "fenced" || (Option.isSome(error) && error.value._tag === "LeaseLost")) {
    return Effect.succeed(noHead)
  }
  // A failed claim does not count as a failure of the task.
  if (owned !== undefined) stop.stop("store")
  return Effect.as(
    Effect.logError(`Task ${taskId} stopped here as if crashed; it will be taken up again.`, cause),
    noHead
  )
}
