/**
 * The engine of many processes: effect/cluster places each conversation on a runner and moves it when runners come and go.
 *
 * A conversation is an entity. The execution of a task is a stored message, which the cluster delivers again until its handler
 * has replied. The cluster places and wakes; it decides nothing: events are in the log of the task, one owner is the work of
 * its claim (P2, P9), and a cancel is an intent in the store (P7). Tasks that the cluster does not execute are found by their
 * leases (P8).
 *
 * **Example** (One process over SQLite, whose messages outlive it)
 *
 * ```ts
 * import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
 * import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
 * import { SingleRunner } from "effect/cluster"
 *
 * export const Tasks = TaskRuntime.layerWithEngine(TaskEngineCluster.layer({
 *   cluster: SingleRunner.layer({ shardingConfig: TaskEngineCluster.shardingConfig() })
 * }))
 * ```
 *
 * The index of the package does not export this module: an application of one process does not load effect/cluster.
 *
 * @since 0.1.0
 */
import { Agents } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import { CapacityExceeded } from "@perennial/domain/TaskError"
import { Context, Duration, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { ClusterMetrics, Sharding, type ShardingConfig } from "effect/cluster"
import { SqlClient } from "effect/sql"
import {
  Conversation,
  defaultGroup,
  entityIdOf,
  firstRun,
  type ShardGroupOf
} from "./internal/cluster/conversationEntity.ts"
import * as Executions from "./internal/cluster/executions.ts"
import * as Outbox from "./internal/cluster/outbox.ts"
import * as Pruning from "./internal/cluster/pruning.ts"
import { ReleasedHeads } from "./internal/cluster/releasedHeads.ts"
import * as SafetyNet from "./internal/cluster/safetyNet.ts"
import * as Sweep from "./internal/cluster/sweep.ts"
import { WaitingTasks } from "./internal/cluster/waitingTasks.ts"
import { Lease } from "./Lease.ts"
import * as Supervision from "./Supervision.ts"
import { TaskEngine } from "./TaskEngine.ts"
import { TaskExecutor } from "./TaskExecutor.ts"
import { CurrentTaskLimits, defaults, type TaskLimits } from "./TaskLimits.ts"
import type { TaskReaders } from "./TaskReaders.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<Provided, E, R> {
  /**
   * The cluster that this process is a part of. The engine ends it before the process ends, so that the shards move at once.
   * If it provides `SqlClient`, too, handled messages are removed from the tables of the cluster.
   */
  readonly cluster: Layer.Layer<Sharding.Sharding | Provided, E, R>

  /**
   * The shard group of an agent: `default` if absent. It is the same function in all processes, and a group has 1 to 30
   * letters, digits, `-` or `_`.
   */
  readonly shardGroupOf?: ShardGroupOf | undefined

  /** The groups whose agents this process executes: `assignedShardGroups` of the cluster. `["default"]` if absent. */
  readonly shardGroups?: ReadonlyArray<string> | undefined

  /**
   * When runners join or leave, a task that moves may finish its step for this long: 2 seconds if absent. A process that ends
   * does not wait.
   */
  readonly stepPatience?: Duration.Input | undefined

  /** The prefix of the tables of the cluster: `cluster` if absent. */
  readonly tablePrefix?: string | undefined
}

type Requirements = TaskExecutor | TaskBackend | ConversationStore | Agents | Lease | TaskReaders

/**
 * Settings of effect/cluster with which takeover keeps P8. docs/scaling.md has the reason of each.
 *
 * **Example** (Two settings of one's own)
 *
 * ```ts import.meta.vitest
 * import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
 *
 * TaskEngineCluster.shardingConfig({ shardsPerGroup: 600 }).shardsPerGroup // => 600
 * ```
 *
 * @since 0.1.0
 * @category settings
 */
export const shardingConfig = (
  overrides: Partial<ShardingConfig.ShardingConfig["Service"]> = {},
  { cancelGrace, capacity, waiting }: TaskLimits = defaults
): Partial<ShardingConfig.ShardingConfig["Service"]> => ({
  shardLockExpiration: Duration.seconds(12),
  shardLockRefreshInterval: Duration.seconds(4),
  refreshAssignmentsInterval: Duration.seconds(1),
  runnerHealthCheckInterval: Duration.seconds(4),
  entityMessagePollInterval: Duration.seconds(1),
  // An agent may use its grace before its shard moves.
  entityTerminationTimeout: Duration.sum(cancelGrace, Duration.seconds(5)),
  // Tasks that run and wait, and conversations that have just ended.
  maxResidentEntities: capacity + waiting + 10_000,
  simulateRemoteSerialization: false,
  ...overrides
})

/** An idle conversation is closed after this time, and at most 5 seconds later. */
const idle = Duration.seconds(5)

/** Messages of one conversation that may be handled at once. Each task of a conversation has a message while it is the head. */
const mailbox = 64

/** The time that the end of the cluster may take, in addition to the grace of agents. */
const closingMargin = Duration.seconds(10)

const make = Effect.fnUntraced(function*<Provided, E, R>(options: Options<Provided, E, R>, executes: boolean) {
  const agents = yield* Agents
  const backend = yield* TaskBackend
  const executor = yield* TaskExecutor
  const limits = yield* CurrentTaskLimits
  const groupOf = options.shardGroupOf ?? (() => defaultGroup)
  const patience = Duration.fromInputUnsafe(options.stepPatience ?? "2 seconds")
  const waiting = new WaitingTasks(limits.waiting)
  const released = new ReleasedHeads()
  let draining = false

  const scope = yield* Scope.fork(yield* Effect.scope)
  const cluster = yield* Layer.buildWithScope(options.cluster, scope)
  const inCluster = <A, E2, R2>(effect: Effect.Effect<A, E2, R2>) =>
    effect.pipe(Scope.provide(scope), Effect.provide(cluster))

  const send = yield* inCluster(Outbox.make(limits.waiting))
  const submit = (head: Head): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (draining) return Effect.void
      // A task that had an owner is not new.
      if (head.token === 0) waiting.add(head.taskId)
      return send({ entityId: entityIdOf(head, groupOf), run: firstRun(head) })
    })

  const executions = yield* Executions.make({
    waiting,
    submit,
    stepPatience: patience,
    isEnding: () => draining
  })

  const sweepOf = (group: string) =>
    Sweep.make({
      agentIds: agents.ids.filter((id) => groupOf(id) === group),
      submitAgain: (head, n) => send({ entityId: entityIdOf(head, groupOf), run: { taskId: head.taskId, n } }),
      execute: executions.execute
    })

  const join = Effect.gen(function*() {
    const sharding = yield* Sharding.Sharding
    yield* sharding.registerEntity(
      Conversation,
      Effect.succeed(Conversation.of({ Run: ({ payload }) => executions.run(payload.taskId) })),
      { concurrency: "unbounded", mailboxCapacity: mailbox, maxIdleTime: idle }
    )
    yield* Effect.forEach(
      options.shardGroups ?? [defaultGroup],
      (group) => sharding.registerSingleton(`perennial/sweep/${group}`, sweepOf(group), { shardGroup: group }),
      { discard: true }
    )
    yield* Effect.forkScoped(SafetyNet.make(executions, released))
    const sql = yield* Effect.serviceOption(SqlClient.SqlClient)
    if (Option.isSome(sql)) {
      yield* sharding.registerSingleton(
        "perennial/prune",
        Effect.provideService(Pruning.make(options.tablePrefix ?? "cluster"), SqlClient.SqlClient, sql.value),
        { shardGroup: options.shardGroups?.[0] ?? defaultGroup }
      )
    }
  })
  if (executes) {
    yield* inCluster(join)
    const { describe } = yield* Lease
    describe(() => ({
      shards: Number(ClusterMetrics.shards.valueUnsafe(Context.empty()).value),
      queued: executions.queued()
    }))
  }

  yield* Supervision.followHints((id) => Effect.sync(() => released.add(id)))
  yield* waiting.review(backend).pipe(
    Effect.catchCause((cause) => Effect.logWarning("Waiting tasks were not looked up; it is tried again.", cause)),
    Effect.delay(limits.heartbeat),
    Effect.forever,
    Effect.forkScoped
  )

  // Never closed: the end of a cluster whose database does not answer must not hold up the end of this process.
  const closers = yield* Scope.make()
  const leave = Effect.gen(function*() {
    const closing = yield* Effect.forkIn(Scope.close(scope, Exit.void), closers, { startImmediately: true })
    const ended = yield* Effect.timeoutOption(
      Effect.andThen(executions.clear, Fiber.await(closing)),
      Duration.sum(limits.cancelGrace, closingMargin)
    )
    if (Option.isNone(ended)) yield* Effect.logWarning("The cluster was left without an answer of its database.")
  })
  const drain = yield* Effect.cached(Effect.gen(function*() {
    draining = true
    const before = yield* executor.released
    yield* leave
    const tasks = (yield* executor.released) - before
    if (tasks > 0) yield* Effect.logInfo(`Tasks handed over: ${tasks}.`)
  }))
  yield* Effect.addFinalizer(() => drain)

  return TaskEngine.of({
    submit,
    forget: (id) => Effect.sync(() => waiting.delete(id)),
    admission: Effect.suspend(() =>
      waiting.size + executions.size() - executions.capacity.taken >= limits.waiting
        ? Effect.fail(new CapacityExceeded({ limit: limits.waiting }))
        : Effect.void
    ),
    drain
  })
})

/**
 * Executes tasks in this process and in the other runners of a cluster.
 *
 * **Details** An agent that only some processes have gets a shard group of its own: then its tasks are placed on those
 * processes. Without a group they find such a process by the lease, a few seconds later.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = <Provided, E, R>(
  options: Options<Provided, E, R>
): Layer.Layer<TaskEngine, E, R | Requirements> => Layer.effect(TaskEngine, make(options, true))

/**
 * Accepts, watches and cancels tasks that the runners of a cluster execute; executes none. The cluster is a client, such as
 * `NodeClusterHttp.layer({ clientOnly: true, ... })`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = <Provided, E, R>(
  options: Pick<Options<Provided, E, R>, "cluster" | "shardGroupOf">
): Layer.Layer<TaskEngine, E, R | Requirements> => Layer.effect(TaskEngine, make(options, false))
