import { assert, describe, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { AgentId } from "@perennial/domain/Ids"
import { CapacityExceeded } from "@perennial/domain/TaskError"
import { zero } from "@perennial/domain/Usage"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import { adjust } from "@perennial/runtime/Testing"
import { Clock, Duration, Effect, Fiber, Latch, Ref } from "effect"
import { TestClock } from "effect/testing"
import { text } from "./support/agents.ts"
import { blocking, checkCapacity, checkEnded, settle, untilEnded } from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

/** An agent that waits for one decision, and ends. */
const asks = make(
  "asks",
  ({ awaitDecision }, emit) =>
    emit([{ type: "tool_approval", tool: "rm", toolCallId: "t1", args: {} }]).pipe(
      Effect.andThen(awaitDecision("t1")),
      Effect.as({ usage: zero })
    )
)

describe("TaskLimits.layer", () => {
  const read = (options: TaskLimits.Options) => Effect.provide(TaskLimits.CurrentTaskLimits, TaskLimits.layer(options))

  it.effect("keeps the defaults of all other limits", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* read({}), TaskLimits.defaults)
      assert.deepStrictEqual(yield* read({ capacity: 50, waiting: undefined, sweep: "5 seconds" }), {
        ...TaskLimits.defaults,
        capacity: 50,
        sweep: Duration.seconds(5)
      })
    }))

  it.effect("sends a heartbeat three times in each lease, unless the option `heartbeat` says otherwise", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual((yield* read({ leaseTtl: "30 seconds" })).heartbeat, Duration.seconds(10))
      assert.deepStrictEqual(
        (yield* read({ leaseTtl: "30 seconds", heartbeat: 500 })).heartbeat,
        Duration.millis(500)
      )
    }))

  const whole = "It must be a whole number, 0 or more."
  const refused: ReadonlyArray<readonly [options: TaskLimits.Options, message: string]> = [
    [{ capacity: -1 }, `TaskLimits: capacity is -1. ${whole}`],
    [{ waiting: Number.NaN }, `TaskLimits: waiting is NaN. ${whole}`],
    [{ failures: 1.5 }, `TaskLimits: failures is 1.5. ${whole}`],
    [{ queuedPerConversation: Number.POSITIVE_INFINITY }, `TaskLimits: queuedPerConversation is Infinity. ${whole}`],
    [{ activePerUser: 0 }, "TaskLimits: activePerUser is 0. It must be a whole number, 1 or more."],
    [{ eventBytes: 100 }, "TaskLimits: eventBytes is 100. It must be a whole number, 3000 or more."],
    [{ taskTimeout: "-1 seconds" }, "TaskLimits: taskTimeout is -1s. It must be a duration from 1ms to 365d."],
    [{ taskTimeout: Number.NaN }, "TaskLimits: taskTimeout is NaN. It must be a duration from 1ms to 365d."],
    [{ taskTimeout: "Infinity" }, "TaskLimits: taskTimeout is Infinity. It must be a duration from 1ms to 365d."],
    [{ heartbeat: "5 seconds" }, "TaskLimits: heartbeat is 5s. It must be a duration from 1ms to 3s."],
    [
      { leaseTtl: "3 seconds", heartbeat: "2 seconds" },
      "TaskLimits: heartbeat is 2s. It must be a duration from 1ms to 1s."
    ]
  ]
  for (const [options, message] of refused) {
    it.effect(`refuses with a one-line message: ${message}`, () =>
      Effect.gen(function*() {
        assert.strictEqual((yield* Effect.flip(read(options))).message, message)
      }))
  }
})

describe("bounds of one task (P11)", () => {
  it.effect("P4: a task whose log reaches its limit ends with LogTooLarge, and its text is kept", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const agent = make("talks on", (_, emit) => Effect.forever(emit([text("x".repeat(1_000))])))
      const { manager } = yield* startProcess(both, [agent], { logBytes: 20_000 })
      const { id } = yield* manager.start({ message: "x" })
      yield* untilEnded(both, id)
      const log = yield* checkEnded(both, id)
      const last = log[log.length - 1]?.event
      assert.isTrue(last?.type === "error" && last.error === "LogTooLarge")
      assert.strictEqual(log.filter(({ event }) => event.type === "message").length, 1)
    }))

  it.effect("P4, P7: a cancelled task keeps all of its text, also if the text needs several events", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const begun = Latch.makeUnsafe(false)
      // The chunk has a surrogate pair, which must not be cut, and characters that are longer in JSON.
      const chunk = "\u0001😀\"".repeat(100)
      const agent = make("talks", (_, emit) =>
        Effect.gen(function*() {
          for (let i = 0; i < 20; i++) yield* emit([text(chunk)])
          yield* begun.open
          return yield* Effect.never
        }))
      const { manager } = yield* startProcess(both, [agent], { eventBytes: 3_000 })
      const { id } = yield* manager.start({ message: "x" })
      yield* begun.await
      const cancelling = yield* Effect.forkChild(manager.cancel(id))
      yield* untilEnded(both, id)
      assert.strictEqual((yield* Fiber.join(cancelling)).status, "cancelled")
      const kept = (yield* checkEnded(both, id)).flatMap(({ event }) => event.type === "message" ? [event] : [])
      assert.isAbove(kept.length, 1)
      for (const event of kept) assert.isAtMost(JSON.stringify(event).length, 3_000)
      const parts = kept.flatMap(({ message }) =>
        message.content.flatMap((part) => part.type === "text" ? [part.text] : [])
      )
      assert.strictEqual(parts.join(""), chunk.repeat(20))
      for (const part of parts) assert.isTrue(part.isWellFormed())
    }))

  it.effect("an agent that emits 200,000 events at once does not affect other tasks", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const many = make("emits all at once", (_, emit) => {
        const [first, ...rest] = Array.from({ length: 200_000 }, () => text("x"))
        return first === undefined
          ? Effect.succeed({ usage: zero })
          : Effect.as(emit([first, ...rest]), { usage: zero })
      })
      const few = make("few", (_, emit) => Effect.as(emit([text("x")]), { usage: zero }))
      const { manager } = yield* startProcess(both, [many, few])
      const a = yield* manager.start({ message: "x" })
      yield* untilEnded(both, a.id)
      const b = yield* manager.start({ message: "x", agentId: few.agentId })
      assert.strictEqual((yield* untilEnded(both, b.id)).status, "completed")
    }))

  it.effect("a task whose deadline passes while it has no owner does not run again", () =>
    Effect.gen(function*() {
      const both = yield* shared
      let entered = 0
      const agent = make("waits", () => Effect.andThen(Effect.sync(() => entered++), Effect.never))
      const a = yield* startProcess(both, [agent], { taskTimeout: Duration.minutes(1) })
      const { id } = yield* a.manager.start({ message: "x" })
      yield* settle
      yield* a.terminate
      yield* TestClock.adjust("2 minutes")
      const b = yield* startProcess(both, [agent], { taskTimeout: Duration.minutes(1) })
      yield* untilEnded(both, id)
      const last = (yield* checkEnded(both, id)).at(-1)?.event
      assert.isTrue(last?.type === "error" && last.error === "DeadlineExceeded")
      assert.strictEqual(entered, 1)
      yield* b.terminate
    }))

  it.effect("the timeout of an agent counts from the first claim, and `taskTimeout` of the process limits it", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const timed = (name: string, timeout: Duration.Input) => ({
        ...make(name, () => Effect.never),
        timeout: Duration.fromInputUnsafe(timeout)
      })
      const agents = [timed("short", "1 minute"), timed("long", "1 hour")] as const
      const a = yield* startProcess(both, agents, { taskTimeout: Duration.minutes(2) })
      const [short, long] = yield* Effect.all(
        agents.map(({ agentId }) => a.manager.start({ message: "x", agentId }))
      )
      yield* settle
      yield* TestClock.adjust("40 seconds")
      yield* a.terminate
      const b = yield* startProcess(both, agents, { taskTimeout: Duration.minutes(2) })
      const detailOf = Effect.fnUntraced(function*(task: typeof short) {
        assert.isDefined(task)
        yield* untilEnded(both, task.id, 90)
        const last = (yield* checkEnded(both, task.id)).at(-1)?.event
        return last?.type === "error" ? `${last.error}: ${last.detail}` : last?.type
      })
      assert.strictEqual(yield* detailOf(short), "DeadlineExceeded: The task did not end within 1m.")
      // The minute counts from the first claim, not from the second.
      assert.isBelow(yield* Clock.currentTimeMillis, 62_000)
      assert.strictEqual(yield* detailOf(long), "DeadlineExceeded: The task did not end within 2m.")
      yield* b.terminate
    }))
})

describe("capacity of a process (P11)", () => {
  it.effect("P10: a process with capacity 0 accepts and reads tasks, and claims and executes none", () =>
    Effect.gen(function*() {
      const both = yield* shared
      let runs = 0
      const agent = make("agent", () =>
        Effect.suspend(() => {
          runs++
          return runs === 1 ? Effect.never : Effect.succeed({ usage: zero })
        }))
      const owner = yield* startProcess(both, [agent])
      const orphan = yield* owner.manager.start({ message: "x" })
      yield* settle
      owner.line.cut()
      const idle = yield* startProcess(both, [agent], { capacity: 0 })
      const queued = yield* idle.manager.start({ message: "x" })
      yield* TestClock.adjust("1 hour")
      yield* settle
      assert.strictEqual(runs, 1)
      assert.deepInclude(yield* idle.manager.get(orphan.id), { status: "running", attempt: 1 })
      assert.deepInclude(yield* idle.manager.get(queued.id), { status: "queued", attempt: 0 })
      const called = new Set(idle.line.names)
      for (const name of ["claim", "unowned", "append", "finish", "release", "prune"]) {
        assert.isFalse(called.has(name), name)
      }
      yield* startProcess(both, [agent])
      assert.strictEqual((yield* untilEnded(both, orphan.id)).status, "completed")
      assert.strictEqual((yield* untilEnded(both, queued.id)).status, "completed")
    }))

  it.effect("a task that waited for several decisions takes only one place afterwards", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const block = { release: Latch.makeUnsafe(false), active: Ref.makeUnsafe(0) }
      const calls = ["t1", "t2", "t3"]
      const asks = make("asks", ({ awaitDecision }, emit) =>
        Effect.forEach(calls, (toolCallId) =>
          Effect.andThen(
            emit([{ type: "tool_approval", tool: "rm", toolCallId, args: {} }]),
            awaitDecision(toolCallId)
          ), { concurrency: "unbounded" }).pipe(Effect.as({ usage: zero })))
      const { manager } = yield* startProcess(both, [asks, blocking(block.release, block.active)], { capacity: 2 })
      const { id } = yield* manager.start({ message: "x" })
      yield* settle
      for (const call of calls) yield* manager.decide(id, call, { approved: true })
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
      yield* checkCapacity(manager, both, block, 2)
    }))

  /** An agent with three calls: t1 and t3 wait for decisions and then run until `executes`; t2 runs until `works`. */
  const asksAndWorks = (works: Latch.Latch, executes: Latch.Latch) =>
    make("asks and works", ({ awaitDecision }, emit) => {
      const call = (toolCallId: string) => ({ tool: "rm", toolCallId, args: {} })
      const execute = (id: string, work: Latch.Latch) =>
        emit([{ type: "tool_call", ...call(id), status: "executing" }]).pipe(
          Effect.andThen(work.await),
          Effect.andThen(emit([{ type: "tool_result", tool: "rm", toolCallId: id, result: 1, status: "completed" }]))
        )
      const ask = (id: string) => Effect.andThen(emit([{ type: "tool_approval", ...call(id) }]), awaitDecision(id))
      const part = (id: string) => ({ type: "tool_call" as const, ...call(id) })
      const content = [part("t1"), part("t2"), part("t3")]
      return emit([{ type: "message", message: { role: "assistant", content }, usage: zero }]).pipe(
        Effect.andThen(Effect.all([
          Effect.andThen(ask("t1"), execute("t1", executes)),
          execute("t2", works),
          Effect.andThen(ask("t3"), execute("t3", executes))
        ], { concurrency: "unbounded" })),
        Effect.as({ usage: zero })
      )
    })

  it.effect("a task that waits for a decision keeps its place while another of its calls runs", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const block = { release: Latch.makeUnsafe(false), active: Ref.makeUnsafe(0) }
      const works = Latch.makeUnsafe(false)
      const executes = Latch.makeUnsafe(false)
      const agents = [asksAndWorks(works, executes), blocking(block.release, block.active)] as const
      const { manager } = yield* startProcess(both, agents, { capacity: 1 })
      const startBlocking = manager.start({ message: "x", agentId: AgentId.make("blocking") })
      /** The number of other tasks that have begun. */
      const begun = Effect.andThen(adjust("5 seconds"), Ref.get(block.active))
      const { id } = yield* manager.start({ message: "x" })
      yield* settle
      const one = yield* startBlocking
      assert.strictEqual(yield* begun, 0, "t2 works")
      yield* works.open
      assert.strictEqual(yield* begun, 1, "t1 and t3 wait")
      yield* block.release.open
      yield* untilEnded(both, one.id)
      block.release.closeUnsafe()
      yield* manager.decide(id, "t1", { approved: true })
      yield* settle
      const two = yield* startBlocking
      assert.strictEqual(yield* begun, 1, "t1 works, t3 waits")
      yield* executes.open
      assert.strictEqual(yield* begun, 2, "t3 waits")
      yield* manager.decide(id, "t3", { approved: true })
      yield* block.release.open
      for (const task of [{ id }, two]) assert.strictEqual((yield* untilEnded(both, task.id)).status, "completed")
      block.release.closeUnsafe()
      yield* Ref.set(block.active, 0)
      yield* checkCapacity(manager, both, block, 1)
    }))

  it.effect("a task that is cancelled while it waits for a place again takes no place", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const block = { release: Latch.makeUnsafe(false), active: Ref.makeUnsafe(0) }
      const holds = Latch.makeUnsafe(false)
      const holder = make("holds", () => Effect.as(holds.await, { usage: zero }))
      const agents = [asks, blocking(block.release, block.active), holder] as const
      const { manager } = yield* startProcess(both, agents, { capacity: 1 })
      const asking = yield* manager.start({ message: "x" })
      yield* settle
      const holding = yield* manager.start({ message: "x", agentId: AgentId.make("holds") })
      yield* settle
      yield* manager.decide(asking.id, "t1", { approved: true })
      yield* settle
      const cancelling = yield* Effect.forkChild(manager.cancel(asking.id))
      yield* untilEnded(both, asking.id)
      assert.strictEqual((yield* Fiber.join(cancelling)).status, "cancelled")
      yield* holds.open
      yield* untilEnded(both, holding.id)
      yield* checkCapacity(manager, both, block, 1)
    }))

  it.effect("P11: tasks that wait for a decision count as waiting, until they go on or end", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const { manager } = yield* startProcess(both, [asks], { capacity: 1, waiting: 2 })
      const start = Effect.tap(manager.start({ message: "x" }), settle)
      const one = yield* start
      const two = yield* start
      assert.deepStrictEqual(yield* Effect.flip(start), new CapacityExceeded({ limit: 2 }))
      yield* manager.cancel(one.id)
      const three = yield* start
      assert.deepStrictEqual(yield* Effect.flip(start), new CapacityExceeded({ limit: 2 }))
      yield* manager.decide(two.id, "t1", { approved: true })
      yield* untilEnded(both, two.id)
      yield* start
      assert.strictEqual((yield* manager.get(three.id)).status, "running")
    }))

  it.effect("tasks that are cancelled while they wait for a place no longer count as waiting", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const agent = make("holds", () => Effect.never)
      const { manager } = yield* startProcess(both, [agent], { capacity: 1, waiting: 2 })
      for (let i = 0; i < 4; i++) {
        const { id } = yield* manager.start({ message: "x" })
        yield* settle
        if (i > 0) assert.strictEqual((yield* manager.cancel(id)).status, "cancelled")
      }
    }))
})
