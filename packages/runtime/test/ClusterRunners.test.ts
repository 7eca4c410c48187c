import { assert, describe, it } from "@effect/vitest"
import type { AgentId } from "@perennial/domain/Ids"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
import { defaults } from "@perennial/runtime/TaskLimits"
import * as Testing from "@perennial/runtime/Testing"
import { Context, Effect, Layer } from "effect"
import { MessageStorage, RunnerStorage, Sharding, TestRunner } from "effect/cluster"
import { waiting, walking } from "./support/agents.ts"
import {
  clusterOf,
  engineOf,
  network,
  startRunner,
  testOver,
  twoRunners,
  untilAllEnded
} from "./support/clusterRunners.ts"
import { joinInTime } from "./support/invariants.ts"

const test = testOver(MemoryStore.layer)

const unprocessed = (shared: Effect.Success<typeof network>) =>
  Context.get(shared.messages, MessageStorage.MemoryDriver).unprocessed.size

describe("messages of the cluster", () => {
  test(
    "a message whose task has a live owner waits instead of replying, and executes the task when the lease has run out",
    Effect.gen(function*() {
      const shared = yield* network
      const backend = yield* TaskBackend
      const { agent, release } = waiting()
      const cluster = yield* startRunner([agent], engineOf(shared, 1))
      yield* Testing.adjust("1 second")
      // Another process claims the task and dies: nobody renews its lease.
      yield* backend.heartbeat("dead" as never, defaults.leaseTtl)
      const accepting = yield* startRunner(
        [agent],
        TaskEngineCluster.layerClient({ cluster: clusterOf(shared, undefined) })
      )
      yield* accepting.engine.drain
      const { id } = yield* accepting.manager.start({ message: "x" })
      yield* backend.claim(id, { runnerId: "dead" as never, claimId: "c" as never, expectedToken: 0 })
      yield* cluster.engine.submit({ taskId: id, conversationId: "c" as never, agentId: agent.agentId, token: 1 })
      yield* Testing.adjust("3 seconds")
      assert.strictEqual(unprocessed(shared), 1)
      assert.strictEqual((yield* backend.get(id)).attempt, 1)
      yield* Testing.adjust("9 seconds")
      assert.strictEqual((yield* backend.get(id)).attempt, 2)
      yield* release.open
      yield* untilAllEnded
      yield* Testing.adjust("6 seconds")
      assert.strictEqual(unprocessed(shared), 0)
    })
  )

  test(
    "a task whose message was replied to too early is submitted again under a new number",
    Effect.gen(function*() {
      const shared = yield* network
      const { agent, release } = waiting()
      const { engine, manager } = yield* startRunner([agent], engineOf(shared, 1))
      yield* Testing.adjust("1 second")
      const { conversationId } = yield* manager.start({ message: "x" })
      const second = yield* manager.start({ message: "y", conversationId, onBusy: "enqueue" })
      yield* Testing.adjust("1 second")
      // The second is no head yet: its message is replied to, and its key is taken for ever.
      yield* engine.submit({ taskId: second.id, conversationId, agentId: agent.agentId, token: 0 })
      yield* Testing.adjust("2 seconds")
      yield* release.open
      const tasks = yield* untilAllEnded
      assert.deepStrictEqual(tasks.map(({ status }) => status), ["completed", "completed"])
    })
  )

  test(
    "entities of idle conversations close",
    Effect.gen(function*() {
      const context = yield* Layer.build(TestRunner.layer)
      const { agent, release } = waiting()
      const { manager } = yield* startRunner(
        [agent],
        TaskEngineCluster.layer({ cluster: Layer.succeedContext(context) })
      )
      const sharding = Context.get(context, Sharding.Sharding)
      for (let i = 0; i < 20; i++) yield* manager.start({ message: "x" })
      yield* Testing.settle
      assert.strictEqual(yield* sharding.activeEntityCount, 20)
      yield* release.open
      yield* untilAllEnded
      yield* Testing.adjust("15 seconds")
      assert.strictEqual(yield* sharding.activeEntityCount, 0)
    })
  )

  test(
    "P11: with fewer resident entities than tasks, messages wait in the storage and every task ends",
    Effect.gen(function*() {
      const shared = yield* network
      const { agent } = walking(1)
      const { manager } = yield* startRunner(
        [agent],
        TaskEngineCluster.layer({ cluster: clusterOf(shared, 1, { maxResidentEntities: 2 }) }),
        { capacity: 2 }
      )
      yield* Testing.adjust("1 second")
      for (let i = 0; i < 8; i++) yield* manager.start({ message: "x" })
      const tasks = yield* untilAllEnded
      assert.isTrue(tasks.every(({ attempt, status }) => status === "completed" && attempt === 1))
    })
  )

  it("the settings leave an agent its grace, have room for all tasks, and do not encode for a local entity", () => {
    const { entityTerminationTimeout, maxResidentEntities, simulateRemoteSerialization } = TaskEngineCluster
      .shardingConfig()
    assert.strictEqual(maxResidentEntities, 21_000)
    assert.strictEqual(
      JSON.stringify(entityTerminationTimeout),
      JSON.stringify({ _id: "Duration", _tag: "Millis", millis: 15_000 })
    )
    assert.isFalse(simulateRemoteSerialization)
  })
})

describe("runners that come and go", () => {
  test(
    "a runner that joins takes over shards between steps: no step is lost, none is repeated",
    Effect.gen(function*() {
      const shared = yield* network
      const backend = yield* TaskBackend
      const { agent, made } = walking(12)
      const first = yield* startRunner([agent], engineOf(shared, 1))
      yield* Testing.adjust("1 second")
      // The shard of a conversation depends on its id.
      for (let i = 0; i < 20; i++) yield* first.manager.start({ message: "x", conversationId: `c${i}` })
      yield* Testing.adjust("2 seconds")
      const second = yield* startRunner([agent], engineOf(shared, 2))
      yield* Testing.adjust("5 seconds")
      const ids = (yield* backend.list({ userId: "local" as never, limit: 100 })).map(({ id }) => id)
      const owners = yield* backend.owners(ids)
      const moved = owners.filter(({ runnerId }) => runnerId === second.runnerId).length
      assert.isAbove(moved, 3)
      assert.isBelow(moved, 17)
      yield* untilAllEnded
      assert.strictEqual(made.length, 20 * 12)
      assert.strictEqual(new Set(made).size, 20 * 12)
    })
  )

  test(
    "P8: a runner that leaves hands its tasks over, and the other goes on within two seconds",
    Effect.gen(function*() {
      const { agent, made } = walking(10)
      const { first, ids, owners, second } = yield* twoRunners(agent, 20)
      yield* first.terminate
      yield* Testing.adjust("2 seconds")
      assert.deepStrictEqual(yield* owners, new Map(ids.map((id) => [id, second.runnerId])))
      yield* untilAllEnded
      assert.strictEqual(new Set(made).size, made.length)
    })
  )

  test(
    "P8: the end of a process does not wait for a cluster whose storage does not answer",
    Effect.gen(function*() {
      const { agent } = walking(5)
      const hangs = Layer.effectDiscard(Effect.addFinalizer(() => Effect.never))
      const { terminate } = yield* startRunner(
        [agent],
        TaskEngineCluster.layer({ cluster: Layer.merge(TestRunner.layer, hangs) })
      )
      yield* joinInTime(yield* Effect.forkChild(terminate))
    })
  )

  test(
    "P8: a task whose shard nobody has is executed by the safety net",
    Effect.gen(function*() {
      const shared = yield* network
      const { agent, release } = waiting()
      const noShards = RunnerStorage.RunnerStorage.of({ ...shared.runnerStorage, acquire: () => Effect.succeed([]) })
      const { manager } = yield* startRunner([agent], engineOf({ ...shared, runnerStorage: noShards }, 1))
      yield* release.open
      const { id } = yield* manager.start({ message: "x" })
      yield* Testing.adjust("8 seconds")
      assert.strictEqual((yield* manager.get(id)).status, "completed")
    })
  )
})

test(
  "operators see the shards of a runner, and the tasks that wait there",
  Effect.gen(function*() {
    const context = yield* Layer.build(TestRunner.layer)
    const backend = yield* TaskBackend
    const { agent } = waiting()
    const { manager, runnerId } = yield* startRunner(
      [agent],
      TaskEngineCluster.layer({ cluster: Layer.succeedContext(context) }),
      { capacity: 2 }
    )
    for (let i = 0; i < 5; i++) yield* manager.start({ message: "x" })
    yield* Testing.adjust("4 seconds")
    const [runner] = yield* backend.runners({ limit: 10 })
    assert.deepInclude(runner, { id: runnerId, running: 2, capacity: 2, queued: 3 })
    assert.isNumber(runner?.shards)
  })
)

describe("web nodes and workers", () => {
  test(
    "a client starts, watches and cancels tasks that a runner executes, and executes none",
    Effect.gen(function*() {
      const shared = yield* network
      const backend = yield* TaskBackend
      const { agent } = waiting()
      const web = yield* startRunner([agent], TaskEngineCluster.layerClient({ cluster: clusterOf(shared, undefined) }))
      const { id } = yield* web.manager.start({ message: "x" })
      yield* Testing.adjust("20 seconds")
      assert.strictEqual((yield* web.manager.get(id)).status, "queued")
      const worker = yield* startRunner([agent], engineOf(shared, 1))
      yield* Testing.adjust("3 seconds")
      assert.deepStrictEqual(yield* backend.owners([id]), [{ taskId: id, runnerId: worker.runnerId }])
      const ended = yield* joinInTime(yield* Effect.forkChild(web.manager.cancel(id)))
      assert.strictEqual(ended.status, "cancelled")
    })
  )

  test(
    "an agent with a shard group is executed by the processes of the group",
    Effect.gen(function*() {
      const shared = yield* network
      const backend = yield* TaskBackend
      const one = waiting()
      const special = walking(30, "special").agent
      const shardGroupOf = (id: AgentId) => id === special.agentId ? "special" : "default"
      const groups = { availableShardGroups: ["default", "special"] }
      const start = (
        port: number,
        agents: readonly [typeof special, ...ReadonlyArray<typeof special>],
        group: string
      ) =>
        startRunner(
          agents,
          TaskEngineCluster.layer({
            cluster: clusterOf(shared, port, { ...groups, assignedShardGroups: [group] }),
            shardGroupOf,
            shardGroups: [group]
          })
        )
      const common = yield* start(1, [one.agent, special], "default")
      const gpu = yield* start(2, [special], "special")
      yield* Testing.adjust("3 seconds")
      const ids = []
      for (let i = 0; i < 10; i++) {
        ids.push((yield* common.manager.start({ message: "x", agentId: special.agentId })).id)
      }
      yield* Testing.adjust("1500 millis")
      const owners = yield* backend.owners(ids)
      assert.deepStrictEqual(owners.map(({ runnerId }) => runnerId), ids.map(() => gpu.runnerId))
    })
  )

  test(
    "an agent that only some processes have, without a group, is found by such a process",
    Effect.gen(function*() {
      const shared = yield* network
      const backend = yield* TaskBackend
      const one = waiting()
      const special = walking(30, "special").agent
      yield* startRunner([one.agent], engineOf(shared, 1))
      const both = yield* startRunner([one.agent, special], engineOf(shared, 2))
      yield* Testing.adjust("3 seconds")
      const ids = []
      for (let i = 0; i < 10; i++) {
        ids.push((yield* both.manager.start({ message: "x", agentId: special.agentId })).id)
      }
      yield* Testing.adjust("8 seconds")
      const owners = yield* backend.owners(ids)
      assert.deepStrictEqual(owners.map(({ runnerId }) => runnerId), ids.map(() => both.runnerId))
    })
  )

  test(
    "the sweep runs once in a cluster, and each process looks with every heartbeat",
    Effect.gen(function*() {
      const shared = yield* network
      const backend = yield* TaskBackend
      let looks = 0
      const counted = TaskBackend.of({
        ...backend,
        unowned: (options) => Effect.suspend(() => (looks++, backend.unowned(options)))
      })
      const { agent } = waiting()
      for (const port of [1, 2, 3, 4]) {
        yield* Effect.provideService(startRunner([agent], engineOf(shared, port)), TaskBackend, counted)
      }
      yield* Testing.adjust("5 seconds")
      looks = 0
      yield* Testing.adjust("30 seconds")
      // 30 of the sweep, 10 of each process; with jitter of a fifth.
      assert.isBelow(looks, 1.3 * (30 + 4 * 10))
      assert.isAbove(looks, 40)
    })
  )
})
