import { assert, describe, it } from "@effect/vitest"
import { type Agent, make } from "@perennial/domain/Agent"
import { AgentId, ConversationId, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { zero } from "@perennial/domain/Usage"
import { Duration, Effect, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import { message } from "./support/agents.ts"
import { checkEnded, joinInTime, settle, stepping, untilEnded } from "./support/invariants.ts"
import { type Process, shared, startProcess, type Store } from "./support/processes.ts"

const answering = (agentId: string) =>
  make(agentId, (_, emit) => Effect.as(emit([message(`${agentId} answers`)]), { usage: zero }))

/** An agent that never ends its first attempt, and answers in the next one. */
const resuming = (agentId: string) =>
  make(
    agentId,
    ({ task }, emit) =>
      task.attempt === 1 ? Effect.never : Effect.as(emit([message(`${agentId} goes on`)]), { usage: zero })
  )

const older = answering("older")
const newer = resuming("newer")

const claims = ({ line }: Process) => line.names.filter((name) => name === "claim").length

const pass = Effect.fnUntraced(function*(time: Duration.Input) {
  yield* settle
  yield* TestClock.adjust(time)
  yield* settle
})

/** Stores a task that no process has claimed. */
const accept = ({ backend, store }: Store, id: string, agentId: string) => {
  const [taskId, conversationId, userId] = [TaskId.make(id), ConversationId.make(id), UserId.make("local")] as const
  return Effect.andThen(
    store.create({ id: conversationId, userId }),
    backend.create(
      { id: taskId, conversationId, userId, agentId: AgentId.make(agentId), input: userText("x"), spec: {} },
      { onBusy: "reject", maxQueued: 0 }
    )
  )
}

describe("a process without the agent of a task (P8)", () => {
  it.effect("leaves the task of a dead owner to a process with the agent", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const a = yield* startProcess(both, [newer, older])
      const b = yield* startProcess(both, [older])
      const { id } = yield* a.manager.start({ message: "x" })
      yield* settle
      a.line.cut()
      yield* pass("1 minute")
      assert.deepInclude(yield* both.backend.get(id), { status: "running", attempt: 1 })
      assert.strictEqual(claims(b), 0)
      yield* startProcess(both, [older, newer])
      assert.deepInclude(yield* untilEnded(both, id), { status: "completed", attempt: 2 })
      yield* checkEnded(both, id)
    }))

  it.effect("does not claim a task that was handed over, or a task without an attempt", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const a = yield* startProcess(both, [newer])
      const { id } = yield* a.manager.start({ message: "x" })
      yield* settle
      yield* a.terminate
      const { task } = yield* accept(both, "t1", "newer")
      const b = yield* startProcess(both, [older])
      yield* pass("1 minute")
      assert.strictEqual(claims(b), 0)
      yield* startProcess(both, [newer])
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
      yield* pass("1 second")
      assert.strictEqual((yield* both.backend.get(task.id)).status, "running")
    }))

  it.effect("runs tasks of its own agents, although many older tasks of other agents wait", () =>
    Effect.gen(function*() {
      const both = yield* shared
      for (let i = 0; i < 20; i++) yield* accept(both, `foreign-${i}`, "newer")
      const { task } = yield* accept(both, "own", "older")
      const b = yield* startProcess(both, [older], { capacity: 1 })
      assert.strictEqual((yield* untilEnded(both, task.id)).status, "completed")
      assert.strictEqual(claims(b), 1)
    }))

  it.effect("does not claim the next task of a conversation after the end of its own task", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const release = Latch.makeUnsafe(false)
      const first = make("older", () => Effect.as(release.await, { usage: zero }))
      const a = yield* startProcess(both, [answering("newer")])
      const b = yield* startProcess(both, [first])
      const { conversationId } = yield* b.manager.start({ message: "x" })
      yield* settle
      const { id } = yield* a.manager.start({ message: "y", conversationId, onBusy: "enqueue" })
      yield* release.open
      yield* settle
      assert.strictEqual((yield* both.backend.get(id)).status, "queued")
      assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
      assert.strictEqual(claims(b), 1)
    }))

  it.effect("does not claim the next task of a conversation after it has cancelled the head", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const { task } = yield* accept(both, "t1", "newest")
      const b = yield* startProcess(both, [older])
      const a = yield* startProcess(both, [answering("newer")])
      const next = yield* a.manager.start({
        message: "y",
        conversationId: task.conversationId,
        onBusy: "enqueue"
      })
      yield* settle
      assert.strictEqual((yield* b.manager.cancel(task.id)).status, "cancelled")
      yield* settle
      assert.strictEqual((yield* both.backend.get(next.id)).status, "queued")
      assert.strictEqual((yield* untilEnded(both, next.id)).status, "completed")
      assert.strictEqual(claims(b), 0)
    }))

  it.effect("does not claim a task that a repeated start returns", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const again = { message: "x", conversationId: ConversationId.make("c1"), idempotencyKey: "key" }
      // Process `a` has no place for the task.
      const a = yield* startProcess(both, [newer], { capacity: 0 })
      const { id } = yield* a.manager.start(again)
      const b = yield* startProcess(both, [older])
      assert.strictEqual((yield* b.manager.start(again)).id, id)
      yield* pass("5 seconds")
      assert.deepInclude(yield* both.backend.get(id), { status: "queued", agentId: AgentId.make("newer") })
      assert.strictEqual(claims(b), 0)
    }))

  it.effect("P7: cancels a task whose owner is dead", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const a = yield* startProcess(both, [newer])
      const b = yield* startProcess(both, [older])
      const { id } = yield* a.manager.start({ message: "x" })
      yield* settle
      a.line.cut()
      yield* pass("1 minute")
      // The first read of the intents fails. The task must not end in another way then.
      let refused = 0
      b.line.fault = () => b.line.names.at(-1) === "intents" && ++refused === 1 ? "refused" : undefined
      const cancelling = yield* Effect.forkChild(b.manager.cancel(id))
      assert.strictEqual((yield* joinInTime(cancelling)).status, "cancelled")
      assert.isAbove(refused, 1)
      yield* checkEnded(both, id)
    }))

  it.effect("ends a task that no process has claimed before its deadline, and frees its conversation", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const limits = { taskTimeout: Duration.hours(1) }
      const a = yield* startProcess(both, [newer], limits)
      const begun = yield* a.manager.start({ message: "x" })
      yield* settle
      yield* a.terminate
      const unbegun = (yield* accept(both, "t1", "newer")).task
      const b = yield* startProcess(both, [stepping], limits)
      yield* pass("59 minutes")
      assert.deepInclude(yield* both.backend.get(begun.id), { status: "running", attempt: 1 })
      assert.deepInclude(yield* both.backend.get(unbegun.id), { status: "queued", attempt: 0 })
      const next = yield* b.manager.start({
        message: "y",
        conversationId: begun.conversationId,
        onBusy: "enqueue"
      })
      yield* pass("2 minutes")
      for (const { id } of [begun, unbegun]) {
        const last = (yield* checkEnded(both, id)).at(-1)?.event
        assert.deepInclude(last, { type: "error", error: "AgentNotFound", retryable: false })
        const { error } = yield* both.backend.get(id)
        assert.strictEqual(error?.code, "AgentNotFound")
        assert.match(error?.detail ?? "", /agent "newer"/)
      }
      assert.strictEqual((yield* untilEnded(both, next.id)).status, "completed")
    }))

  it.effect("streams the events that another process writes", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const a = yield* startProcess(both, [newer])
      const b = yield* startProcess(both, [older])
      const { id } = yield* a.manager.start({ message: "x" })
      yield* settle
      const ended = yield* Effect.forkChild(b.manager.await(id))
      yield* settle
      yield* a.terminate
      yield* startProcess(both, [newer])
      yield* pass("10 seconds")
      assert.strictEqual((yield* Fiber.join(ended)).task.status, "completed")
    }))
})

describe("P8: an agent that is written without types ends its task at once, and is not called again", () => {
  const untyped: ReadonlyArray<readonly [string, Agent["run"], string]> = [
    ["throws when it is called", () => {
      throw new Error("a bug")
    }, "InternalError"],
    ["returns nothing", () => Effect.void as never, "InvalidEvent"],
    ["returns no usage", () => Effect.succeed({ usage: { requests: "1" } } as never), "InvalidEvent"],
    ["fails with something else", () => Effect.fail("a text" as never), "InternalError"]
  ]
  it.effect.each(untyped)("%s", ([, run, code]) =>
    Effect.gen(function*() {
      const both = yield* shared
      const { manager } = yield* startProcess(both, [make("untyped", run)])
      const { id } = yield* manager.start({ message: "x" })
      const task = yield* untilEnded(both, id)
      assert.deepStrictEqual([task.attempt, task.status, task.error?.code], [1, "error", code])
      const log = yield* checkEnded(both, id)
      const last = log.at(-1)?.event
      assert.isString(last?.type === "error" ? last.detail : undefined)
    }))
})
