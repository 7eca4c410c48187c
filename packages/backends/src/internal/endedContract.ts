/**
 * The contract of `ended`: the ends of all tasks, in one order.
 */
import { assert } from "@effect/vitest"
import type { EndedTask } from "@perennial/domain/EndedTask"
import { cancelKey } from "@perennial/domain/Intent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Duration, Effect, type Scope } from "effect"
import { TestClock } from "effect/testing"
import {
  alice,
  begin,
  bob,
  cancelled,
  claim,
  conversationId,
  done,
  end,
  enqueue,
  failure,
  interrupt,
  newTask,
  reject,
  stored,
  taskId,
  type Test,
  text,
  wholeSpec
} from "./contractTask.ts"

type Service = TaskBackend["Service"]

const taskIds = (ends: ReadonlyArray<EndedTask>) => ends.map(({ task }) => task.id)

/** Reads page after page, until a page is not full. */
const readFrom = Effect.fnUntraced(function*(backend: Service, after: number, limit: number) {
  const ends: Array<EndedTask> = []
  while (true) {
    const page = yield* backend.ended({ after: ends.at(-1)?.cursor ?? after, limit })
    assert.isAtMost(page.length, limit)
    ends.push(...page)
    if (page.length < limit) return ends
  }
})

const isAscending = (ends: ReadonlyArray<EndedTask>) =>
  ends.every(({ cursor }, i) => cursor > (ends[i - 1]?.cursor ?? 0))

export const define = (test: Test): void => {
  test(
    "an end has its user, its task and its terminal event, in the order of ends",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      assert.deepStrictEqual(yield* backend.ended({ after: 0, limit: 10 }), [])
      const first = yield* begin("t1")
      const second = yield* begin("t2", { conversationId: conversationId("c2"), userId: bob })
      yield* begin("t3", { conversationId: conversationId("c3") })
      yield* end(second, { ...failure("t2"), conversationId: conversationId("c2") })
      yield* backend.finish(first, stored(2, text("t1", "bye"), done("t1")))
      const ends = yield* backend.ended({ after: 0, limit: 10 })
      // Two ends of one millisecond have no order between them.
      assert.sameDeepMembers(ends.map(({ event, task, userId }) => ({ userId, task, event })), [
        {
          userId: bob,
          task: yield* backend.get(taskId("t2")),
          event: stored(2, { ...failure("t2"), conversationId: conversationId("c2") })[0]
        },
        { userId: alice, task: yield* backend.get(taskId("t1")), event: stored(3, done("t1"))[0] }
      ])
      assert.isTrue(isAscending(ends))
    })
  )

  test(
    "tasks that end without an execution appear, too: by a cancel before they begin, by `interrupt`",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* begin("t1")
      for (const id of ["t2", "t3", "t4"]) yield* backend.create(newTask(id), enqueue)
      yield* backend.putIntent(taskId("t3"), { key: cancelKey, value: { reason: "enough" } })
      const [before, ...none] = yield* backend.ended({ after: 0, limit: 10 })
      assert.deepStrictEqual([before?.task.id, none.length], [taskId("t3"), 0])
      assert.deepInclude(before?.event?.event, { type: "cancelled", reason: "enough" })
      yield* backend.create(newTask("t5"), interrupt)
      const after = yield* backend.ended({ after: before?.cursor ?? 0, limit: 10 })
      assert.sameMembers(taskIds(after), ["t2", "t4"].map(taskId))
      for (const { event, task } of after) {
        assert.deepStrictEqual([task.status, event?.event.type, event?.seq], ["cancelled", "cancelled", task.lastSeq])
      }
    })
  )

  test(
    "an end has the trace of its task, until the log is pruned",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* end(yield* begin("t1", { spec: wholeSpec }))
      yield* end(yield* begin("t2"), done("t2"))
      const traces = Effect.map(
        backend.ended({ after: 0, limit: 10 }),
        (ends) => new Map(ends.map(({ task, traceparent }) => [task.id, traceparent]))
      )
      assert.deepStrictEqual(
        yield* traces,
        new Map([[taskId("t1"), wholeSpec.traceparent], [taskId("t2"), undefined]])
      )
      yield* backend.prune({ finishedFor: Duration.zero, limit: 10 })
      assert.deepStrictEqual(yield* traces, new Map([[taskId("t1"), undefined], [taskId("t2"), undefined]]))
    })
  )

  test(
    "pages join without gap or repetition, and reading again gives the same",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const ids = Array.range(1, 20).map((n) => `t${n}`)
      for (const id of ids) yield* end(yield* begin(id, { conversationId: conversationId(id) }), cancelled(id))
      const all = yield* readFrom(backend, 0, 1000)
      assert.sameMembers(taskIds(all), ids.map(taskId))
      assert.isTrue(isAscending(all))
      for (const limit of [1, 7, 20]) assert.deepStrictEqual(yield* readFrom(backend, 0, limit), all)
      for (const [i, { cursor }] of all.entries()) {
        assert.deepStrictEqual(yield* backend.ended({ after: cursor, limit: 3 }), all.slice(i + 1, i + 4))
      }
    })
  )

  test(
    "P4: a reader that reads on while 60 tasks end concurrently sees each end once, and no end before its cursor",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const ids = Array.range(1, 60).map((n) => `t${n}`)
      const owners = yield* Effect.forEach(ids, (id) => begin(id, { conversationId: conversationId(id) }))
      const seen: Array<EndedTask> = []
      const read = Effect.gen(function*() {
        while (seen.length < ids.length) {
          const page = yield* backend.ended({ after: seen.at(-1)?.cursor ?? 0, limit: 5 })
          seen.push(...page)
          if (page.length === 0) yield* Effect.yieldNow
        }
      })
      const finish = Effect.forEach(owners, (owner) => end(owner, cancelled(owner.taskId)), { concurrency: 8 })
      yield* Effect.all([read, finish], { concurrency: 2, discard: true })
      assert.sameMembers(taskIds(seen), ids.map(taskId))
      assert.deepStrictEqual(yield* readFrom(backend, 0, 1000), seen)
    })
  )

  test(
    "the tasks of a deleted conversation disappear; cursors before, at and after them stay valid",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const ids = ["t1", "t2", "t3", "t4"]
      // `t2` and `t4` are in the conversation that is deleted.
      const place = (i: number) => conversationId(i % 2 === 0 ? `kept-${i}` : "deleted")
      for (const [i, id] of ids.entries()) yield* end(yield* begin(id, { conversationId: place(i) }), cancelled(id))
      const all = yield* readFrom(backend, 0, 1000)
      yield* backend.deleteConversation({ conversationId: conversationId("deleted"), userId: alice })
      const kept = all.filter(({ task }) => task.conversationId !== "deleted")
      assert.deepStrictEqual(yield* readFrom(backend, 0, 1), kept)
      for (const { cursor } of all) {
        assert.deepStrictEqual(yield* readFrom(backend, cursor, 1), kept.filter((one) => one.cursor > cursor))
      }
      yield* end(yield* begin("t5", { conversationId: conversationId("deleted") }), cancelled("t5"))
      const last = all.at(-1)?.cursor ?? 0
      assert.deepStrictEqual(taskIds(yield* readFrom(backend, last, 10)), [taskId("t5")])
    })
  )

  test(
    "SCENARIO 9: an end stays when its log is pruned, without the event; with its status and error",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* end(yield* begin("t1"), failure("t1"))
      const [before] = yield* backend.ended({ after: 0, limit: 10 })
      yield* backend.prune({ finishedFor: Duration.zero, limit: 10 })
      const after = yield* backend.ended({ after: 0, limit: 10 })
      assert.deepStrictEqual(after, before === undefined ? [] : [{ ...before, event: undefined }])
      assert.deepStrictEqual(after[0]?.task.error, { code: "Broken", detail: "It broke." })
      yield* backend.create(newTask("t2"), reject)
      yield* end(yield* claim("t2"))
      assert.deepStrictEqual(taskIds(yield* readFrom(backend, before?.cursor ?? 0, 10)), [taskId("t2")])
    })
  )
}

/** For backends whose clock is `Clock`. */
export const defineClock = (test: Test): void => {
  test(
    "ends appear in the order of their times, whenever they are read",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const ids = ["t3", "t1", "t5", "t2", "t4"]
      const owners = yield* Effect.forEach(ids.toSorted(), (id) => begin(id, { conversationId: conversationId(id) }))
      for (const [i, id] of ids.entries()) {
        yield* TestClock.adjust("1 second")
        for (const owner of owners) if (owner.taskId === id) yield* end(owner, cancelled(id))
        if (i === 1) assert.deepStrictEqual(taskIds(yield* readFrom(backend, 0, 10)), ["t3", "t1"].map(taskId))
      }
      assert.deepStrictEqual(taskIds(yield* readFrom(backend, 0, 2)), ids.map(taskId))
    })
  )
}

/** Two processes over one empty store: both end tasks and read the ends. */
export const agree = Effect.fnUntraced(
  function*<E>(processes: Effect.Effect<readonly [Service, Service], E, Scope.Scope>) {
    const services = yield* processes
    const ids = Array.range(1, 60).map((n) => `t${n}`)
    const by = <A, E2>(i: number, effect: Effect.Effect<A, E2, TaskBackend>) =>
      Effect.provideService(effect, TaskBackend, services[i % 2 === 0 ? 0 : 1])
    const owners = yield* Effect.forEach(ids, (id, i) => by(i, begin(id, { conversationId: conversationId(id) })))
    const readAll = Effect.fnUntraced(function*(backend: Service) {
      const seen: Array<EndedTask> = []
      while (seen.length < ids.length) {
        seen.push(...yield* backend.ended({ after: seen.at(-1)?.cursor ?? 0, limit: 7 }))
      }
      return seen
    })
    const finish = Effect.forEach(owners, (owner, i) => by(i, end(owner, cancelled(owner.taskId))), { concurrency: 8 })
    const [a, b] = yield* Effect.all([readAll(services[0]), readAll(services[1]), finish], { concurrency: 3 })
    assert.deepStrictEqual(a, b)
    assert.sameMembers(taskIds(a), ids.map(taskId))
    assert.deepStrictEqual(yield* services[0].ended({ after: 0, limit: 1000 }), a)
  },
  Effect.scoped
)
