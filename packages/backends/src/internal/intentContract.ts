/**
 * The contract of intents, and of deleting conversations.
 */
import { assert } from "@effect/vitest"
import { cancelKey, decisionKey } from "@perennial/domain/Intent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Effect, Option } from "effect"
import {
  alice,
  begin,
  bob,
  conversation,
  die,
  end,
  enqueue,
  headId,
  log,
  newTask,
  reject,
  runnerA,
  stored,
  taskId,
  type Test,
  text,
  tryClaim,
  types
} from "./contractTask.ts"

const intents = (test: Test): void => {
  test(
    "P7: an intent is durable, in order, and the owner sees its number with every append",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      const key = decisionKey("call-1")
      const first = yield* backend.putIntent(taskId("t1"), { key, value: { approved: true } }, { userId: alice })
      assert.deepInclude(first, { written: true, value: Option.some({ approved: true }), promoted: Option.none() })
      yield* backend.putIntent(taskId("t1"), { key: cancelKey, value: { reason: "enough" } })
      assert.deepStrictEqual(yield* backend.intents(taskId("t1")), [
        { key, value: { approved: true } },
        { key: cancelKey, value: { reason: "enough" } }
      ])
      assert.deepStrictEqual(yield* backend.append([{ claim: owner, events: stored(2, text("t1", "a")) }]), [
        { ok: true, intents: 2 }
      ])
      assert.strictEqual((yield* backend.get(taskId("t1"))).status, "running")
      assert.deepStrictEqual(yield* backend.intents(taskId("none")), [])
    })
  )

  test(
    "the first writer of a key wins, also among 20 at once",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* begin("t1")
      const all = yield* Effect.forEach(
        Array.range(1, 20),
        (n) => backend.putIntent(taskId("t1"), { key: "decision/c", value: { n } }),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(all.filter((one) => one.written).length, 1)
      const [recorded] = yield* backend.intents(taskId("t1"))
      for (const one of all) assert.deepStrictEqual(Option.getOrUndefined(one.value), recorded?.value)
    })
  )

  test(
    "an intent for a task that is not there is refused",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const error = yield* Effect.flip(backend.putIntent(taskId("none"), { key: cancelKey, value: {} }))
      assert.deepInclude(error, { _tag: "TaskNotFound", taskId: taskId("none") })
    })
  )

  test(
    "P7: a cancel of a task that was never claimed ends it and promotes the next one, in one commit",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* backend.create(newTask("t1"), reject)
      yield* backend.create(newTask("t2"), enqueue)
      const result = yield* backend.putIntent(taskId("t1"), { key: cancelKey, value: { reason: "enough" } })
      assert.isTrue(result.written)
      assert.deepInclude(result.task, { status: "cancelled", lastSeq: 2 })
      assert.strictEqual(headId(result.promoted), taskId("t2"))
      const events = yield* log("t1")
      assert.deepStrictEqual(types(events), ["ack", "cancelled"])
      assert.deepInclude(events[1]?.event, { reason: "enough", taskId: taskId("t1"), conversationId: conversation })
      assert.deepStrictEqual(yield* tryClaim("t1"), Option.none())
    })
  )

  test(
    "a cancel of a waiting task leaves the head and the others as they are",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      yield* backend.create(newTask("t2"), enqueue)
      yield* backend.create(newTask("t3"), enqueue)
      const result = yield* backend.putIntent(taskId("t2"), { key: cancelKey, value: {} })
      assert.deepInclude(result, { written: true, promoted: Option.none() })
      assert.strictEqual(result.task.status, "cancelled")
      assert.strictEqual(headId(yield* end(owner)), taskId("t3"))
    })
  )

  test(
    "SCENARIO 18: a cancel of a dead owner's task is recorded for whoever claims it next",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* begin("t1")
      yield* die(runnerA)
      const result = yield* backend.putIntent(taskId("t1"), { key: cancelKey, value: {} })
      assert.isTrue(result.written)
      assert.strictEqual(result.task.status, "running")
      assert.strictEqual(Option.getOrThrow(yield* tryClaim("t1", runnerA, 1)).intents, 1)
    })
  )

  test(
    "SCENARIO 19: an intent for a task that has ended is not written",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* end(yield* begin("t1"))
      const before = yield* backend.get(taskId("t1"))
      const result = yield* backend.putIntent(taskId("t1"), { key: cancelKey, value: {} })
      assert.deepStrictEqual(result, { written: false, value: Option.none(), task: before, promoted: Option.none() })
      assert.deepStrictEqual(yield* backend.get(taskId("t1")), before)
      yield* backend.create(newTask("t2"), reject)
      yield* backend.putIntent(taskId("t2"), { key: cancelKey, value: { reason: "first" } })
      const again = yield* backend.putIntent(taskId("t2"), { key: cancelKey, value: { reason: "second" } })
      assert.isFalse(again.written)
      assert.deepStrictEqual(again.value, Option.some({ reason: "first" }))
    })
  )
}

const deleting = (test: Test): void => {
  test(
    "a conversation is deleted with its tasks, logs and keys, unless one is active",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const idempotency = { key: "k", requestHash: "h" }
      const owner = yield* begin("t1", { idempotency })
      const remove = backend.deleteConversation({ conversationId: conversation, userId: alice })
      assert.deepInclude(yield* Effect.flip(remove), {
        _tag: "ConversationBusy",
        conversationId: conversation,
        activeTaskId: taskId("t1")
      })
      yield* backend.putIntent(taskId("t1"), { key: cancelKey, value: {} })
      yield* end(owner)
      yield* remove
      assert.strictEqual((yield* Effect.flip(backend.get(taskId("t1"))))._tag, "TaskNotFound")
      assert.strictEqual((yield* Effect.flip(log("t1")))._tag, "TaskNotFound")
      assert.deepStrictEqual(yield* backend.intents(taskId("t1")), [])
      assert.deepStrictEqual(yield* backend.list({ userId: alice, limit: 10 }), [])
      yield* remove
      assert.isTrue((yield* backend.create(newTask("t1", { idempotency, userId: bob }), reject)).created)
    })
  )
}

export const define = (test: Test): void => {
  intents(test)
  deleting(test)
}
