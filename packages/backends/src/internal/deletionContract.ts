/**
 * The contract of the deletion of conversations and of users.
 */
import { assert } from "@effect/vitest"
import { cancelKey } from "@perennial/domain/Intent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect } from "effect"
import {
  alice,
  begin,
  bob,
  conversation,
  conversationId,
  end,
  enqueue,
  newTask,
  reject,
  runnerA,
  stored,
  taskId,
  type Test,
  text
} from "./contractTask.ts"

const none = { tasks: 0, events: 0, intents: 0 }

export const define = (test: Test): void => {
  test(
    "a deletion counts the tasks, events and intents that it removes, and finds nothing the next time",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      yield* backend.append([{ claim: owner, events: stored(2, text("t1", "a"), text("t1", "b")) }])
      yield* backend.create(newTask("t2"), enqueue)
      yield* backend.putIntent(taskId("t2"), { key: cancelKey, value: {} })
      yield* end(owner)
      const remove = backend.deleteConversation({ conversationId: conversation, userId: alice })
      // Four events of t1, with its `ack` and its end, and two of t2.
      assert.deepStrictEqual(yield* remove, { tasks: 2, events: 6, intents: 1 })
      assert.deepStrictEqual(yield* remove, none)
      assert.deepStrictEqual(yield* backend.list({ userId: alice, limit: 10 }), [])
    })
  )

  test(
    "a removed log has no events to count",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* end(yield* begin("t1"))
      yield* backend.prune({ finishedFor: Duration.zero, limit: 10 })
      assert.deepStrictEqual(
        yield* backend.deleteConversation({ conversationId: conversation, userId: alice }),
        { ...none, tasks: 1 }
      )
    })
  )

  test(
    "a user is forgotten without a change to another user, and may be forgotten again",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* end(yield* begin("t1"))
      const theirs = yield* begin("t2", { conversationId: conversationId("c2"), userId: bob })
      yield* backend.deleteConversation({ conversationId: conversation, userId: alice })
      yield* backend.forgetUser(alice)
      yield* backend.forgetUser(alice)
      assert.strictEqual((yield* backend.get(taskId("t2"), { userId: bob })).status, "running")
      yield* backend.append([{ claim: theirs, events: stored(2, text("t2", "a")) }])
      yield* end(theirs)
      // The id of the conversation and the user are like new ones.
      const again = yield* backend.create(newTask("t3"), reject)
      assert.isTrue(again.created)
      const { owned } = yield* backend.heartbeat(runnerA, Duration.hours(1))
      assert.deepStrictEqual(owned, [])
    })
  )
}
