/**
 * The suite for the feed and the approvals of a `TaskManager`, in process and over HTTP.
 */
import { assert, describe, it } from "@effect/vitest"
import type { FeedTask, FeedUpdate } from "@perennial/domain/Feed"
import { AgentId, ConversationId, type TaskId } from "@perennial/domain/Ids"
import { Effect, Fiber, Queue, Stream } from "effect"
import { type MakeFixture, startAndReach } from "./taskManagerContract.ts"

export const feedContract = (name: string, makeFixture: MakeFixture) => {
  describe(`${name}: feed and approvals`, () => {
    it.live("a task that waits for a person shows it, and `approvals` has the call until it is decided", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const waiting = yield* Effect.forEach(
          ["a", "b", "c"],
          (conversationId) => startAndReach(manager, 4, { message: "a approve", conversationId })
        )
        yield* manager.await((yield* manager.start({ message: "a" })).id)
        const [oldest, middle, newest] = waiting
        assert(oldest !== undefined && middle !== undefined && newest !== undefined)
        const { waiting: [call, ...others] = [] } = yield* manager.get(newest.id)
        assert(call !== undefined)
        assert.deepStrictEqual([call.toolCallId, call.tool, call.seq, others], ["call/1", "pay", 4, []])
        const { items, next } = yield* manager.approvals()
        assert.isUndefined(next)
        assert.deepStrictEqual(items[0], {
          taskId: newest.id,
          conversationId: ConversationId.make("c"),
          agentId: AgentId.make("echo"),
          toolCallId: "call/1",
          tool: "pay",
          args: { cents: 5 },
          askedAt: call.askedAt
        })
        assert.deepStrictEqual(items.map(({ taskId }) => taskId), [newest.id, middle.id, oldest.id])
        const first = yield* manager.approvals({ limit: 2 })
        assert.deepStrictEqual(first, { items: items.slice(0, 2), next: middle.id })
        assert.deepStrictEqual(yield* manager.approvals({ limit: 2, before: first.next }), { items: items.slice(2) })
        yield* manager.decide(middle.id, "call/1", { approved: true })
        assert.deepStrictEqual(
          (yield* manager.approvals()).items.map(({ taskId }) => taskId),
          [newest.id, oldest.id]
        )
        assert.notProperty((yield* manager.await(middle.id)).task, "waiting")
        yield* manager.cancel(newest.id)
        yield* manager.cancel(oldest.id)
        assert.deepStrictEqual(yield* manager.approvals(), { items: [] })
      }))

    it.live("the feed shows what is active, each change, and after a cursor what ended meanwhile", () =>
      Effect.gen(function*() {
        const { gate, manager } = yield* makeFixture()
        const before = yield* manager.start({ message: "a" })
        yield* manager.await(before.id)
        const active = yield* startAndReach(manager, 3, { message: "a hold", metadata: { large: "x" } })
        const updates = yield* Queue.unbounded<FeedUpdate>()
        const reader = yield* Effect.forkChild(
          Stream.runForEach(yield* manager.feed(), (update) => Queue.offer(updates, update))
        )
        const snapshot = yield* Queue.take(updates)
        assert.strictEqual(snapshot.type, "snapshot")
        assert.deepStrictEqual(snapshot.tasks.map(({ id, status }) => [id, status]), [[active.id, "running"]])
        assert.notProperty(snapshot.tasks[0], "metadata")
        /** Takes updates until the task is in this state; `seen` collects all tasks of the updates. */
        const seen = new Set<TaskId>()
        const until = Effect.fnUntraced(function*(id: TaskId, is: (task: FeedTask) => boolean) {
          while (true) {
            const update = yield* Queue.take(updates)
            assert.strictEqual(update.type, "changes")
            for (const task of update.tasks) seen.add(task.id)
            const task = update.tasks.find((task) => task.id === id)
            if (task !== undefined && is(task)) return { task, cursor: update.cursor }
          }
        })
        const asking = yield* manager.start({ message: "title approve" })
        const { task } = yield* until(asking.id, ({ waiting }) => waiting !== undefined)
        assert.deepStrictEqual([task.status, task.title, task.waiting?.[0]?.tool], ["running", "A title", "pay"])
        const { cursor } = yield* until(
          (yield* manager.start({ message: "a" })).id,
          ({ status }) => status === "completed"
        )
        assert.isFalse(seen.has(before.id))
        yield* Fiber.interrupt(reader)
        yield* manager.decide(asking.id, "call/1", { approved: true })
        yield* manager.await(asking.id)
        const [resumed] = yield* Stream.runCollect(Stream.take(yield* manager.feed({ after: cursor }), 1))
        assert.strictEqual(resumed?.type, "snapshot")
        const states = new Map(resumed?.tasks.map(({ id, status }) => [id, status]))
        assert.deepStrictEqual([states.get(active.id), states.get(asking.id)], ["running", "completed"])
        yield* gate.open
        yield* manager.await(active.id)
      }))
  })
}
