/**
 * The contract of the records of tasks: their times, their lists and their numbers.
 */
import { assert } from "@effect/vitest"
import { AgentId, childTaskId, tasksBelow } from "@perennial/domain/Ids"
import type { NewTask } from "@perennial/domain/TaskBackend"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { DateTime, Effect, Struct } from "effect"
import { TestClock } from "effect/testing"
import {
  alice,
  begin,
  bob,
  claim,
  conversationId,
  end,
  failure,
  newTask,
  reject,
  runnerA,
  stored,
  taskId,
  type Test,
  text
} from "./contractTask.ts"

type Filter = Omit<Parameters<TaskBackend["Service"]["list"]>[0], "userId" | "limit">

const other = AgentId.make("other")
const inConversation = (id: string, change: Partial<NewTask> = {}) => ({
  conversationId: conversationId(id),
  ...change
})
const waiting = {
  waiting: [{ toolCallId: "call", tool: "pay", seq: 2, askedAt: DateTime.makeUnsafe(1_000) }]
}

const ids = (filter: Filter = {}, limit = 100) =>
  Effect.flatMap(
    TaskBackend,
    (backend) => Effect.map(backend.list({ userId: alice, limit, ...filter }), (tasks) => tasks.map(({ id }) => id))
  )

/** Alice's: t1 has ended, t2 failed, t3 waits, t4 runs and waited before, t5 is queued. t2, t4 and t5 are the other agent's. */
const fill = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const ask = (id: string, owner: Effect.Success<ReturnType<typeof begin>>) =>
    backend.append([{ claim: owner, events: stored(2, text(id, "x")), summary: waiting }])
  yield* end(yield* begin("t1", inConversation("c1")))
  yield* end(yield* begin("t2", inConversation("c2", { agentId: other })), failure("t2"))
  yield* ask("t3", yield* begin("t3", inConversation("c3")))
  const t4 = yield* begin("t4", inConversation("c1", { agentId: other }))
  yield* ask("t4", t4)
  yield* backend.append([{ claim: t4, events: stored(3, text("t4", "x")), summary: {} }])
  yield* backend.create(newTask("t5", inConversation("c5", { agentId: other })), reject)
  yield* ask("t6", yield* begin("t6", inConversation("c6", { userId: bob })))
})

export const define = (test: Test): void => {
  test(
    "a task shows when it was taken up for the first time, and when it ended",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const times = Effect.map(
        backend.get(taskId("t1")),
        ({ endedAt, startedAt }) => [startedAt?.epochMilliseconds, endedAt?.epochMilliseconds]
      )
      yield* backend.create(newTask("t1"), reject)
      assert.deepStrictEqual(yield* times, [undefined, undefined])
      const { startedAt, ...first } = yield* claim("t1")
      assert.deepStrictEqual(yield* times, [startedAt, undefined])
      yield* backend.release(first)
      yield* TestClock.adjust("1 second")
      const second = yield* claim("t1", runnerA, 1)
      assert.deepStrictEqual(yield* times, [startedAt, undefined])
      yield* end(second)
      const [begunAt, endedAt] = yield* times
      assert.strictEqual(begunAt, startedAt)
      assert.isAtLeast(endedAt ?? 0, second.now)
      yield* backend.create(newTask("t2"), reject)
      yield* backend.putIntent(taskId("t2"), { key: "cancel", value: {} })
      const unbegun = yield* backend.get(taskId("t2"))
      assert.notProperty(unbegun, "startedAt")
      assert.isAtLeast(unbegun.endedAt?.epochMilliseconds ?? 0, endedAt ?? 0)
    })
  )

  test(
    "lists and numbers leave child tasks out where they are asked to, and a list has the tasks below a task",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const parent = taskId("t1")
      const first = childTaskId(parent, 1)
      const below = childTaskId(first, 1)
      const second = childTaskId(parent, 2)
      yield* begin(parent)
      const spec = { parent: { taskId: parent, toolCallId: "call-1", seq: 4 } }
      yield* end(yield* begin(first, inConversation("~1", { spec })))
      const asking = yield* begin(below, inConversation("~2"))
      yield* backend.append([{ claim: asking, events: stored(2, text(below, "x")), summary: waiting }])
      yield* backend.create(newTask(second, inConversation("~3")), reject)
      yield* backend.create(newTask("t2", inConversation("c2")), reject)
      const cases: ReadonlyArray<readonly [Filter, ReadonlyArray<string>]> = [
        [{}, ["t2", second, below, first, "t1"]],
        [{ withoutChildren: true }, ["t2", "t1"]],
        [{ withoutChildren: true, status: ["queued"] }, ["t2"]],
        [{ withoutChildren: true, waiting: true }, []],
        [{ waiting: true }, [below]],
        [tasksBelow(parent), [second, below, first]],
        [tasksBelow(first), [below]],
        [tasksBelow(second), []]
      ]
      for (const [filter, expected] of cases) {
        assert.deepStrictEqual<ReadonlyArray<string>>(yield* ids(filter), expected)
        assert.deepStrictEqual<ReadonlyArray<string>>(yield* ids(filter, 1), expected.slice(0, 1))
      }
      const counts = (withoutChildren: boolean) =>
        Effect.map(
          backend.counts({ userId: alice, withoutChildren }),
          Struct.pick(["queued", "running", "completed", "waiting"])
        )
      assert.deepStrictEqual(yield* counts(false), { queued: 2, running: 2, completed: 1, waiting: 1 })
      assert.deepStrictEqual(yield* counts(true), { queued: 1, running: 1, completed: 0, waiting: 1 })
      assert.deepStrictEqual((yield* backend.get(first)).parent, spec.parent)
      assert.notProperty(yield* backend.get(parent), "parent")
    })
  )

  test(
    "lists have the tasks that all filters select, newest or oldest first, in pages",
    Effect.gen(function*() {
      yield* fill
      const cases: ReadonlyArray<readonly [Filter, ReadonlyArray<string>]> = [
        [{}, ["t5", "t4", "t3", "t2", "t1"]],
        [{ agentId: other }, ["t5", "t4", "t2"]],
        [{ agentId: other, status: ["error", "queued"] }, ["t5", "t2"]],
        [{ agentId: other, conversationId: conversationId("c1") }, ["t4"]],
        [{ agentId: AgentId.make("none") }, []],
        [{ waiting: true }, ["t3"]],
        [{ waiting: true, agentId: other }, []],
        [{ waiting: true, status: ["queued"] }, []],
        [{ waiting: true, conversationId: conversationId("c3") }, ["t3"]],
        [{ waiting: true, conversationId: conversationId("c6") }, []],
        [{ waiting: false, status: ["running"] }, ["t4", "t3"]],
        [{ before: taskId("t5"), after: taskId("t2") }, ["t4", "t3"]]
      ]
      for (const [filter, expected] of cases) {
        assert.deepStrictEqual<ReadonlyArray<string>>(yield* ids(filter), expected)
        const oldest = { ...filter, order: "oldest" as const }
        assert.deepStrictEqual<ReadonlyArray<string>>(yield* ids(oldest), expected.toReversed())
        const pages: Array<string> = []
        for (let after = filter.after;; after = taskId(pages.at(-1) ?? "")) {
          const page = yield* ids({ ...oldest, after }, 2)
          pages.push(...page)
          if (page.length < 2) break
        }
        assert.deepStrictEqual(pages, expected.toReversed())
      }
    })
  )

  test(
    "a task that has ended, and a task that was deleted, waits for nobody and is not listed",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      yield* backend.append([{ claim: owner, events: stored(2, text("t1", "x")), summary: waiting }])
      assert.deepStrictEqual(yield* ids({ waiting: true }), [taskId("t1")])
      yield* end(owner)
      assert.deepStrictEqual(yield* ids({ waiting: true }), [])
      assert.deepStrictEqual(yield* ids({ agentId: owner.agentId }), [taskId("t1")])
      yield* backend.deleteConversation(owner)
      assert.deepStrictEqual(yield* ids({ agentId: owner.agentId }), [])
    })
  )

  test(
    "P12: counts are of the user's tasks, of all of them, of a conversation or of an agent",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const none = { queued: 0, running: 0, completed: 0, error: 0, cancelled: 0, waiting: 0 }
      assert.deepStrictEqual(yield* backend.counts({ userId: alice }), none)
      yield* fill
      const counts = (filter: Omit<Parameters<typeof backend.counts>[0], "userId">, userId = alice) =>
        backend.counts({ userId, ...filter })
      assert.deepStrictEqual(yield* counts({}), { ...none, queued: 1, running: 2, completed: 1, error: 1, waiting: 1 })
      assert.deepStrictEqual(yield* counts({ agentId: other }), { ...none, queued: 1, running: 1, error: 1 })
      const c1 = conversationId("c1")
      assert.deepStrictEqual(yield* counts({ conversationId: c1 }), { ...none, running: 1, completed: 1 })
      assert.deepStrictEqual(yield* counts({ conversationId: c1, agentId: other }), { ...none, running: 1 })
      assert.deepStrictEqual(yield* counts({}, bob), { ...none, running: 1, waiting: 1 })
      assert.deepStrictEqual(yield* counts({ conversationId: c1 }, bob), none)
    })
  )
}
