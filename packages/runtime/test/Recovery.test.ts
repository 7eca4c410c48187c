import { assert, describe, it } from "@effect/vitest"
import { type Agent, Agents, make } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, type TaskId, UserId } from "@perennial/domain/Ids"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskBackendError } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Deferred, Effect, Exit, Fiber, Latch, Layer, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { counting, message, text, waiting } from "./support/agents.ts"

const types = (events: ReadonlyArray<StoredEvent>) => events.map(({ event }) => event.type)
const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

/** A store that several processes of a test share. */
const shared = Effect.map(
  Layer.build(MemoryStore.layer),
  (context) => ({ backend: Context.get(context, TaskBackend), store: Context.get(context, ConversationStore) })
)

/**
 * A process: its manager, its line to the store, and its end by SIGTERM. While `cut` is true all calls fail. While `gate`
 * is closed, appends wait before they reach the store; `late` has their answers. `cutsAtFinish` cuts the line at `finish`.
 */
const startProcess = Effect.fnUntraced(function*(
  { backend, store }: Effect.Success<typeof shared>,
  ...[agent, ...others]: readonly [Agent, ...Array<Agent>]
) {
  const line = { cut: false, cutsAtFinish: false, gate: Latch.makeUnsafe(true), late: new Array<boolean>() }
  const guarded = <A, E>(effect: Effect.Effect<A, E>): Effect.Effect<A, E | TaskBackendError> =>
    Effect.suspend((): Effect.Effect<A, E | TaskBackendError> =>
      line.cut ? Effect.fail(new TaskBackendError({ operation: "any", cause: "the line is cut" })) : effect
    )
  const reached = TaskBackend.of({
    commitWindow: backend.commitWindow,
    wakes: backend.wakes,
    create: (...args) => guarded(backend.create(...args)),
    get: (...args) => guarded(backend.get(...args)),
    list: (...args) => guarded(backend.list(...args)),
    nextTask: (...args) => guarded(backend.nextTask(...args)),
    counts: (...args) => guarded(backend.counts(...args)),
    records: (...args) => guarded(backend.records(...args)),
    countRecords: (...args) => guarded(backend.countRecords(...args)),
    throughput: (...args) => guarded(backend.throughput(...args)),
    runners: (...args) => guarded(backend.runners(...args)),
    head: (...args) => guarded(backend.head(...args)),
    claim: (...args) => guarded(backend.claim(...args)),
    append: (...args) =>
      guarded(
        line.gate.isOpen()
          ? backend.append(...args)
          : Effect.tap(Effect.andThen(line.gate.await, backend.append(...args)), (results) =>
            Effect.sync(() => line.late.push(...results.map(({ ok }) => ok))))
      ),
    finish: (...args) =>
      Effect.suspend(() => {
        line.cut ||= line.cutsAtFinish
        return guarded(backend.finish(...args))
      }),
    release: (...args) => guarded(backend.release(...args)),
    events: (...args) => guarded(backend.events(...args)),
    lastSeqs: (...args) => guarded(backend.lastSeqs(...args)),
    owners: (...args) => guarded(backend.owners(...args)),
    heartbeat: (...args) => guarded(backend.heartbeat(...args)),
    unowned: (...args) => guarded(backend.unowned(...args)),
    putIntent: (...args) => guarded(backend.putIntent(...args)),
    intents: (...args) => guarded(backend.intents(...args)),
    ended: (...args) => guarded(backend.ended(...args)),
    prune: (...args) => guarded(backend.prune(...args)),
    forgetUser: (...args) => guarded(backend.forgetUser(...args)),
    deleteConversation: (...args) => guarded(backend.deleteConversation(...args))
  })
  const scope = yield* Scope.fork(yield* Effect.scope)
  const context = yield* Layer.buildWithScope(
    TaskRuntime.layer.pipe(
      Layer.provide(Layer.mergeAll(
        Layer.succeed(TaskBackend, reached),
        Layer.succeed(ConversationStore, store),
        Agents.layer([agent, ...others])
      ))
    ),
    scope
  )
  return { manager: Context.get(context, TaskManager), line, terminate: Scope.close(scope, Exit.void) }
})

const logOf = Effect.fnUntraced(function*(manager: TaskManager["Service"], id: TaskId) {
  return yield* Stream.runCollect(yield* manager.events(id))
})

const rolesOf = Effect.fnUntraced(function*(store: ConversationStore["Service"], id: ConversationId) {
  const page = yield* store.messages({ id, userId: UserId.make("local") }, { limit: 100 })
  return page.map((stored) => stored.message.role)
})

describe("recovery", () => {
  it.effect("P8: a task is handed over if its process ends before its agent begins, and the agent does not run there", () =>
    Effect.gen(function*() {
      const both = yield* shared
      let ran = 0
      const a = yield* startProcess(both, make("agent", () => Effect.andThen(Effect.sync(() => ++ran), Effect.never)))
      yield* a.line.gate.close
      const task = yield* a.manager.start({ message: "x" })
      yield* settle
      const ended = yield* Effect.forkChild(a.terminate)
      yield* settle
      yield* a.line.gate.open
      yield* Fiber.join(ended)
      assert.strictEqual(ran, 0)
      const [head] = yield* both.backend.unowned({ limit: 10 })
      assert.strictEqual(head?.taskId, task.id)
    }))

  it.effect("P8, SCENARIO 26: a process that ends hands its tasks over", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const first = waiting([text("before ")])
      const a = yield* startProcess(both, first.agent)
      const task = yield* a.manager.start({ message: "x" })
      yield* Deferred.await(first.begun)
      const second = waiting([text("after ")])
      const b = yield* startProcess(both, second.agent)
      const reader = yield* Effect.forkChild(logOf(b.manager, task.id))
      yield* settle
      yield* a.terminate
      yield* TestClock.adjust("2 seconds")
      const input = yield* Deferred.await(second.begun)
      assert.strictEqual(input.task.attempt, 2)
      assert.deepStrictEqual(input.history.map(({ role }) => role), ["user"])
      yield* second.release.open
      yield* settle
      yield* TestClock.adjust("5 seconds")
      const log = yield* Fiber.join(reader)
      assert.deepStrictEqual(types(log), ["ack", "started", "text", "resumed", "text", "message", "done"])
      const resumed = log[3]?.event
      assert.strictEqual(resumed?.type === "resumed" ? resumed.discardAfter : 0, 2)
      assert.propertyVal(resumed, "reason", "handover")
      // A sweep of the other process took the task up within two seconds.
      assert.isAtMost(resumed?.type === "resumed" ? resumed.gapMillis ?? Number.NaN : Number.NaN, 2_000)
      assert.deepStrictEqual(yield* rolesOf(both.store, task.conversationId), ["user", "assistant"])
    }))

  it.effect("P8, P9, SCENARIO 27: another process takes over a task after the lease of its owner, which can write no more", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const first = waiting([text("before ")])
      const a = yield* startProcess(both, first.agent)
      const task = yield* a.manager.start({ message: "x" })
      yield* Deferred.await(first.begun)
      // The old owner appends once more before it dies. This append arrives when the task has another owner.
      yield* a.line.gate.close
      yield* first.release.open
      yield* settle
      a.line.cut = true
      const second = waiting([text("after ")])
      const b = yield* startProcess(both, second.agent)
      yield* settle
      yield* TestClock.adjust("11 seconds")
      yield* Deferred.await(second.begun)
      a.line.cut = false
      yield* a.line.gate.open
      yield* settle
      assert.deepStrictEqual(a.line.late, [false])
      yield* second.release.open
      const log = yield* logOf(b.manager, task.id)
      assert.deepStrictEqual(types(log), ["ack", "started", "text", "resumed", "text", "message", "done"])
      const resumed = log[3]?.event
      assert.propertyVal(resumed, "reason", "crash")
      // The lease was renewed at most one heartbeat before the line was cut, and ran out within its 9 seconds.
      const gap = resumed?.type === "resumed" ? resumed.gapMillis ?? Number.NaN : Number.NaN
      assert.isAtLeast(gap, 6_000)
      assert.isAtMost(gap, 14_000)
    }))

  it.effect("P7, SCENARIO 18: another process executes the cancel of a task whose owner is dead", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const first = waiting([text("half ")])
      const a = yield* startProcess(both, first.agent)
      const task = yield* a.manager.start({ message: "x" })
      yield* Deferred.await(first.begun)
      a.line.cut = true
      const b = yield* startProcess(both, counting(1))
      const cancelled = yield* Effect.forkChild(b.manager.cancel(task.id))
      yield* settle
      yield* TestClock.adjust("20 seconds")
      assert.strictEqual((yield* Fiber.join(cancelled)).status, "cancelled")
      assert.deepStrictEqual(types(yield* logOf(b.manager, task.id)), [
        "ack",
        "started",
        "text",
        "message",
        "cancelled"
      ])
    }))

  it.effect("P7, SCENARIO 17: the owner sees a cancel from another process at its next heartbeat", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const first = waiting()
      const a = yield* startProcess(both, first.agent)
      const b = yield* startProcess(both, counting(1))
      const task = yield* a.manager.start({ message: "x" })
      yield* Deferred.await(first.begun)
      const cancelled = yield* Effect.forkChild(b.manager.cancel(task.id))
      yield* settle
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual((yield* Fiber.join(cancelled)).status, "cancelled")
    }))

  it.effect("P8, SCENARIO 28: a task whose owners all die ends with CrashLoop, and its conversation is free", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const conversationId = ConversationId.make("c1")
      let task: TaskId | undefined
      for (let i = 0; i < 4; i++) {
        const victim = waiting([text("again ")])
        const process = yield* startProcess(both, victim.agent)
        if (task === undefined) task = (yield* process.manager.start({ message: "x", conversationId })).id
        yield* settle
        yield* TestClock.adjust("12 seconds")
        yield* Deferred.await(victim.begun)
        process.line.cut = true
        yield* settle
      }
      const survivor = waiting()
      yield* survivor.release.open
      const { manager } = yield* startProcess(both, survivor.agent)
      yield* settle
      yield* TestClock.adjust("15 seconds")
      if (task === undefined) return assert.fail("no task")
      const end = (yield* logOf(manager, task)).at(-1)?.event
      assert.isTrue(end?.type === "error" && end.error === "CrashLoop")
      const next = yield* manager.start({ message: "y", conversationId })
      assert.strictEqual((yield* manager.await(next.id)).task.status, "completed")
      assert.deepStrictEqual(yield* rolesOf(both.store, conversationId), ["user", "assistant", "user", "assistant"])
    }))

  it.effect("P8, SCENARIO 28: if a process dies while it ends a task with CrashLoop, the next process ends the task", () =>
    Effect.gen(function*() {
      const both = yield* shared
      let task: TaskId | undefined
      for (let i = 0; i < 4; i++) {
        const victim = waiting([text("again ")])
        const process = yield* startProcess(both, victim.agent)
        if (task === undefined) task = (yield* process.manager.start({ message: "x" })).id
        yield* settle
        yield* TestClock.adjust("12 seconds")
        yield* Deferred.await(victim.begun)
        process.line.cut = true
        yield* settle
      }
      const settling = yield* startProcess(both, waiting().agent)
      settling.line.cutsAtFinish = true
      yield* settle
      yield* TestClock.adjust("12 seconds")
      assert.isTrue(settling.line.cut)
      const last = yield* startProcess(both, waiting().agent)
      yield* settle
      yield* TestClock.adjust("15 seconds")
      if (task === undefined) return assert.fail("no task")
      const log = yield* logOf(last.manager, task)
      assert.deepStrictEqual(types(log).slice(-3), ["text", "message", "error"])
      const end = log.at(-1)?.event
      assert.isTrue(end?.type === "error" && end.error === "CrashLoop")
    }))

  it.effect("P10: the agent of the next owner gets the finished messages and tool results", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const first = waiting([
        {
          type: "message",
          message: {
            role: "assistant",
            content: [{ type: "tool_call", toolCallId: "t1", tool: "look", args: {} }]
          },
          usage: zero
        },
        { type: "tool_call", tool: "look", toolCallId: "t1", args: {}, status: "executing" },
        { type: "tool_result", tool: "look", toolCallId: "t1", result: 42, status: "completed" },
        text("and then ")
      ])
      const a = yield* startProcess(both, first.agent)
      const task = yield* a.manager.start({ message: "x" })
      yield* Deferred.await(first.begun)
      yield* a.terminate
      const second = waiting()
      const b = yield* startProcess(both, second.agent)
      yield* settle
      yield* TestClock.adjust("2 seconds")
      const { history, journal } = yield* Deferred.await(second.begun)
      assert.deepStrictEqual(history.map(({ role }) => role), ["user", "assistant", "tool"])
      assert.deepStrictEqual(types(journal), ["ack", "started", "message", "tool_call", "tool_result"])
      yield* second.release.open
      assert.strictEqual((yield* b.manager.await(task.id)).task.status, "completed")
    }))

  it.effect("P8: a task stops like after a crash when the store fails, and goes on when the store is back", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const go = Latch.makeUnsafe(false)
      const begun = Latch.makeUnsafe(false)
      const agent = make("goes on", (input, emit) =>
        Effect.gen(function*() {
          yield* begun.open
          if (input.task.attempt === 1) yield* go.await
          yield* emit([message("ok")])
          return { usage: zero }
        }))
      const a = yield* startProcess(both, agent)
      const task = yield* a.manager.start({ message: "x" })
      yield* begun.await
      a.line.cut = true
      yield* go.open
      yield* settle
      a.line.cut = false
      yield* TestClock.adjust("6 seconds")
      assert.strictEqual((yield* a.manager.await(task.id)).task.status, "completed")
      assert.deepStrictEqual(types(yield* logOf(a.manager, task.id)), ["ack", "started", "resumed", "message", "done"])
    }))

  it.effect("readers on another process follow the log", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const first = waiting()
      const a = yield* startProcess(both, first.agent)
      const b = yield* startProcess(both, counting(1))
      const task = yield* a.manager.start({ message: "x" })
      yield* Deferred.await(first.begun)
      const reader = yield* Effect.forkChild(logOf(b.manager, task.id))
      yield* settle
      yield* first.release.open
      yield* settle
      yield* TestClock.adjust("6 seconds")
      assert.deepStrictEqual(types(yield* Fiber.join(reader)), ["ack", "started", "text", "message", "done"])
    }))

  it.effect("P2, SCENARIO 30: of concurrent starts on three processes one is accepted", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const { agent } = waiting()
      const a = yield* startProcess(both, agent)
      const b = yield* startProcess(both, agent)
      const c = yield* startProcess(both, agent)
      const conversationId = ConversationId.make("shared")
      const exits = yield* Effect.forEach(
        Array.from({ length: 33 }).flatMap(() => [a, b, c]),
        ({ manager }) => Effect.exit(manager.start({ message: "x", conversationId })),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(exits.filter(Exit.isSuccess).length, 1)
    }))
})
