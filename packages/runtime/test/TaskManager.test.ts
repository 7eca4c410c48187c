import { assert, describe, it } from "@effect/vitest"
import { type Agent, AgentError, Agents, make } from "@perennial/domain/Agent"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentTask } from "@perennial/domain/CurrentTask"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { AgentId, ConversationId, TaskId, UserId } from "@perennial/domain/Ids"
import * as Message from "@perennial/domain/Message"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Deferred, Effect, Exit, Fiber, Latch, Layer, Option, Stream } from "effect"
import { TestClock } from "effect/testing"
import { counting, message, text, waiting } from "./support/agents.ts"

const withAgents = (agent: Agent, ...others: ReadonlyArray<Agent>) =>
  TaskRuntime.layerMemory.pipe(Layer.provide(Agents.layer([agent, ...others])))

const c1 = ConversationId.make("c1")
const asUser = (id: string) => Effect.provideService(CurrentUser, UserId.make(id))
const types = (events: ReadonlyArray<StoredEvent>) => events.map(({ event }) => event.type)
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

const readAll = Effect.fnUntraced(function*(id: TaskId, after = 0) {
  const manager = yield* TaskManager
  return yield* Stream.runCollect(yield* manager.events(id, { after }))
})

const messagesOf = Effect.fnUntraced(function*(id: ConversationId) {
  const store = yield* ConversationStore
  return yield* store.messages({ id, userId: yield* CurrentUser }, { limit: 1000 })
})

describe("start", () => {
  it.effect("P1: stores the task, the user's message and `ack` before it returns", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const task = yield* manager.start({ message: "hello", conversationId: c1, metadata: { a: 1 } })
      assert.strictEqual(task.status, "queued")
      assert.deepStrictEqual(task.metadata, { a: 1 })
      const events = yield* readAll(task.id)
      assert.deepStrictEqual(types(events), ["ack", "started", "text", "text", "message", "done"])
      const result = yield* manager.await(task.id)
      assert.strictEqual(result.task.status, "completed")
      assert.deepStrictEqual(result.message && Message.text(result.message), "all")
      assert.deepStrictEqual(
        (yield* messagesOf(c1)).map((stored) => [stored.id, stored.message.role]),
        [[`${task.id}/1`, "user"], [`${task.id}/5`, "assistant"]]
      )
    }).pipe(Effect.provide(withAgents(counting(2)))))

  it.effect("the task goes on after the fiber that started it has ended, and without a reader", () => {
    const { agent, begun, release } = waiting()
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const task = yield* Fiber.join(yield* Effect.forkChild(manager.start({ message: "hello" })))
      yield* Deferred.await(begun)
      yield* release.open
      assert.strictEqual((yield* manager.await(task.id)).task.status, "completed")
    }).pipe(Effect.provide(withAgents(agent)))
  })

  it.effect("refuses an empty message, an unknown agent and another user's conversation, and stores nothing", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      assert.strictEqual((yield* Effect.flip(manager.start({ message: "  " })))._tag, "InvalidInput")
      assert.strictEqual(
        (yield* Effect.flip(manager.start({ message: "x", agentId: AgentId.make("nobody") })))._tag,
        "AgentNotFound"
      )
      yield* asUser("alice")(manager.start({ message: "mine", conversationId: c1 }))
      const error = yield* Effect.flip(asUser("bob")(manager.start({ message: "x", conversationId: c1 })))
      assert.strictEqual(error._tag, "ConversationNotFound")
      assert.deepStrictEqual(yield* manager.list(), [])
      assert.deepStrictEqual(yield* asUser("bob")(manager.list()), [])
    }).pipe(Effect.provide(withAgents(counting(1)))))

  it.effect("returns the same task for the same idempotency key, refuses a different request, and leaves no empty conversation", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const first = yield* manager.start({ message: "a", conversationId: c1, idempotencyKey: "k" })
      const again = yield* manager.start({ message: "a", conversationId: c1, idempotencyKey: "k" })
      assert.strictEqual(again.id, first.id)
      for (const conversationId of [undefined, ConversationId.make("unknown"), c1]) {
        const conflict = manager.start({ message: "b", conversationId, idempotencyKey: "k" })
        assert.strictEqual((yield* Effect.flip(conflict))._tag, "IdempotencyConflict")
      }
      const alone = yield* manager.start({ message: "alone", idempotencyKey: "k2" })
      assert.strictEqual((yield* manager.start({ message: "alone", idempotencyKey: "k2" })).id, alone.id)
      const store = yield* ConversationStore
      const conversations = yield* store.list({ userId: yield* CurrentUser, limit: 10 })
      assert.deepStrictEqual(conversations.map(({ id }) => id).toSorted(), [alone.conversationId, c1].toSorted())
    }).pipe(Effect.provide(withAgents(counting(1)))))

  it.effect("P12: tasks and conversations of another user are not found", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* asUser("alice")(manager.start({ message: "secret" }))
      const bob = asUser("bob")
      assert.strictEqual((yield* Effect.flip(bob(manager.get(id))))._tag, "TaskNotFound")
      assert.strictEqual((yield* Effect.flip(bob(manager.events(id))))._tag, "TaskNotFound")
      assert.strictEqual((yield* Effect.flip(bob(manager.cancel(id))))._tag, "TaskNotFound")
      assert.strictEqual((yield* Effect.flip(bob(manager.await(id))))._tag, "TaskNotFound")
      assert.strictEqual((yield* Effect.flip(bob(manager.decide(id, "t", { approved: true }))))._tag, "TaskNotFound")
      assert.deepStrictEqual(yield* bob(manager.running), [])
    }).pipe(Effect.provide(withAgents(counting(1)))))
})

describe("how tasks end", () => {
  it.effect("P7: a cancel runs finalizers, keeps the partial text, ends the log, and frees the conversation", () => {
    const finalized = Latch.makeUnsafe(false)
    const begun = Latch.makeUnsafe(false)
    const agent = make(
      "talks",
      (_, emit) =>
        Effect.andThen(emit([text("partial ")]), Effect.andThen(begun.open, Effect.never)).pipe(
          Effect.onInterrupt(() => finalized.open)
        )
    )
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "x", conversationId: c1 })
      yield* begun.await
      assert.strictEqual((yield* manager.cancel(id, { reason: "enough" })).status, "cancelled")
      assert.isTrue(finalized.isOpen())
      const log = yield* readAll(id)
      assert.deepStrictEqual(types(log), ["ack", "started", "text", "message", "cancelled"])
      const last = log.at(-1)?.event
      assert.strictEqual(last?.type === "cancelled" ? last.reason : "", "enough")
      assert.strictEqual((yield* manager.cancel(id)).status, "cancelled")
      assert.deepStrictEqual((yield* messagesOf(c1)).map(({ status }) => status), ["complete", "partial"])
      assert.strictEqual((yield* manager.start({ message: "next", conversationId: c1 })).status, "queued")
    }).pipe(Effect.provide(withAgents(agent)))
  })

  it.effect("SCENARIO 19: a cancel after the end changes nothing", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "x" })
      yield* manager.await(id)
      assert.strictEqual((yield* manager.cancel(id)).status, "completed")
      assert.strictEqual((yield* manager.get(id)).status, "completed")
    }).pipe(Effect.provide(withAgents(counting(1)))))

  it.effect("a failure, a defect and an interruption by the agent itself end with `error`, each with a safe detail", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const end = Effect.fnUntraced(function*(agentId: string) {
        const { id } = yield* manager.start({ message: "x", agentId: AgentId.make(agentId) })
        return (yield* readAll(id)).at(-1)?.event
      })
      const failed = yield* end("fails")
      assert.isTrue(
        failed?.type === "error" && failed.error === "Nope" && failed.detail === "because" && failed.retryable
      )
      const died = yield* end("dies")
      assert.isTrue(died?.type === "error" && died.error === "InternalError" && !died.detail.includes("password"))
      assert.strictEqual((yield* end("interrupts"))?.type, "error")
    }).pipe(Effect.provide(withAgents(
      make("fails", () => Effect.fail(new AgentError({ error: "Nope", detail: "because", retryable: true }))),
      make("dies", () => Effect.die(new Error("password"))),
      make("interrupts", () => Effect.interrupt)
    ))))

  it.effect("a task that reaches its deadline ends with DeadlineExceeded", () => {
    const { agent, begun } = waiting()
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "x" })
      yield* Deferred.await(begun)
      yield* settle
      yield* TestClock.adjust("61 seconds")
      const last = (yield* readAll(id)).at(-1)?.event
      assert.isTrue(last?.type === "error" && last.error === "DeadlineExceeded")
    }).pipe(Effect.provide(
      withAgents(agent).pipe(
        Layer.provide(TaskLimits.layer({ taskTimeout: "1 minute" }))
      )
    ))
  })

  it.effect("the log is closed although finalizers have not ended after 10 seconds", () => {
    const begun = Latch.makeUnsafe(false)
    const agent = make("clings", (_, emit) =>
      Effect.andThen(begun.open, Effect.never).pipe(
        Effect.onInterrupt(() => Effect.andThen(Effect.sleep("1 minute"), Effect.exit(emit([text("too late")]))))
      ))
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "x" })
      yield* begun.await
      const cancelled = yield* Effect.forkChild(manager.cancel(id))
      yield* settle
      yield* TestClock.adjust("12 seconds")
      assert.strictEqual((yield* Fiber.join(cancelled)).status, "cancelled")
      yield* TestClock.adjust("2 minutes")
      assert.deepStrictEqual(types(yield* readAll(id)), ["ack", "started", "cancelled"])
    }).pipe(Effect.provide(withAgents(agent)))
  })

  it.effect("P11: an event above the limit ends the task with EventTooLarge", () => {
    const agent = make("shouts", (_, emit) => Effect.as(emit([text("x".repeat(300_000))]), { usage: zero }))
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "x" })
      const last = (yield* readAll(id)).at(-1)?.event
      assert.isTrue(last?.type === "error" && last.error === "EventTooLarge")
    }).pipe(Effect.provide(withAgents(agent)))
  })
})

describe("one task at a time per conversation", () => {
  it.effect("SCENARIO 30, P2: of 50 concurrent starts one is accepted, and the errors of the others name its task", () => {
    const { agent } = waiting()
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const exits = yield* Effect.all(
        Array.from({ length: 50 }, () => Effect.exit(manager.start({ message: "x", conversationId: c1 }))),
        { concurrency: "unbounded" }
      )
      const accepted = exits.filter(Exit.isSuccess)
      assert.strictEqual(accepted.length, 1)
      for (const exit of exits) {
        if (Exit.isSuccess(exit)) continue
        const error = Option.getOrThrow(Exit.findErrorOption(exit))
        assert.isTrue(error._tag === "ConversationBusy" && error.activeTaskId === accepted[0]?.value.id)
      }
    }).pipe(Effect.provide(withAgents(agent)))
  })

  it.effect("`enqueue` runs all tasks, one after the other, in the order of their starts", () => {
    const order: Array<string> = []
    let active = 0
    const agent = make("orders", (input) =>
      Effect.gen(function*() {
        assert.strictEqual(++active, 1)
        order.push(input.task.taskId)
        yield* Effect.yieldNow
        active--
        return { usage: zero }
      }))
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const tasks = yield* Effect.all(
        Array.from({ length: 50 }, () => manager.start({ message: "x", conversationId: c1, onBusy: "enqueue" })),
        { concurrency: "unbounded" }
      )
      yield* Effect.forEach(tasks, (task) => manager.await(task.id), { concurrency: "unbounded" })
      assert.deepStrictEqual(order, tasks.map((task) => task.id).toSorted())
    }).pipe(Effect.provide(withAgents(agent)))
  })

  it.effect("`interrupt`: the last task runs, and all others are cancelled", () => {
    const { agent, release } = waiting()
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const tasks = yield* Effect.all(
        Array.from({ length: 20 }, () => manager.start({ message: "x", conversationId: c1, onBusy: "interrupt" })),
        { concurrency: "unbounded" }
      )
      const ids = tasks.map((task) => task.id).toSorted()
      yield* Effect.forEach(ids.slice(0, -1), (id) => manager.await(id), { concurrency: "unbounded" })
      yield* release.open
      const last = ids.at(-1) ?? TaskId.make("none")
      assert.strictEqual((yield* manager.await(last)).task.status, "completed")
      const statuses = yield* Effect.forEach(ids, (id) => manager.get(id))
      assert.deepStrictEqual([...new Set(statuses.slice(0, -1).map(({ status }) => status))], ["cancelled"])
    }).pipe(Effect.provide(withAgents(agent)))
  })

  it.effect("a cancel of a queued task ends it at once, and does not affect the running task", () => {
    const { agent, begun, release } = waiting()
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const head = yield* manager.start({ message: "a", conversationId: c1 })
      const queued = yield* manager.start({ message: "b", conversationId: c1, onBusy: "enqueue" })
      yield* Deferred.await(begun)
      const reader = yield* Effect.forkChild(readAll(queued.id))
      yield* settle
      assert.strictEqual((yield* manager.cancel(queued.id)).status, "cancelled")
      assert.deepStrictEqual(types(yield* Fiber.join(reader)), ["ack", "cancelled"])
      assert.strictEqual(
        (yield* Effect.flip(manager.start({ message: "c", conversationId: c1 })))._tag,
        "ConversationBusy"
      )
      yield* release.open
      assert.strictEqual((yield* manager.await(head.id)).task.status, "completed")
      assert.strictEqual((yield* messagesOf(c1)).length, 2)
    }).pipe(Effect.provide(withAgents(agent)))
  })
})

describe("capacity", () => {
  it.effect("P11: tasks beyond the capacity wait, starts beyond `waiting` are refused, and all accepted tasks run", () => {
    const release = Latch.makeUnsafe(false)
    let active = 0
    let most = 0
    const agent = make("works", () =>
      Effect.gen(function*() {
        most = Math.max(most, ++active)
        yield* release.await
        active--
        return { usage: zero }
      }))
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const tasks = yield* Effect.forEach(upTo(5), () => manager.start({ message: "x" }))
      assert.strictEqual((yield* Effect.flip(manager.start({ message: "x" })))._tag, "CapacityExceeded")
      yield* settle
      yield* release.open
      yield* Effect.forEach(tasks, (task) => manager.await(task.id))
      assert.strictEqual(most, 2)
    }).pipe(Effect.provide(
      withAgents(agent).pipe(
        Layer.provide(TaskLimits.layer({ capacity: 2, waiting: 3 }))
      )
    ))
  })

  it.effect("another task runs while a task waits for a decision", () => {
    const asks = make("asks", (input, emit) =>
      Effect.gen(function*() {
        yield* emit([{ type: "tool_approval", tool: "rm", toolCallId: "t1", args: {} }])
        const decision = yield* input.awaitDecision("t1")
        yield* emit([{ type: "tool_approval", tool: "rm", toolCallId: "t1", args: {}, decision }])
        return { usage: zero }
      }))
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const waits = yield* manager.start({ message: "x", agentId: AgentId.make("asks") })
      const events = yield* manager.events(waits.id)
      yield* Stream.runDrain(Stream.takeUntil(events, ({ event }) => event.type === "tool_approval"))
      yield* settle
      const other = yield* manager.start({ message: "x", agentId: AgentId.make("counting") })
      assert.strictEqual((yield* manager.await(other.id)).task.status, "completed")
      assert.strictEqual(
        (yield* Effect.flip(manager.decide(waits.id, "t2", { approved: true })))._tag,
        "ToolCallNotFound"
      )
      yield* manager.decide(waits.id, "t1", { approved: false, reason: "no" })
      yield* manager.decide(waits.id, "t1", { approved: false, reason: "no" })
      assert.strictEqual(
        (yield* Effect.flip(manager.decide(waits.id, "t1", { approved: true })))._tag,
        "AlreadyDecided"
      )
      assert.deepStrictEqual(types(yield* readAll(waits.id)), [
        "ack",
        "started",
        "tool_approval",
        "tool_approval",
        "done"
      ])
    }).pipe(Effect.provide(
      withAgents(asks, counting(1)).pipe(
        Layer.provide(TaskLimits.layer({ capacity: 1 }))
      )
    ))
  })
})

it.effect("the agent can read the current task, and its user is the user of the start", () => {
  const seen = Deferred.makeUnsafe<readonly [string, string]>()
  const agent = make("looks", (_, emit) =>
    Effect.gen(function*() {
      const task = Option.getOrThrow(yield* CurrentTask)
      yield* Deferred.succeed(seen, [task.taskId, yield* CurrentUser] as const)
      yield* emit([message("ok")])
      return { usage: zero }
    }))
  return Effect.gen(function*() {
    const manager = yield* TaskManager
    const { id } = yield* asUser("alice")(manager.start({ message: "x" }))
    assert.deepStrictEqual(yield* Deferred.await(seen), [id, "alice"])
  }).pipe(Effect.provide(withAgents(agent)))
})

it.effect("a conversation is deleted with its tasks, but not while one of them is active", () => {
  const { agent, begun, release } = waiting()
  return Effect.gen(function*() {
    const manager = yield* TaskManager
    const { id } = yield* manager.start({ message: "x", conversationId: c1 })
    yield* Deferred.await(begun)
    assert.strictEqual((yield* Effect.flip(manager.deleteConversation(c1)))._tag, "ConversationBusy")
    yield* release.open
    yield* manager.await(id)
    yield* manager.deleteConversation(c1)
    assert.strictEqual((yield* Effect.flip(manager.get(id)))._tag, "TaskNotFound")
    assert.strictEqual((yield* Effect.flip(manager.deleteConversation(c1)))._tag, "ConversationNotFound")
  }).pipe(Effect.provide(withAgents(agent)))
})
