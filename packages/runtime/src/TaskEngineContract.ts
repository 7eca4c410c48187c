/**
 * What every `TaskEngine` owes its users, as one suite of tests to run against any implementation.
 *
 * **Example** (an engine of your own)
 *
 * ```ts
 * import * as TaskEngineContract from "@perennial/runtime/TaskEngineContract"
 * import { TaskEngine } from "@perennial/runtime/TaskEngine"
 *
 * TaskEngineContract.suite("layerLocal", TaskEngine.layerLocal)
 * ```
 *
 * @since 0.1.0
 */
// A test is an entry point.
// @effect-diagnostics strictEffectProvide:off
import { assert, describe, it } from "@effect/vitest"
import { type Agent, Agents, make as makeAgent } from "@perennial/domain/Agent"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskId } from "@perennial/domain/Ids"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import { Context, Deferred, Effect, Exit, Fiber, Layer, Option, Scope } from "effect"
import { isAnswered, makeControlled, message } from "./internal/controlledAgent.ts"
import { Lease } from "./Lease.ts"
import { TaskEngine } from "./TaskEngine.ts"
import { TaskExecutor } from "./TaskExecutor.ts"
import * as TaskLimits from "./TaskLimits.ts"
import { TaskReaders } from "./TaskReaders.ts"
import * as TaskRuntime from "./TaskRuntime.ts"
import * as Testing from "./Testing.ts"

/**
 * The layer of an engine, as the runtime composes it.
 *
 * @since 0.1.0
 * @category models
 */
export type EngineLayer<E = never> = Layer.Layer<
  TaskEngine,
  E,
  TaskExecutor | TaskBackend | ConversationStore | Agents | Lease | TaskReaders
>

/**
 * The names of the tests. An engine that needs several processes has tests of its own under the same names, because `suite` runs in
 * one process, with simulated time.
 *
 * @since 0.1.0
 * @category models
 */
export type Rule =
  | "a submitted head is executed to its end"
  | "a head that is submitted again, before and while it is executed, is executed once"
  | "P8: a head that nobody submitted is found and executed"
  | "P8: when its scope closes, tasks are handed over: finalizers have run, and another process goes on"
  | "P8: an agent whose finalizers do not end holds the end of the scope up for the grace, not longer"
  | "P8: after a drain this process executes nothing, and what is started waits for another process"
  | "the head that an end promotes is executed"
  | "a head of an agent that this process does not have is left to a process that has the agent"
  | "P11: a head beyond the capacity stays unclaimed until a task ends"
  | "P11: when as many tasks wait as this process takes, a start fails and stores nothing; one that ends makes room"
  | "P11: a task that waits for another task takes no place"
  | "P7: a cancel from another process reaches the task"

/** A process of a test: its services over a store that processes share, and its end. */
interface Process {
  readonly manager: TaskManager["Service"]
  readonly engine: TaskEngine["Service"]
  readonly close: Effect.Effect<void>
}

type Start<E> = (
  agents: readonly [Agent, ...ReadonlyArray<Agent>],
  limits?: Partial<TaskLimits.TaskLimits>
) => Effect.Effect<Process, E | TaskBackendError, Scope.Scope | TaskBackend | ConversationStore>

const startOver = <E>(engine: EngineLayer<E>): Start<E> =>
  Effect.fnUntraced(function*(agents, limits = {}) {
    const scope = yield* Scope.fork(yield* Effect.scope)
    const services = yield* Effect.context<TaskBackend | ConversationStore>()
    const context = yield* Layer.buildWithScope(
      TaskRuntime.layerManager.pipe(
        Layer.provideMerge(engine),
        Layer.provide(TaskExecutor.layer),
        Layer.provide([Lease.layer, TaskReaders.layer]),
        Layer.provide(Layer.mergeAll(
          Agents.layer(agents),
          Layer.succeedContext(services),
          Layer.succeed(TaskLimits.CurrentTaskLimits, { ...TaskLimits.defaults, ...limits })
        ))
      ),
      scope
    )
    return {
      manager: Context.get(context, TaskManager),
      engine: Context.get(context, TaskEngine),
      close: Scope.close(scope, Exit.void)
    }
  })

const statusOf = (id: TaskId) =>
  Effect.flatMap(TaskBackend, (backend) => Effect.map(backend.get(id), (task) => task.status))

const headOf = Effect.fnUntraced(function*(id: TaskId) {
  const backend = yield* TaskBackend
  const head = yield* backend.head(id)
  return Option.getOrElse<Head, Head>(head, () => assert.fail(`${id} is no head`))
})

/** Lets time pass until a task has ended; the test fails if it has not within a minute. */
const untilEnded = Effect.fnUntraced(function*(id: TaskId) {
  const backend = yield* TaskBackend
  for (let second = 0; second < 60; second++) {
    const task = yield* backend.get(id)
    if (task.status !== "queued" && task.status !== "running") return task
    yield* Testing.adjust("1 second")
  }
  return assert.fail(`${id} has not ended`)
})

/** The types of a task's events. How often an engine hands a task over is its own matter. */
const typesOf = Effect.fnUntraced(function*(id: TaskId) {
  const backend = yield* TaskBackend
  const { events } = yield* backend.events(id, { after: 0, limit: 100, maxBytes: 1_000_000 })
  return events.map(({ event }) => event.type).filter((type) => type !== "resumed")
})

/** Every attempt at a task is made once. */
const assertOnce = (attempts: ReadonlyArray<string>): void => {
  assert.deepStrictEqual(attempts, [...new Set(attempts)])
}

/**
 * Defines the tests: an engine over a store in memory, with time that the tests control.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E = never>(name: string, engine: EngineLayer<E>): void => {
  const start = startOver(engine)
  const test = <E2>(
    name: Rule,
    body: Effect.Effect<void, E2, Scope.Scope | TaskBackend | ConversationStore>
  ) => it.effect(name, () => Effect.provide(Effect.scoped(body), MemoryStore.layer))

  describe(name, () => {
    test(
      "a submitted head is executed to its end",
      Effect.gen(function*() {
        const { agent, release } = makeControlled()
        const { manager } = yield* start([agent])
        const { id } = yield* manager.start({ message: "x" })
        yield* Testing.settle
        assert.strictEqual(yield* statusOf(id), "running")
        yield* release.open
        assert.strictEqual((yield* untilEnded(id)).status, "completed")
        assert.deepStrictEqual(yield* typesOf(id), ["ack", "started", "text", "message", "done"])
      })
    )

    test(
      "a head that is submitted again, before and while it is executed, is executed once",
      Effect.gen(function*() {
        const { agent, attempts, release } = makeControlled()
        const { engine, manager } = yield* start([agent])
        const { id } = yield* manager.start({ message: "x" })
        const head = yield* headOf(id)
        yield* Effect.all([engine.submit(head), engine.submit(head), engine.submit(head)], { concurrency: "unbounded" })
        yield* Testing.settle
        yield* engine.submit(head)
        yield* engine.submit(yield* headOf(id))
        yield* Testing.adjust("3 seconds")
        yield* release.open
        yield* untilEnded(id)
        const made = attempts.length
        yield* engine.submit(head)
        yield* Testing.settle
        assert.strictEqual(attempts.length, made)
        assertOnce(attempts)
        assert.deepStrictEqual(yield* typesOf(id), ["ack", "started", "text", "message", "done"])
      })
    )

    test(
      "P8: a head that nobody submitted is found and executed",
      Effect.gen(function*() {
        const { agent, attempts, release } = makeControlled()
        const first = yield* start([agent])
        yield* first.engine.drain
        const { id } = yield* first.manager.start({ message: "x" })
        yield* Testing.settle
        assert.deepStrictEqual(attempts, [])
        yield* start([agent])
        yield* release.open
        assert.strictEqual((yield* untilEnded(id)).status, "completed")
        assertOnce(attempts)
      })
    )

    test(
      "P8: when its scope closes, tasks are handed over: finalizers have run, and another process goes on",
      Effect.gen(function*() {
        const { agent, attempts, finalized, release } = makeControlled()
        const first = yield* start([agent])
        const { id } = yield* first.manager.start({ message: "x" })
        yield* Testing.settle
        yield* first.close
        assert.deepStrictEqual(finalized, [id])
        assert.strictEqual(yield* statusOf(id), "running")
        const backend = yield* TaskBackend
        assert.deepStrictEqual((yield* backend.unowned({ limit: 10 })).map(({ taskId }) => taskId), [id])
        yield* start([agent])
        yield* Testing.adjust("2 seconds")
        yield* release.open
        const task = yield* untilEnded(id)
        assert.strictEqual(task.status, "completed")
        assert.isAtLeast(task.attempt, 2)
        assertOnce(attempts)
      })
    )

    test(
      "P8: an agent whose finalizers do not end holds the end of the scope up for the grace, not longer",
      Effect.gen(function*() {
        const begun = yield* Deferred.make<void>()
        const clings = makeAgent(
          "agent",
          () =>
            Effect.andThen(Deferred.succeed(begun, undefined), Effect.never).pipe(
              Effect.onInterrupt(() => Effect.never)
            )
        )
        const first = yield* start([clings])
        const { id } = yield* first.manager.start({ message: "x" })
        yield* Deferred.await(begun)
        const closing = yield* Effect.forkChild(first.close)
        yield* Testing.adjust("9 seconds")
        assert.isUndefined(closing.pollUnsafe())
        yield* Testing.adjust("2 seconds")
        yield* Fiber.join(closing)
        const { agent, release } = makeControlled()
        yield* start([agent])
        yield* release.open
        assert.strictEqual((yield* untilEnded(id)).status, "completed")
      })
    )

    test(
      "P8: after a drain this process executes nothing, and what is started waits for another process",
      Effect.gen(function*() {
        const { agent, attempts, release } = makeControlled()
        const first = yield* start([agent])
        const running = yield* first.manager.start({ message: "x" })
        yield* Testing.settle
        yield* first.engine.drain
        const later = yield* first.manager.start({ message: "y" })
        yield* Testing.adjust("5 seconds")
        assert.deepStrictEqual(attempts, [`${running.id} 1`])
        yield* release.open
        yield* start([agent])
        assert.strictEqual((yield* untilEnded(running.id)).status, "completed")
        assert.strictEqual((yield* untilEnded(later.id)).status, "completed")
      })
    )

    test(
      "the head that an end promotes is executed",
      Effect.gen(function*() {
        const { agent, attempts, release } = makeControlled()
        const { manager } = yield* start([agent])
        const { conversationId, id } = yield* manager.start({ message: "x" })
        const second = yield* manager.start({ message: "y", conversationId, onBusy: "enqueue" })
        const third = yield* manager.start({ message: "z", conversationId, onBusy: "enqueue" })
        yield* release.open
        yield* Testing.settle
        assert.strictEqual((yield* untilEnded(third.id)).status, "completed")
        assertOnce(attempts)
        const order = attempts.map((attempt) => attempt.split(" ")[0])
        assert.deepStrictEqual([...new Set(order)], [id, second.id, third.id])
      })
    )

    test(
      "a head of an agent that this process does not have is left to a process that has the agent",
      Effect.gen(function*() {
        const other = makeControlled("other")
        const { agent } = makeControlled()
        const both = yield* start([agent, other.agent])
        yield* both.engine.drain
        const { id } = yield* both.manager.start({ message: "x", agentId: other.agent.agentId })
        const without = yield* start([agent])
        yield* without.engine.submit(yield* headOf(id))
        yield* Testing.adjust("5 seconds")
        const backend = yield* TaskBackend
        assert.strictEqual((yield* backend.get(id)).attempt, 0)
        yield* start([other.agent])
        yield* other.release.open
        assert.strictEqual((yield* untilEnded(id)).status, "completed")
      })
    )

    test(
      "P11: a head beyond the capacity stays unclaimed until a task ends",
      Effect.gen(function*() {
        const { agent, attempts, release } = makeControlled()
        const { manager } = yield* start([agent], { capacity: 1 })
        const first = yield* manager.start({ message: "x" })
        yield* Testing.settle
        const second = yield* manager.start({ message: "y" })
        yield* Testing.adjust("3 seconds")
        assert.deepStrictEqual(attempts, [`${first.id} 1`])
        assert.strictEqual(yield* statusOf(second.id), "queued")
        yield* release.open
        yield* untilEnded(first.id)
        assert.strictEqual((yield* untilEnded(second.id)).status, "completed")
      })
    )

    test(
      "P11: when as many tasks wait as this process takes, a start fails and stores nothing; one that ends makes room",
      Effect.gen(function*() {
        const { agent } = makeControlled()
        const { manager } = yield* start([agent], { capacity: 1, waiting: 2 })
        yield* manager.start({ message: "runs" })
        yield* Testing.settle
        const waits = yield* manager.start({ message: "waits" })
        yield* manager.start({ message: "waits, too" })
        const before = yield* manager.list()
        assert.strictEqual((yield* Effect.flip(manager.start({ message: "x" })))._tag, "CapacityExceeded")
        assert.deepStrictEqual(yield* manager.list(), before)
        yield* manager.cancel(waits.id)
        yield* manager.start({ message: "x" })
      })
    )

    test(
      "P11: a task that waits for another task takes no place",
      Effect.gen(function*() {
        const { agent, release } = makeControlled()
        let manager: TaskManager["Service"] | undefined
        const waits = makeAgent("waits", ({ journal, task: { taskId } }, emit) =>
          Effect.gen(function*() {
            if (manager === undefined) return yield* Effect.die("The test has not begun.")
            if (isAnswered(journal)) return { usage: zero }
            const { id } = yield* manager.start({ message: "inner", agentId: agent.agentId, idempotencyKey: taskId })
            const { task } = yield* manager.await(id)
            yield* emit([message(task.status)])
            return { usage: zero }
          }).pipe(Effect.orDie))
        const process = yield* start([waits, agent], { capacity: 1 })
        manager = process.manager
        yield* release.open
        const { id } = yield* manager.start({ message: "outer" })
        assert.strictEqual((yield* untilEnded(id)).status, "completed")
      })
    )

    test(
      "P7: a cancel from another process reaches the task",
      Effect.gen(function*() {
        const { agent, finalized } = makeControlled()
        const owner = yield* start([agent])
        const other = yield* start([agent])
        const { id } = yield* owner.manager.start({ message: "x" })
        yield* Testing.settle
        const cancelling = yield* Effect.forkChild(other.manager.cancel(id))
        yield* Testing.adjust("10 seconds")
        assert.strictEqual((yield* Fiber.join(cancelling)).status, "cancelled")
        assert.deepStrictEqual(finalized, [id])
        assert.strictEqual((yield* typesOf(id)).at(-1), "cancelled")
      })
    )
  })
}
