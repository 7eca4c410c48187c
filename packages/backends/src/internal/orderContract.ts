/**
 * The contract of the order in which the tasks of a conversation were accepted.
 */
import { assert } from "@effect/vitest"
import type { TaskId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Duration, Effect, Option } from "effect"
import {
  alice,
  begin,
  bob,
  conversation,
  conversationId,
  end,
  enqueue,
  interrupt,
  newTask,
  reject,
  taskId,
  type Test
} from "./contractTask.ts"

/** The id of the next task, if there is one. */
const next = (after?: TaskId, change: { readonly userId?: typeof alice } = {}) =>
  Effect.gen(function*() {
    const backend = yield* TaskBackend
    const found = yield* backend.nextTask({ conversationId: conversation, userId: alice, after, ...change })
    return Option.getOrUndefined(Option.map(found, ({ id }) => id))
  })

/** All tasks of the conversation, from one to the next. */
const all = Effect.gen(function*() {
  const ids: Array<TaskId> = []
  for (let id = yield* next(); id !== undefined; id = yield* next(id)) ids.push(id)
  return ids
})

export const define = (test: Test): void => {
  test(
    "P3: the tasks of a conversation follow each other in the order of acceptance, whatever their ids and states are",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      assert.isUndefined(yield* next())
      const first = yield* begin("t9")
      yield* backend.create(newTask("t1", { conversationId: conversationId("c2") }), reject)
      yield* backend.create(newTask("t5"), enqueue)
      yield* backend.create(newTask("t3"), enqueue)
      assert.deepStrictEqual(yield* all, ["t9", "t5", "t3"].map(taskId))
      // Ends the two that wait, and lets the first go on.
      yield* backend.create(newTask("t7"), interrupt)
      yield* end(first)
      assert.deepStrictEqual(yield* all, ["t9", "t5", "t3", "t7"].map(taskId))
      const found = yield* backend.nextTask({ conversationId: conversation, userId: alice, after: taskId("t9") })
      assert.deepStrictEqual(found, Option.some(yield* backend.get(taskId("t5"))))
      yield* backend.prune({ finishedFor: Duration.zero, limit: 10 })
      assert.deepStrictEqual(yield* all, ["t9", "t5", "t3", "t7"].map(taskId))
      // A start that was refused has no place.
      assert.strictEqual((yield* Effect.flip(backend.create(newTask("t0"), reject)))._tag, "ConversationBusy")
      yield* backend.create(newTask("t2"), enqueue)
      assert.strictEqual(yield* next(taskId("t7")), taskId("t2"))
    })
  )

  test(
    "P12: a task that the user's conversation does not have is no place in it, also after a deletion",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const first = yield* begin("t1")
      yield* backend.create(newTask("t2", { conversationId: conversationId("c2") }), reject)
      assert.isUndefined(yield* next(undefined, { userId: bob }))
      for (const id of ["none", "t2"]) {
        assert.deepInclude(yield* Effect.flip(next(taskId(id))), { _tag: "TaskNotFound", taskId: taskId(id) })
      }
      assert.strictEqual((yield* Effect.flip(next(taskId("t1"), { userId: bob })))._tag, "TaskNotFound")
      yield* end(first)
      yield* backend.deleteConversation({ conversationId: conversation, userId: alice })
      assert.isUndefined(yield* next())
      assert.strictEqual((yield* Effect.flip(next(taskId("t1"))))._tag, "TaskNotFound")
      yield* backend.create(newTask("t4", { userId: bob }), reject)
      assert.strictEqual(yield* next(undefined, { userId: bob }), taskId("t4"))
    })
  )

  test(
    "P2, P3: while 20 tasks are enqueued concurrently, a reader that goes from one to the next misses none",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const ids = Array.range(10, 29).map((i) => `t${i}`)
      const options = { onBusy: "enqueue", maxQueued: 100 } as const
      const seen: Array<TaskId> = []
      const read = Effect.gen(function*() {
        while (seen.length < ids.length) {
          const id = yield* next(seen.at(-1))
          if (id === undefined) yield* Effect.yieldNow
          else seen.push(id)
        }
      })
      yield* Effect.all(
        [read, Effect.forEach(ids, (id) => backend.create(newTask(id), options), { concurrency: "unbounded" })],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(seen, yield* all)
      assert.sameMembers(seen, ids.map(taskId))
    })
  )
}
