/**
 * Runners of a cluster in one process of a test, with time that the test controls: they share stored messages, locks of shards
 * and a store of tasks. Runners do not call each other: each finds its messages by looking.
 */
import { assert, it } from "@effect/vitest"
import { type Agent, Agents } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Lease } from "@perennial/runtime/Lease"
import { TaskEngine } from "@perennial/runtime/TaskEngine"
import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
import type { EngineLayer } from "@perennial/runtime/TaskEngineContract"
import { TaskExecutor } from "@perennial/runtime/TaskExecutor"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import { TaskReaders } from "@perennial/runtime/TaskReaders"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import * as Testing from "@perennial/runtime/Testing"
import { type Array as Arr, Context, Effect, Exit, Layer, Option, Scope } from "effect"
import {
  MessageStorage,
  RunnerAddress,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig
} from "effect/cluster"

/** Locks of shards without expiry: in these tests runners leave, or lose everything. */
const makeRunnerStorage = (): RunnerStorage.RunnerStorage["Service"] => {
  const runners = new Map<string, [runner: string, healthy: boolean]>()
  const locks = new Map<string, string>()
  const acquire = (address: string, shards: ReadonlyArray<string>) =>
    Effect.sync(() =>
      shards.filter((shard) => {
        if (!locks.has(shard)) locks.set(shard, address)
        return locks.get(shard) === address
      })
    )
  let id = 0
  return RunnerStorage.makeEncoded({
    getRunners: Effect.sync(() => [...runners.values()]),
    register: (address, runner, healthy) =>
      Effect.sync(() => {
        runners.set(address, [runner, healthy])
        return ++id
      }),
    unregister: (address) => Effect.sync(() => runners.delete(address)),
    setRunnerHealth: () => Effect.void,
    acquire,
    refresh: (address, shards) => Effect.sync(() => shards.filter((shard) => locks.get(shard) === address)),
    release: (address, shard) =>
      Effect.sync(() => {
        if (locks.get(shard) === address) locks.delete(shard)
      }),
    releaseAll: (address) =>
      Effect.sync(() => {
        for (const [shard, owner] of locks) if (owner === address) locks.delete(shard)
      })
  })
}

/** Tests in which all runners share a store of this layer. */
export const testOver =
  <Stores, E2>(stores: Layer.Layer<Stores, E2>) =>
  <E>(name: string, body: Effect.Effect<void, E, Scope.Scope | Stores>) =>
    it.effect(name, () => Effect.provide(Effect.scoped(body), stores))

/** What runners share. */
export const network = Effect.gen(function*() {
  const context = yield* Layer.build(
    MessageStorage.layerMemory.pipe(Layer.provide(ShardingConfig.layer(TaskEngineCluster.shardingConfig())))
  )
  return { messages: context, runnerStorage: makeRunnerStorage() }
})
export type Network = Effect.Success<typeof network>

/** The cluster as one of its runners has it; without a port: as a client has it. */
export const clusterOf = (
  { messages, runnerStorage }: Network,
  port: number | undefined,
  overrides: Partial<ShardingConfig.ShardingConfig["Service"]> = {}
) =>
  Sharding.layer.pipe(
    Layer.provide(Runners.layerNoop),
    Layer.provide([
      Layer.succeedContext(messages),
      Layer.succeed(RunnerStorage.RunnerStorage, runnerStorage),
      RunnerHealth.layerNoop
    ]),
    Layer.provide(ShardingConfig.layer(TaskEngineCluster.shardingConfig({
      runnerAddress: Option.map(Option.fromUndefinedOr(port), (port) => RunnerAddress.make("runner", port)),
      ...overrides
    })))
  )

/** Starts a process of the cluster over the shared store of tasks. */
export const startRunner = Effect.fnUntraced(function*<E = never>(
  agents: Arr.NonEmptyReadonlyArray<Agent>,
  engine: EngineLayer<E>,
  limits: TaskLimits.Options = {}
) {
  const scope = yield* Scope.fork(yield* Effect.scope)
  const services = yield* Effect.context<TaskBackend | ConversationStore>()
  const context = yield* Layer.buildWithScope(
    TaskRuntime.layerManager.pipe(
      Layer.provideMerge(engine),
      Layer.provide(TaskExecutor.layer),
      Layer.provideMerge(Lease.layer),
      Layer.provide(TaskReaders.layer),
      Layer.provide([Agents.layer(agents), Layer.succeedContext(services), TaskLimits.layer(limits)])
    ),
    scope
  )
  return {
    manager: Context.get(context, TaskManager),
    engine: Context.get(context, TaskEngine),
    runnerId: Context.get(context, Lease).runnerId,
    terminate: Scope.close(scope, Exit.void)
  }
})

/** The engine of a runner; without a port it has no address. */
export const engineOf = (
  shared: Network,
  port: number | undefined,
  options: Partial<TaskEngineCluster.Options<never, never, never>> = {}
) => TaskEngineCluster.layer({ cluster: clusterOf(shared, port), ...options })

/** Two runners that execute so many tasks, each in a conversation of its own, and who owns each task. */
export const twoRunners = Effect.fnUntraced(function*(
  agent: Agent,
  count: number,
  options: Partial<TaskEngineCluster.Options<never, never, never>> = {}
) {
  const shared = yield* network
  const backend = yield* TaskBackend
  const start = (port: number) => startRunner([agent], engineOf(shared, port, options))
  const first = yield* start(1)
  const second = yield* start(2)
  yield* Testing.adjust("3 seconds")
  const ids = yield* Effect.forEach(
    Array.from({ length: count }, (_, i) => `c${i}`),
    (conversationId) => Effect.map(first.manager.start({ message: "x", conversationId }), ({ id }) => id)
  )
  yield* Testing.adjust("2500 millis")
  const owners = Effect.map(
    backend.owners(ids),
    (owners) => new Map(owners.map(({ runnerId, taskId }) => [taskId, runnerId]))
  )
  return { first, ids, owners, second, start }
})

/** Lets time pass until all tasks of the store have ended. */
export const untilAllEnded = Effect.gen(function*() {
  const backend = yield* TaskBackend
  for (let second = 0; second < 120; second++) {
    const tasks = yield* backend.list({ userId: "local" as never, limit: 100 })
    if (tasks.every(({ status }) => status !== "queued" && status !== "running")) return tasks
    yield* Testing.adjust("1 second")
  }
  return assert.fail("tasks have not ended")
})
