/**
 * The contract of engines with three real processes on one PostgreSQL. The runners are killed and started here; the process of the
 * test is a client of the cluster, which accepts tasks and executes none.
 */
import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { make as makeAgent } from "@perennial/domain/Agent"
import { AgentId } from "@perennial/domain/Ids"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import type { Rule } from "@perennial/runtime/TaskEngineContract"
import type * as TaskLimits from "@perennial/runtime/TaskLimits"
import { Context, Effect, Layer, Option } from "effect"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { startRunner } from "../../packages/runtime/test/support/clusterRunners.ts"
import { layerClient, runnerPort } from "../support/engine.ts"
import * as Server from "../support/server.ts"
import * as Storage from "../support/storage.ts"
import { type Attempt, makeGate } from "./gate.ts"

const unexecuted = (id: string) => makeAgent(id, () => Effect.die("A client of the cluster executes nothing."))

/** A cluster without runners, as the process of the test sees it. */
const makeCluster = Effect.fnUntraced(function*(url: string) {
  const gate = yield* makeGate
  const stores = yield* Layer.build(Storage.layer(url))
  const client = (limits?: TaskLimits.Options) =>
    startRunner([unexecuted("agent"), unexecuted("other"), unexecuted("waits")], layerClient(url), limits).pipe(
      Effect.provideContext(stores)
    )
  const runner = (env: Readonly<Record<string, string>> = {}) =>
    Effect.flatMap(runnerPort, (port) =>
      Server.start({
        module: "test/process/contractRunner.ts",
        env: { STORE: url, GATE: gate.url, RUNNER_PORT: String(port), ...env }
      }))
  const backend = Context.get(stores, TaskBackend)
  return {
    ...yield* client(),
    backend,
    client,
    gate,
    runner,
    /** Three runners, with the same settings. */
    runners: (env: Readonly<Record<string, string>> = {}) =>
      Effect.all([runner(env), runner(env), runner(env)], { concurrency: 3 }),
    typesOf: (id: Head["taskId"]) =>
      Effect.map(
        backend.events(id, { after: 0, limit: 100, maxBytes: 1_000_000 }),
        // A task that moves with its shard says its text again.
        ({ events }) =>
          events.map(({ event }) => event.type).filter((type) => type !== "resumed")
            .filter((type, i, all) => type !== all[i - 1])
      ),
    headOf: (id: Head["taskId"]) => Effect.map(backend.head(id), Option.getOrThrow)
  }
})
type Cluster = Effect.Success<ReturnType<typeof makeCluster>>

/** Every attempt at a task is made once. */
const assertOnce = (attempts: ReadonlyArray<Attempt>): void => {
  const names = attempts.map(({ attempt, taskId }) => `${taskId} ${attempt}`)
  assert.deepStrictEqual(names, [...new Set(names)])
}

const whole = ["ack", "started", "text", "message", "done"]

/** The exit code of a program that SIGTERM has interrupted, and whose scope has closed. */
const endedInOrder = 130

/** Ends the runner that executes a task, and returns when its process is gone. */
const endOwner = Effect.fnUntraced(function*(
  { gate }: Cluster,
  runners: ReadonlyArray<Effect.Success<ReturnType<Cluster["runner"]>>>,
  taskId: string
) {
  const { pid } = yield* gate.attemptAt(taskId)
  const owner = runners.find((one) => one.pid === pid)
  assert.isDefined(owner)
  assert.strictEqual(yield* owner.terminate, endedInOrder)
  return pid
})

type Body = (
  cluster: Cluster
) => Effect.Effect<void, { readonly _tag: string }, Effect.Services<ReturnType<Cluster["runner"]>>>

const rules: Record<Rule, Body> = {
  "a submitted head is executed to its end": Effect.fnUntraced(function*({ backend, gate, manager, runners, typesOf }) {
    yield* runners()
    const { id } = yield* manager.start({ message: "x" })
    yield* gate.attemptAt(id)
    assert.strictEqual((yield* backend.get(id)).status, "running")
    yield* gate.open(id)
    assert.strictEqual((yield* manager.await(id)).task.status, "completed")
    assert.deepStrictEqual(yield* typesOf(id), whole)
  }),

  "a head that is submitted again, before and while it is executed, is executed once": Effect.fnUntraced(
    function*({ client, engine, gate, headOf, manager, runners, typesOf }) {
      yield* runners()
      const { id } = yield* manager.start({ message: "x" })
      const other = yield* client()
      const head = yield* headOf(id)
      yield* Effect.all([engine.submit(head), other.engine.submit(head), engine.submit(head)], {
        concurrency: "unbounded"
      })
      yield* gate.attemptAt(id)
      yield* engine.submit(head)
      yield* other.engine.submit(yield* headOf(id))
      // The message of a later task is handled after these.
      const later = yield* manager.start({ message: "y" })
      yield* gate.attemptAt(later.id)
      yield* gate.openAll
      yield* manager.await(id)
      yield* engine.submit(head)
      yield* manager.await((yield* manager.start({ message: "z" })).id)
      assertOnce(gate.attempts)
      assert.deepStrictEqual(yield* typesOf(id), whole)
    }
  ),

  "P8: a head that nobody submitted is found and executed": Effect.fnUntraced(
    function*({ client, gate, manager, runners }) {
      const drained = yield* client()
      yield* drained.engine.drain
      const { id } = yield* drained.manager.start({ message: "x" })
      yield* runners()
      yield* gate.open(id)
      assert.strictEqual((yield* manager.await(id)).task.status, "completed")
      assertOnce(gate.attempts)
    }
  ),

  "P8: when its scope closes, tasks are handed over: finalizers have run, and another process goes on": Effect
    .fnUntraced(
      function*(cluster) {
        const { gate, manager, runners } = cluster
        const all = yield* runners()
        const { id } = yield* manager.start({ message: "x" })
        const pid = yield* endOwner(cluster, all, id)
        yield* gate.until(() => gate.stopped.some((one) => one.taskId === id && one.pid === pid))
        yield* gate.until(() => gate.attempts.some((one) => one.taskId === id && one.pid !== pid))
        yield* gate.open(id)
        const { task } = yield* manager.await(id)
        assert.strictEqual(task.status, "completed")
        assert.isAtLeast(task.attempt, 2)
        assertOnce(gate.attempts)
      }
    ),

  "P8: an agent whose finalizers do not end holds the end of the scope up for the grace, not longer": Effect.fnUntraced(
    function*(cluster) {
      const { gate, manager, runners } = cluster
      const all = yield* runners()
      const { id } = yield* manager.start({ message: "cling" })
      const pid = yield* endOwner(cluster, all, id)
      yield* gate.until(() => gate.attempts.some((one) => one.taskId === id && one.pid !== pid))
      yield* gate.open(id)
      assert.strictEqual((yield* manager.await(id)).task.status, "completed")
    }
  ),

  "P8: after a drain this process executes nothing, and what is started waits for another process": Effect.fnUntraced(
    function*(cluster) {
      const { gate, manager, runner } = cluster
      const only = yield* runner()
      const running = yield* manager.start({ message: "x" })
      yield* endOwner(cluster, [only], running.id)
      const later = yield* manager.start({ message: "y" })
      yield* gate.openAll
      const next = yield* runner()
      assert.strictEqual((yield* manager.await(running.id)).task.status, "completed")
      assert.strictEqual((yield* manager.await(later.id)).task.status, "completed")
      const pids = (id: string) => gate.attempts.filter(({ taskId }) => taskId === id).map(({ pid }) => pid)
      assert.deepStrictEqual([...new Set(pids(running.id))], [only.pid, next.pid])
      assert.deepStrictEqual([...new Set(pids(later.id))], [next.pid])
    }
  ),

  "the head that an end promotes is executed": Effect.fnUntraced(function*({ gate, manager, runners }) {
    yield* runners()
    const { conversationId, id } = yield* manager.start({ message: "x" })
    const second = yield* manager.start({ message: "y", conversationId, onBusy: "enqueue" })
    const third = yield* manager.start({ message: "z", conversationId, onBusy: "enqueue" })
    yield* gate.openAll
    assert.strictEqual((yield* manager.await(third.id)).task.status, "completed")
    assertOnce(gate.attempts)
    assert.deepStrictEqual([...new Set(gate.attempts.map(({ taskId }) => taskId))], [id, second.id, third.id])
  }),

  "a head of an agent that this process does not have is left to a process that has the agent": Effect.fnUntraced(
    function*({ backend, engine, gate, headOf, manager, runner }) {
      yield* Effect.all([runner(), runner()], { concurrency: 2 })
      const { id } = yield* manager.start({ message: "x", agentId: AgentId.make("other") })
      yield* engine.submit(yield* headOf(id))
      const own = yield* manager.start({ message: "y" })
      yield* gate.open(own.id)
      yield* manager.await(own.id)
      assert.strictEqual((yield* backend.get(id)).attempt, 0)
      const { pid } = yield* runner({ AGENTS: "other" })
      assert.strictEqual((yield* gate.attemptAt(id)).pid, pid)
      yield* gate.open(id)
      assert.strictEqual((yield* manager.await(id)).task.status, "completed")
    }
  ),

  // A task may move with its shard at any time: then another one may have its place before it.
  "P11: a head beyond the capacity stays unclaimed until a task ends": Effect.fnUntraced(
    function*({ backend, gate, manager, runners }) {
      const places = (yield* runners({ CAPACITY: "1" })).length
      const ids = yield* Effect.forEach(
        ["a", "b", "c", "d", "e", "f", "g", "h"],
        (message) => Effect.map(manager.start({ message }), ({ id }) => id)
      )
      for (let begun = places; begun <= ids.length; begun++) {
        yield* gate.until(() => gate.begun().length >= begun)
        assert.isAtMost((yield* backend.owners(ids)).length, places)
        yield* gate.open(gate.begun()[begun - places] ?? "")
      }
      yield* gate.openAll
      for (const id of ids) assert.strictEqual((yield* manager.await(id)).task.status, "completed")
      assert.deepStrictEqual([...new Set(gate.attempts.map(({ atOnce }) => atOnce))], [1])
    }
  ),

  "P11: when as many tasks wait as this process takes, a start fails and stores nothing; one that ends makes room":
    Effect
      .fnUntraced(function*({ client, runners }) {
        yield* runners()
        const bounded = (yield* client({ waiting: 2 })).manager
        // No process has this agent.
        const start = bounded.start({ message: "x", agentId: AgentId.make("other") })
        const waiting = yield* start
        yield* start
        const before = yield* bounded.list()
        const refusal = yield* Effect.orDie(Effect.flip(start))
        assert.strictEqual(refusal._tag, "CapacityExceeded")
        assert.deepStrictEqual(yield* bounded.list(), before)
        yield* bounded.cancel(waiting.id)
        yield* start
      }),

  "P11: a task that waits for another task takes no place": Effect.fnUntraced(function*({ gate, manager, runners }) {
    yield* runners({ AGENTS: "waits,agent", CAPACITY: "1" })
    const outer = yield* Effect.forEach(
      ["a", "b", "c", "d"],
      (message) => manager.start({ message, agentId: AgentId.make("waits") })
    )
    yield* gate.openAll
    for (const { id } of outer) assert.strictEqual((yield* manager.await(id)).task.status, "completed")
  }),

  "P7: a cancel from another process reaches the task": Effect.fnUntraced(
    function*({ gate, manager, runners, typesOf }) {
      yield* runners()
      const { id } = yield* manager.start({ message: "x" })
      yield* gate.attemptAt(id)
      assert.strictEqual((yield* manager.cancel(id)).status, "cancelled")
      yield* gate.until(() => gate.stopped.some(({ taskId }) => taskId === id))
      assert.strictEqual((yield* typesOf(id)).at(-1), "cancelled")
    }
  )
}

withPostgres("the engine of a cluster, on real processes over PostgreSQL", (server) => {
  for (const [name, rule] of Object.entries(rules)) {
    it.live(name, () =>
      makeDatabase(server).pipe(
        Effect.flatMap(({ url }) => makeCluster(url)),
        Effect.flatMap(rule),
        Effect.scoped,
        Effect.provide(NodeServices.layer)
      ))
  }
})
