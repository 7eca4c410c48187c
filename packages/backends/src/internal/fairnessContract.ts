/**
 * The order of heads that wait for an owner.
 */
import { assert } from "@effect/vitest"
import type { UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Effect } from "effect"
import {
  alice,
  begin,
  bob,
  claim,
  conversationId,
  end,
  enqueue,
  headId,
  headIds,
  newTask,
  reject,
  runnerA,
  taskId,
  type Test
} from "./contractTask.ts"

export const define = (test: Test): void => {
  const waitingOf = Effect.fnUntraced(function*(userId: UserId, ...ids: ReadonlyArray<string>) {
    const backend = yield* TaskBackend
    for (const id of ids) {
      yield* backend.create(newTask(id, { userId, conversationId: conversationId(`c-${id}`) }), reject)
    }
  })

  /** Claims the first head that waits, with a live runner. */
  const takeFirst = Effect.fnUntraced(function*() {
    const backend = yield* TaskBackend
    const [head] = yield* backend.unowned({ limit: 1 })
    if (head !== undefined) yield* claim(head.taskId, runnerA, head.token)
    return head?.taskId
  })

  test(
    "heads wait in rounds: a user with many waiting tasks is not taken before another user's first task",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* waitingOf(alice, "a1", "a2", "a3", "a4", "a5")
      yield* waitingOf(bob, "b1")
      assert.deepStrictEqual(
        headIds(yield* backend.unowned({ limit: 10 })),
        ["a1", "b1", "a2", "a3", "a4", "a5"].map(taskId)
      )
      assert.strictEqual(yield* takeFirst(), taskId("a1"))
      assert.strictEqual(yield* takeFirst(), taskId("b1"))
      assert.strictEqual(yield* takeFirst(), taskId("a2"))
      // Bob begins with the oldest round that waits: he has no claim to the rounds that he did not wait in.
      yield* waitingOf(bob, "b2", "b3")
      assert.deepStrictEqual(
        headIds(yield* backend.unowned({ limit: 10 })),
        ["a3", "b2", "a4", "b3", "a5"].map(taskId)
      )
      assert.deepStrictEqual(
        headIds(yield* backend.unowned({ limit: 10, agentIds: [newTask("a1").agentId] })),
        ["a3", "b2", "a4", "b3", "a5"].map(taskId)
      )
    })
  )

  test(
    "the next task of a conversation waits behind its user's other heads, and a released head keeps its round",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const first = yield* begin("a1")
      yield* waitingOf(alice, "a2", "a3")
      yield* backend.create(newTask("a4"), enqueue)
      yield* waitingOf(bob, "b1")
      assert.strictEqual(headId(yield* end(first)), taskId("a4"))
      assert.deepStrictEqual(headIds(yield* backend.unowned({ limit: 10 })), ["a2", "b1", "a3", "a4"].map(taskId))
      const second = yield* claim("a2")
      yield* backend.release(second)
      assert.deepStrictEqual(headIds(yield* backend.unowned({ limit: 10 })), ["a2", "b1", "a3", "a4"].map(taskId))
    })
  )

  test(
    "the next task of a conversation waits behind another user's first task, which came later",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const first = yield* begin("a1")
      yield* backend.create(newTask("a2"), enqueue)
      yield* waitingOf(bob, "b1")
      yield* end(first)
      assert.deepStrictEqual(headIds(yield* backend.unowned({ limit: 10 })), ["b1", "a2"].map(taskId))
    })
  )

  test(
    "heads of one user that are accepted at the same time take turns with another user's",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const many = Array.makeBy(20, (i) => `a${i + 10}`)
      yield* Effect.forEach(many, (id) => waitingOf(alice, id), { concurrency: "unbounded" })
      yield* waitingOf(bob, "b1")
      const ids = headIds(yield* backend.unowned({ limit: 30 }))
      // Calls that commit at the same time may get the same round. Most of them do not.
      assert.isBelow(ids.indexOf(taskId("b1")), 10)
    })
  )
}
