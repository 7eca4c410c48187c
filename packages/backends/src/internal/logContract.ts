/**
 * The contract of the event logs: appending, ending, reading and retention.
 */
import { assert } from "@effect/vitest"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskEvent } from "@perennial/domain/TaskEvent"
import { zero } from "@perennial/domain/Usage"
import { Array, DateTime, Duration, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import {
  alice,
  begin,
  cancelled,
  claim,
  conversation,
  conversationId,
  done,
  end,
  enqueue,
  failure,
  headId,
  log,
  newTask,
  reject,
  stored,
  taskId,
  type Test,
  text,
  tryClaim,
  types,
  wholeSpec
} from "./contractTask.ts"

const wide = { limit: 1000, maxBytes: 1_000_000 }

const appending = (test: Test): void => {
  test(
    "P3: what was appended is read back as it was given",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      const raw = { type: "from_the_future", taskId: "t1", conversationId: conversation, n: [1, { two: null }] }
      const unknown: TaskEvent = { type: "unknown", raw }
      const events = stored(2, text("t1", "zero \u0000, surrogate \uD800, 🌲"), unknown, text("t1", ""))
      assert.deepStrictEqual(yield* backend.append([{ claim: owner, events }]), [{ ok: true, intents: 0 }])
      const page = yield* backend.events(taskId("t1"), { after: 1, ...wide })
      assert.deepStrictEqual(page, { events, lastSeq: 4, ended: false })
      assert.strictEqual((yield* backend.get(taskId("t1"))).lastSeq, 4)
    })
  )

  test(
    "the record of a task shows its newest summary; who may not write changes none, and an end removes what waits",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const call = { toolCallId: "call/\u0000", tool: "pay 🌲", seq: 2, askedAt: DateTime.makeUnsafe(1_000) }
      const usage = { ...zero, requests: 1, inputTokens: 12 }
      const summary = { waiting: [call], title: "A title", usage }
      const shown = (id: string) =>
        Effect.map(backend.get(taskId(id)), ({ title, usage, waiting }) => ({ title, usage, waiting }))
      const nothing = { title: undefined, usage: undefined, waiting: undefined }
      const owner = yield* begin("t1")
      const other = yield* begin("t2", { conversationId: conversationId("c2") })
      assert.notProperty(yield* backend.get(taskId("t1")), "waiting")
      yield* backend.append([
        { claim: other, events: stored(2, text("t2", "x")) },
        { claim: owner, events: stored(2, text("t1", "x")), summary }
      ])
      yield* backend.append([{ claim: owner, events: stored(3, text("t1", "y")) }])
      assert.deepStrictEqual(yield* shown("t1"), summary)
      assert.deepStrictEqual((yield* backend.get(taskId("t1"))).waitingSince, call.askedAt)
      assert.deepStrictEqual(yield* shown("t2"), nothing)
      const [listed] = yield* backend.list({
        userId: alice,
        status: ["running"],
        limit: 10,
        conversationId: conversation
      })
      assert.deepStrictEqual(listed, yield* backend.get(taskId("t1")))
      yield* backend.append([{
        claim: { ...owner, token: owner.token + 1 },
        events: stored(4, text("t1", "z")),
        summary: { title: "stale" }
      }])
      assert.deepStrictEqual(yield* shown("t1"), summary)
      yield* end(owner)
      assert.deepStrictEqual(yield* shown("t1"), { title: "A title", usage, waiting: undefined })
      yield* backend.append([{ claim: other, events: stored(3, text("t2", "x")), summary }])
      yield* backend.append([{ claim: other, events: stored(4, text("t2", "x")), summary: {} }])
      assert.deepStrictEqual(yield* shown("t2"), nothing)
    })
  )

  test(
    "a completed task has its output, also when its log is removed; a task that ended otherwise has none",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const output = { text: "zero \u0000, surrogate \uD800, 🌲", list: [1.5, null, { deep: false }] }
      const outputOf = (id: string) => Effect.map(backend.get(taskId(id)), (task) => task.output)
      const owner = yield* begin("t1")
      const other = yield* begin("t2", { conversationId: conversationId("c2") })
      yield* backend.append([
        { claim: owner, events: stored(2, text("t1", "x")), summary: { output } },
        { claim: other, events: stored(2, text("t2", "x")), summary: { output: null } }
      ])
      assert.isUndefined(yield* outputOf("t1"))
      yield* backend.finish(owner, stored(3, done("t1")))
      yield* end(other, cancelled("t2"))
      assert.deepStrictEqual(yield* outputOf("t1"), output)
      assert.notProperty(yield* backend.get(taskId("t2")), "output")
      yield* backend.prune({ finishedFor: Duration.zero, limit: 10 })
      const [listed] = yield* backend.list({ userId: alice, status: ["completed"], limit: 10 })
      assert.deepStrictEqual(listed?.output, output)
    })
  )

  test(
    "P9: one commit for many tasks; an entry that may not be written changes nothing and disturbs no other",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const c = (n: number) => ({ conversationId: conversationId(`c${n}`) })
      const good = yield* begin("t1", c(1))
      const gap = yield* begin("t2", c(2))
      const repeated = yield* begin("t3", c(3))
      const stale = yield* begin("t4", c(4))
      const over = yield* begin("t5", c(5))
      yield* end(over)
      yield* backend.putIntent(taskId("t1"), { key: "cancel", value: {} })
      const results = yield* backend.append([
        { claim: gap, events: stored(3, text("t2", "gap")) },
        { claim: good, events: stored(2, text("t1", "a"), text("t1", "b")) },
        { claim: repeated, events: stored(1, text("t3", "again")) },
        { claim: { ...stale, token: 0 }, events: stored(2, text("t4", "stale")) },
        { claim: over, events: stored(3, text("t5", "after the end")) },
        { claim: { taskId: taskId("none"), token: 1 }, events: stored(2, text("none", "nowhere")) }
      ])
      assert.deepStrictEqual(results.map((result) => result.ok), [false, true, false, false, false, false])
      assert.strictEqual(results[1]?.intents, 1)
      assert.deepStrictEqual(types(yield* log("t1")), ["ack", "text", "text"])
      for (const id of ["t2", "t3", "t4"]) assert.deepStrictEqual(types(yield* log(id)), ["ack"])
      assert.deepStrictEqual(types(yield* log("t5")), ["ack", "done"])
    })
  )

  test(
    "P4: an error with U+0000 in its detail ends its task like any other",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      const detail = "The tool said: zero \u0000, surrogate \uD800."
      yield* end(owner, failure("t1", detail))
      const { error } = yield* backend.get(taskId("t1"))
      assert.strictEqual(error?.code, "Broken")
      assert.include(error?.detail, "The tool said: zero ")
      assert.deepInclude((yield* log("t1")).at(-1)?.event, { type: "error", detail })
    })
  )

  test(
    "SCENARIO 33: a large batch of large events is one append",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      const [first, ...rest] = Array.makeBy(3000, (i) => text("t1", `${i} ${"x".repeat(200)}`))
      const events = stored(2, first, ...rest)
      assert.deepInclude((yield* backend.append([{ claim: owner, events }]))[0], { ok: true })
      const page = yield* backend.events(taskId("t1"), { after: 2001, limit: 1000, maxBytes: 10_000_000 })
      assert.deepStrictEqual(page.events, events.slice(2000))
    })
  )
}

const ending = (test: Test): void => {
  test(
    "P4: the terminal event, the status and the next head are one commit",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      yield* backend.create(newTask("t2"), enqueue)
      const events = stored(2, text("t1", "bye"), done("t1"))
      assert.strictEqual(headId(yield* backend.finish(owner, events)), taskId("t2"))
      const page = yield* backend.events(taskId("t1"), { after: 1, ...wide })
      assert.deepStrictEqual(page, { events, lastSeq: 3, ended: true })
      assert.deepInclude(yield* backend.get(taskId("t1")), { status: "completed", lastSeq: 3 })
      assert.notProperty(yield* backend.get(taskId("t1")), "error")
      assert.deepStrictEqual(headId(Option.fromUndefinedOr((yield* backend.unowned({ limit: 2 }))[0])), taskId("t2"))
    })
  )

  test(
    "an error keeps its code and its detail, a cancel none",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* end(yield* begin("t1"), failure("t1"))
      assert.deepInclude(yield* backend.get(taskId("t1")), {
        status: "error",
        error: { code: "Broken", detail: "It broke." }
      })
      yield* end(yield* begin("t2"), cancelled("t2"))
      assert.strictEqual((yield* backend.get(taskId("t2"))).status, "cancelled")
      assert.notProperty(yield* backend.get(taskId("t2")), "error")
    })
  )

  test(
    "P4, SCENARIO 19: nothing is written after the end, and a terminal status never changes",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      yield* end(owner, cancelled("t1"))
      const before = yield* backend.get(taskId("t1"))
      assert.deepInclude(yield* Effect.flip(end(owner)), { _tag: "LeaseLost", taskId: taskId("t1"), token: 1 })
      assert.deepInclude((yield* backend.append([{ claim: owner, events: stored(3, text("t1", "late")) }]))[0], {
        ok: false
      })
      yield* backend.release(owner)
      assert.deepStrictEqual(yield* tryClaim("t1"), Option.none())
      assert.deepStrictEqual(yield* tryClaim("t1", undefined, 1), Option.none())
      assert.deepStrictEqual(yield* backend.get(taskId("t1")), before)
      assert.deepStrictEqual(types(yield* log("t1")), ["ack", "cancelled"])
      assert.deepStrictEqual(yield* backend.unowned({ limit: 10 }), [])
    })
  )

  test(
    "P4: of two concurrent ends one wins",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      const all = yield* Effect.forEach(
        [done("t1"), cancelled("t1")],
        (terminal) => Effect.result(backend.finish(owner, stored(2, terminal))),
        { concurrency: "unbounded" }
      )
      assert.sameMembers(all.map((one) => one._tag), ["Success", "Failure"])
      assert.strictEqual((yield* log("t1")).length, 2)
    })
  )

  test(
    "P2: a task that is enqueued while the head ends is never left behind",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      for (const n of Array.range(1, 20)) {
        const c = { conversationId: conversationId(`c${n}`) }
        const owner = yield* begin(`a${n}`, c)
        const [promoted, created] = yield* Effect.all([end(owner), backend.create(newTask(`b${n}`, c), enqueue)], {
          concurrency: "unbounded"
        })
        const heads = [headId(promoted), headId(created.head)].filter((id) => id !== undefined)
        assert.deepStrictEqual(heads, [taskId(`b${n}`)])
        yield* claim(`b${n}`)
      }
    })
  )

  test(
    "an end with a gap is refused",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      assert.strictEqual((yield* Effect.flip(backend.finish(owner, stored(3, done("t1")))))._tag, "LeaseLost")
      assert.strictEqual((yield* backend.get(taskId("t1"))).status, "running")
    })
  )
}

const reading = (test: Test): void => {
  test(
    "P3, SCENARIO 3: pages after every cursor join without gap or repetition",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      const [first, ...rest] = Array.makeBy(30, (i) => text("t1", String(i)))
      yield* backend.append([{ claim: owner, events: stored(2, first, ...rest) }])
      for (const limit of [1, 7, 31, 1000]) {
        const seqs: Array<number> = []
        while (seqs.length < 31) {
          const page = yield* backend.events(taskId("t1"), { after: seqs.length, limit, maxBytes: 1_000_000 })
          assert.strictEqual(page.events.length, Math.min(limit, 31 - seqs.length))
          seqs.push(...page.events.map((event) => event.seq))
        }
        assert.deepStrictEqual(seqs, Array.range(1, 31))
      }
    })
  )

  test(
    "P11: a page holds at most the bytes asked for, but at least one event",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      const large = "x".repeat(10_000)
      const events = stored(2, text("t1", large), text("t1", large), text("t1", large), text("t1", large))
      yield* backend.append([{ claim: owner, events }])
      const length = (after: number, maxBytes: number) =>
        Effect.map(backend.events(taskId("t1"), { after, limit: 10, maxBytes }), (page) => page.events.length)
      assert.strictEqual(yield* length(1, 25_000), 2)
      assert.strictEqual(yield* length(1, 1), 1)
      assert.strictEqual(yield* length(2, 100_000), 3)
    })
  )

  test(
    "SCENARIO 5, 10: a cursor at the end reads nothing; one beyond it is refused",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* end(yield* begin("t1"))
      const at = yield* backend.events(taskId("t1"), { after: 2, ...wide })
      assert.deepStrictEqual(at, { events: [], lastSeq: 2, ended: true })
      const ahead = yield* Effect.flip(backend.events(taskId("t1"), { after: 3, ...wide }))
      assert.deepInclude(ahead, { _tag: "CursorAhead", after: 3, lastSeq: 2 })
      const none = yield* Effect.flip(backend.events(taskId("none"), { after: 0, ...wide }))
      assert.strictEqual(none._tag, "TaskNotFound")
    })
  )

  test(
    "SCENARIO 9: retention removes whole logs of ended tasks only, oldest first; the tasks stay",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      for (const id of ["t1", "t2", "t3"]) yield* end(yield* begin(id))
      yield* begin("t4")
      for (const finishedFor of [Duration.hours(1), Duration.infinity]) {
        assert.strictEqual(yield* backend.prune({ finishedFor, limit: 10 }), 0)
      }
      const finishedFor = Duration.zero
      assert.strictEqual(yield* backend.prune({ finishedFor, limit: 2 }), 2)
      const expired = yield* Effect.flip(backend.events(taskId("t1"), { after: 0, ...wide }))
      assert.deepInclude(expired, { _tag: "EventsExpired", taskId: taskId("t1") })
      assert.strictEqual((yield* log("t3")).length, 2)
      assert.deepInclude(yield* backend.get(taskId("t1")), { status: "completed", lastSeq: 2 })
      assert.strictEqual(yield* backend.prune({ finishedFor, limit: 10 }), 1)
      assert.strictEqual(yield* backend.prune({ finishedFor, limit: 10 }), 0)
      assert.strictEqual((yield* log("t4")).length, 1)
    })
  )

  test(
    "SCENARIO 9: intents are removed with the log; the task stays, with its metadata and its key",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const task = newTask("t1", { spec: wholeSpec, idempotency: { key: "k", requestHash: "h" } })
      yield* backend.create(task, reject)
      const owner = yield* claim("t1")
      yield* backend.putIntent(task.id, { key: "decision/x", value: 1 })
      yield* end(owner)
      const before = yield* backend.get(task.id)
      assert.deepInclude(before, { metadata: wholeSpec.metadata, replaces: wholeSpec.replaces })
      yield* backend.prune({ finishedFor: Duration.zero, limit: 10 })
      assert.deepStrictEqual(yield* backend.intents(task.id), [])
      assert.deepStrictEqual(yield* backend.get(task.id), before)
      assert.deepStrictEqual(yield* backend.list({ userId: alice, limit: 10 }), [before])
      const again = yield* backend.create({ ...task, id: taskId("t2") }, reject)
      assert.deepStrictEqual([again.created, again.task], [false, before])
    })
  )
}

/** For backends whose clock is `Clock`. */
export const defineClock = (test: Test): void => {
  test(
    "SCENARIO 9: the age of a log is the time since its task ended, by the store's clock",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const prune = (millis: number) => backend.prune({ finishedFor: Duration.millis(millis), limit: 10 })
      yield* end(yield* begin("t1"))
      yield* TestClock.adjust("1 second")
      yield* end(yield* begin("t2"))
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* prune(2001), 0)
      assert.strictEqual(yield* prune(2000), 1)
      assert.strictEqual(yield* prune(1001), 0)
      assert.strictEqual(yield* prune(1000), 1)
    })
  )
}

export const define = (test: Test): void => {
  appending(test)
  ending(test)
  reading(test)
}
