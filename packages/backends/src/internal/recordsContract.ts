/**
 * The contract of the records of all users' tasks, of throughput and of runners.
 */
import { assert } from "@effect/vitest"
import { AgentId, type RunnerId } from "@perennial/domain/Ids"
import { type NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskRecord } from "@perennial/domain/TaskRecords"
import { DateTime, Duration, Effect, Schema, Struct } from "effect"
import { TestClock } from "effect/testing"
import {
  alice,
  begin,
  bob,
  claim,
  conversationId,
  die,
  end,
  failure,
  live,
  newTask,
  reject,
  runnerA,
  runnerB,
  stored,
  taskId,
  type Test,
  text,
  wholeSpec
} from "./contractTask.ts"

type Filter = Omit<Parameters<TaskBackend["Service"]["records"]>[0], "limit">

const encode = Schema.encodeEffect(Schema.toCodecJson(Schema.Array(TaskRecord)))

const other = AgentId.make("other")
const waiting = {
  waiting: [{ toolCallId: "secret-call", tool: "secret-tool", seq: 2, askedAt: DateTime.makeUnsafe(1_000) }],
  title: "a secret title",
  usage: { requests: 1, inputTokens: 2, cacheReadTokens: 0, cacheWriteTokens: 0, outputTokens: 3, reasoningTokens: 0 }
}
const own = (id: string, change: Partial<NewTask> = {}) =>
  newTask(id, { conversationId: conversationId(`c-${id}`), ...change })

/** Accepts a task and claims it for a runner. */
const run = Effect.fnUntraced(function*(id: string, runner: RunnerId, change: Partial<NewTask> = {}) {
  const backend = yield* TaskBackend
  yield* backend.create(own(id, change), reject)
  return yield* claim(id, runner)
})

/** t1 and t2 have ended; t3 waits on runner A, t4 runs on runner B; t5 is queued. t2, t4 and t5 are Bob's; t2 and t3 of the other agent. */
const fill = Effect.gen(function*() {
  const backend = yield* TaskBackend
  yield* end(yield* run("t1", runnerA))
  yield* end(yield* run("t2", runnerA, { userId: bob, agentId: other }), failure("t2", "a secret detail"))
  const t3 = yield* run("t3", runnerA, { agentId: other, spec: wholeSpec })
  yield* backend.append([{ claim: t3, events: stored(2, text("t3", "secret")), summary: waiting }])
  yield* run("t4", runnerB, { userId: bob })
  yield* backend.create(own("t5", { userId: bob }), reject)
})

const ids = (filter: Filter = {}, limit = 100) =>
  Effect.flatMap(
    TaskBackend,
    (backend) => Effect.map(backend.records({ limit, ...filter }), (records) => records.map(({ id }) => String(id)))
  )

const lastMinute = (userId?: typeof alice) =>
  Effect.flatMap(TaskBackend, (backend) =>
    Effect.map(backend.throughput({ userId }), ({ minutes }) => {
      assert.strictEqual(minutes.length, 60)
      const sum = { started: 0, completed: 0, error: 0, cancelled: 0 }
      for (const { at: _, ...numbers } of minutes) {
        for (const name of Struct.keys(sum)) sum[name] += numbers[name]
      }
      return sum
    }))

export const define = (test: Test): void => {
  test(
    "records are of all users, or of a user, a conversation, an agent or a runner, newest or oldest first, in pages",
    Effect.gen(function*() {
      yield* fill
      const cases: ReadonlyArray<readonly [Filter, ReadonlyArray<string>]> = [
        [{}, ["t5", "t4", "t3", "t2", "t1"]],
        [{ userId: bob }, ["t5", "t4", "t2"]],
        [{ agentId: other }, ["t3", "t2"]],
        [{ agentId: other, userId: bob }, ["t2"]],
        [{ status: ["completed", "error"] }, ["t2", "t1"]],
        [{ agentId: other, status: ["running"] }, ["t3"]],
        [{ status: [] }, []],
        [{ waiting: true }, ["t3"]],
        [{ waiting: true, userId: bob }, []],
        [{ waiting: true, agentId: other, status: ["running"] }, ["t3"]],
        [{ conversationId: conversationId("c-t3") }, ["t3"]],
        [{ conversationId: conversationId("c-t3"), userId: bob }, []],
        [{ conversationId: conversationId("c-none") }, []],
        [{ before: taskId("t5"), after: taskId("t2") }, ["t4", "t3"]],
        [{ runner: runnerA }, ["t3"]],
        [{ runner: runnerB, status: ["running", "queued"] }, ["t4"]],
        [{ runner: runnerB, userId: alice }, []],
        [{ runner: runnerA, waiting: true, agentId: other, before: taskId("t4") }, ["t3"]],
        [{ runner: runnerA, before: taskId("t3") }, []]
      ]
      for (const [filter, expected] of cases) {
        assert.deepStrictEqual(yield* ids(filter), expected, JSON.stringify(filter))
        const oldest = { ...filter, order: "oldest" as const }
        const pages: Array<string> = []
        for (let after = filter.after;; after = taskId(pages.at(-1) ?? "")) {
          const page = yield* ids({ ...oldest, after }, 2)
          pages.push(...page)
          if (page.length < 2) break
        }
        assert.deepStrictEqual(pages, expected.toReversed(), JSON.stringify(filter))
      }
    })
  )

  test(
    "P12: a record says who, when, where and how, and nothing of what a task is about",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* fill
      const [, t4, t3, t2, t1] = yield* backend.records({ limit: 100 })
      const task = yield* backend.get(taskId("t3"))
      assert.deepStrictEqual(
        t3,
        {
          ...Struct.pick(task, [
            "id",
            "conversationId",
            "agentId",
            "status",
            "attempt",
            "lastSeq",
            "createdAt",
            "updatedAt"
          ]),
          ...(task.startedAt && { startedAt: task.startedAt }),
          userId: alice,
          runner: runnerA,
          waitingSince: DateTime.makeUnsafe(1_000),
          usage: waiting.usage
        }
      )
      assert.deepStrictEqual([t4?.userId, t4?.runner], [bob, runnerB])
      assert.deepStrictEqual([t2?.status, t2?.error, t1?.error], ["error", { code: "Broken" }, undefined])
      assert.notProperty(t1, "runner")
      const all = JSON.stringify(yield* encode(yield* backend.records({ limit: 100 })))
      assert.notInclude(all, "secret")
      assert.notInclude(all, "plan")
    })
  )

  test(
    "records are counted for all users, a user, a conversation and an agent; deleted tasks are not there",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const none = { queued: 0, running: 0, completed: 0, error: 0, cancelled: 0, waiting: 0 }
      assert.deepStrictEqual(yield* backend.countRecords({}), none)
      yield* fill
      const all = { ...none, queued: 1, running: 2, completed: 1, error: 1, waiting: 1 }
      assert.deepStrictEqual(yield* backend.countRecords({}), all)
      assert.deepStrictEqual(yield* backend.countRecords({ userId: bob }), { ...none, queued: 1, running: 1, error: 1 })
      assert.deepStrictEqual(yield* backend.countRecords({ agentId: other }), {
        ...none,
        running: 1,
        error: 1,
        waiting: 1
      })
      const conversation = { conversationId: conversationId("c-t3") }
      assert.deepStrictEqual(yield* backend.countRecords(conversation), { ...none, running: 1, waiting: 1 })
      assert.deepStrictEqual(yield* backend.countRecords({ ...conversation, userId: bob }), none)
      yield* backend.deleteConversation({ conversationId: conversationId("c-t2"), userId: bob })
      assert.deepStrictEqual(yield* backend.countRecords({}), { ...all, error: 0 })
      assert.deepStrictEqual(yield* ids({ agentId: other }), ["t3"])
      assert.deepStrictEqual(yield* lastMinute(), { started: 3, completed: 1, error: 0, cancelled: 0 })
      yield* die(runnerA)
      yield* end(yield* claim("t3", runnerB, 1))
      assert.deepStrictEqual(yield* ids({ waiting: true }), [])
    })
  )

  test(
    "the throughput counts each beginning and each end once, of all users and of a user",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      assert.deepStrictEqual(yield* lastMinute(), { started: 0, completed: 0, error: 0, cancelled: 0 })
      yield* fill
      yield* backend.putIntent(taskId("t5"), { key: "cancel", value: {} })
      // A second claim of a task is no beginning.
      yield* die(runnerB)
      yield* claim("t4", runnerA, 1)
      assert.deepStrictEqual(yield* lastMinute(), { started: 4, completed: 1, error: 1, cancelled: 1 })
      assert.deepStrictEqual(yield* lastMinute(bob), { started: 2, completed: 0, error: 1, cancelled: 1 })
      assert.deepStrictEqual(yield* lastMinute(alice), { started: 2, completed: 1, error: 0, cancelled: 0 })
    })
  )

  test(
    "runners are the processes with a lease, with what they say about themselves and how much they run",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      assert.deepStrictEqual(yield* backend.runners({ limit: 10 }), [])
      yield* fill
      const about = { version: "1.2.3", capacity: 5, agents: [other] }
      yield* backend.heartbeat(runnerA, Duration.hours(2), about)
      const [a, b, ...none] = yield* backend.runners({ limit: 10 })
      assert.deepStrictEqual(none, [])
      assert.deepInclude(a, { id: runnerA, running: 1, waiting: 1, ...about })
      assert.deepInclude(b, { id: runnerB, running: 1, waiting: 0 })
      assert.notProperty(b, "version")
      const [since = 0, renewed = 0, expires = 0] = [a?.since, a?.renewedAt, a?.expiresAt].map((at) =>
        at?.epochMilliseconds
      )
      assert.isAtMost(since, renewed)
      assert.strictEqual(expires - renewed, 2 * 3_600_000)
      assert.deepStrictEqual((yield* backend.runners({ limit: 1 })).map(({ id }) => id), [runnerA])
      yield* die(runnerA)
      assert.deepStrictEqual((yield* backend.runners({ limit: 10 })).map(({ id }) => id), [runnerB])
      yield* live(runnerA)
      const [again] = yield* backend.runners({ limit: 1 })
      assert.notProperty(again, "version")
      assert.isAtLeast(again?.since?.epochMilliseconds ?? 0, renewed)
    })
  )
}

/** With a clock that tests control. */
export const defineClock = (test: Test): void => {
  test(
    "the throughput has a number for each of the last 60 minutes",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const first = yield* begin("t1")
      yield* TestClock.adjust("5 minutes")
      yield* end(first)
      yield* end(yield* begin("t2"))
      const shown = Effect.map(
        backend.throughput({}),
        ({ minutes }) =>
          minutes.flatMap(({ at, ...numbers }, i) =>
            numbers.started + numbers.completed === 0
              ? []
              : [[i, at.epochMilliseconds, numbers.started, numbers.completed]]
          )
      )
      assert.deepStrictEqual(yield* shown, [[54, 0, 1, 0], [59, 300_000, 1, 2]])
      yield* TestClock.adjust("55 minutes")
      assert.deepStrictEqual(yield* shown, [[4, 300_000, 1, 2]])
      yield* TestClock.adjust("5 minutes")
      assert.deepStrictEqual(yield* shown, [])
    })
  )
}
