/**
 * The contract of `create`, and of reading tasks.
 */
import { assert } from "@effect/vitest"
import { messageId } from "@perennial/domain/Ids"
import { cancelKey, interruptReason } from "@perennial/domain/Intent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Effect, Option } from "effect"
import {
  alice,
  begin,
  bob,
  claim,
  conversation,
  conversationId,
  end,
  enqueue,
  headId,
  interrupt,
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

const accepting = (test: Test): void => {
  test(
    "P1: an accepted task is stored with its `ack`, queued, and may run at once",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const created = yield* backend.create(newTask("t1", { spec: wholeSpec }), reject)
      assert.isTrue(created.created)
      assert.deepStrictEqual(
        created.head,
        Option.some({ taskId: taskId("t1"), conversationId: conversation, agentId: newTask("t1").agentId, token: 0 })
      )
      const task = yield* backend.get(taskId("t1"))
      assert.deepStrictEqual(task, created.task)
      const { createdAt: _, updatedAt: __, ...rest } = task
      assert.deepStrictEqual(rest, {
        id: taskId("t1"),
        conversationId: conversation,
        agentId: newTask("t1").agentId,
        status: "queued",
        attempt: 0,
        lastSeq: 1,
        metadata: wholeSpec.metadata,
        replaces: wholeSpec.replaces,
        preview: wholeSpec.preview,
        parent: wholeSpec.parent
      })
      const events = yield* log("t1")
      assert.deepStrictEqual(events.map(({ event, seq }) => ({ event, seq })), [{
        seq: 1,
        event: {
          type: "ack",
          taskId: taskId("t1"),
          conversationId: conversation,
          messageId: messageId(taskId("t1"), 1)
        }
      }])
    })
  )

  test(
    "a lost reply: the same task id returns the task, and nothing else happens",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const first = yield* backend.create(newTask("t1"), reject)
      const again = yield* backend.create(newTask("t1"), interrupt)
      assert.isFalse(again.created)
      assert.deepStrictEqual(again.task, first.task)
      assert.deepStrictEqual(again.head, first.head)
      assert.deepStrictEqual(again.cancelled, [])
      assert.strictEqual((yield* log("t1")).length, 1)
    })
  )

  test(
    "a task with an owner is returned without a head",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* begin("t1")
      assert.deepStrictEqual((yield* backend.create(newTask("t1"), reject)).head, Option.none())
    })
  )

  test(
    "a task id of another user is refused",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* backend.create(newTask("t1"), reject)
      const other = newTask("t1", { userId: bob, conversationId: conversationId("c2") })
      assert.strictEqual((yield* Effect.flip(backend.create(other, reject)))._tag, "TaskBackendError")
    })
  )

  test(
    "an idempotency key returns its task before anything else is looked at",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const idempotency = { key: "k", requestHash: "h" }
      yield* backend.create(newTask("t1", { idempotency }), reject)
      const busy = yield* backend.create(newTask("t2", { idempotency }), reject)
      assert.deepInclude(busy, { created: false })
      assert.strictEqual(busy.task.id, taskId("t1"))
      const elsewhere = newTask("t3", { idempotency, conversationId: conversationId("c2") })
      assert.strictEqual((yield* backend.create(elsewhere, reject)).task.id, taskId("t1"))
      // Nothing was left behind: the other conversation is anybody's.
      const free = newTask("t4", { userId: bob, conversationId: conversationId("c2") })
      assert.isTrue((yield* backend.create(free, reject)).created)
    })
  )

  test(
    "an idempotency key with another request is a conflict; another user's key is another key",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* backend.create(newTask("t1", { idempotency: { key: "k", requestHash: "h1" } }), reject)
      const other = { key: "k", requestHash: "h2" }
      const error = yield* Effect.flip(backend.create(newTask("t2", { idempotency: other }), reject))
      assert.deepInclude(error, { _tag: "IdempotencyConflict", idempotencyKey: "k" })
      const bobs = newTask("t3", { userId: bob, conversationId: conversationId("c2"), idempotency: other })
      assert.isTrue((yield* backend.create(bobs, reject)).created)
    })
  )

  test(
    "50 concurrent starts with one idempotency key make one task",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const idempotency = { key: "k", requestHash: "h" }
      const all = yield* Effect.forEach(
        Array.range(1, 50),
        (i) => backend.create(newTask(`t${i}`, { idempotency, conversationId: conversationId(`c${i}`) }), reject),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(all.filter((one) => one.created).length, 1)
      assert.strictEqual(new Set(all.map((one) => one.task.id)).size, 1)
    })
  )

  test(
    "P12: a conversation of another user does not exist",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* backend.create(newTask("t1"), reject)
      for (const policy of [reject, enqueue, interrupt]) {
        const error = yield* Effect.flip(backend.create(newTask("t2", { userId: bob }), policy))
        assert.deepInclude(error, { _tag: "ConversationNotFound", conversationId: conversation })
      }
      assert.strictEqual((yield* backend.get(taskId("t1"))).status, "queued")
    })
  )
}

const busy = (test: Test): void => {
  test(
    "P2: `reject` refuses while a task is active, and names it",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      const error = yield* Effect.flip(backend.create(newTask("t2"), reject))
      assert.deepInclude(error, { _tag: "ConversationBusy", activeTaskId: taskId("t1"), conversationId: conversation })
      assert.strictEqual((yield* Effect.flip(backend.get(taskId("t2"))))._tag, "TaskNotFound")
      yield* end(owner)
      assert.isTrue((yield* backend.create(newTask("t2"), reject)).created)
    })
  )

  test(
    "P2, SCENARIO 30: of 50 concurrent starts on one conversation exactly one is accepted",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const all = yield* Effect.forEach(
        Array.range(1, 50),
        (i) => Effect.result(backend.create(newTask(`t${i}`), reject)),
        { concurrency: "unbounded" }
      )
      const accepted = all.flatMap((one) => one._tag === "Success" ? [one.success.task.id] : [])
      assert.strictEqual(accepted.length, 1)
      for (const one of all) {
        if (one._tag === "Failure") {
          assert.isTrue(one.failure._tag === "ConversationBusy" && one.failure.activeTaskId === accepted[0])
        }
      }
    })
  )

  test(
    "P2, SCENARIO 30: with `enqueue` tasks run one after the other in the order of acceptance",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const options = { onBusy: "enqueue", maxQueued: 100 } as const
      const first = ["t3", "t1", "t2"]
      for (const id of first) yield* backend.create(newTask(id), options)
      yield* Effect.forEach(Array.range(10, 19), (i) => backend.create(newTask(`t${i}`), options), {
        concurrency: "unbounded"
      })
      const order: Array<string> = []
      while (true) {
        const [head, ...others] = yield* backend.unowned({ limit: 10 })
        assert.deepStrictEqual(others, [])
        if (head === undefined) break
        order.push(head.taskId)
        yield* end(yield* claim(head.taskId))
      }
      assert.deepStrictEqual(order.slice(0, 3), first)
      assert.sameMembers(order, [...first, ...Array.range(10, 19).map((i) => `t${i}`)])
    })
  )

  test(
    "`enqueue` waits behind the head, in order, and is bounded",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const options = { onBusy: "enqueue", maxQueued: 2 } as const
      assert.strictEqual(headId((yield* backend.create(newTask("t1"), options)).head), taskId("t1"))
      assert.deepStrictEqual((yield* backend.create(newTask("t2"), options)).head, Option.none())
      assert.deepStrictEqual((yield* backend.create(newTask("t3"), options)).head, Option.none())
      const error = yield* Effect.flip(backend.create(newTask("t4"), options))
      assert.deepInclude(error, { _tag: "QueueFull", limit: 2 })
      assert.deepStrictEqual(yield* tryClaim("t2"), Option.none())
      assert.strictEqual(headId(yield* end(yield* claim("t1"))), taskId("t2"))
      assert.strictEqual(headId(yield* end(yield* claim("t2"))), taskId("t3"))
      assert.deepStrictEqual(yield* end(yield* claim("t3")), Option.none())
      assert.isTrue((yield* backend.create(newTask("t4"), { onBusy: "enqueue", maxQueued: 0 })).created)
    })
  )

  test(
    "SCENARIO 31: `interrupt` ends what has not begun, asks the owner of what has, and runs when that has ended",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      yield* backend.create(newTask("t2"), enqueue)
      yield* backend.create(newTask("t3"), enqueue)
      const created = yield* backend.create(newTask("t4"), { onBusy: "interrupt", maxQueued: 0 })
      assert.deepStrictEqual(created.head, Option.none())
      assert.deepStrictEqual(created.cancelled, [taskId("t2"), taskId("t3")])
      assert.deepStrictEqual(created.cancelling, [taskId("t1")])
      assert.deepStrictEqual(yield* backend.intents(taskId("t1")), [
        { key: "cancel", value: { reason: interruptReason } }
      ])
      assert.strictEqual((yield* backend.get(taskId("t2"))).status, "cancelled")
      assert.deepStrictEqual(types(yield* log("t3")), ["ack", "cancelled"])
      assert.strictEqual((yield* backend.get(taskId("t1"))).status, "running")
      assert.strictEqual(headId(yield* end(owner)), taskId("t4"))
    })
  )

  test(
    "`interrupt` becomes the head at once where nothing has begun, and asks an owner only once",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* backend.create(newTask("t1"), reject)
      const second = yield* backend.create(newTask("t2"), interrupt)
      assert.strictEqual(headId(second.head), taskId("t2"))
      assert.deepStrictEqual(second.cancelled, [taskId("t1")])
      yield* claim("t2")
      yield* backend.create(newTask("t3"), interrupt)
      const fourth = yield* backend.create(newTask("t4"), interrupt)
      assert.deepStrictEqual(fourth.cancelled, [taskId("t3")])
      assert.deepStrictEqual(fourth.cancelling, [taskId("t2")])
      assert.strictEqual((yield* backend.intents(taskId("t2"))).length, 1)
    })
  )
}

/** Repetitions: a race may not show in one of them. */
const rounds = Array.range(1, 20)

const racing = (test: Test): void => {
  test(
    "P2: a task accepted while the one before it ends may run, by that end or at once",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      for (const round of rounds) {
        const conversationId_ = conversationId(`c${round}`)
        const owner = yield* begin(`first${round}`, { conversationId: conversationId_ })
        const next = newTask(`next${round}`, { conversationId: conversationId_ })
        const [promoted, { head }] = yield* Effect.all([end(owner), backend.create(next, enqueue)], { concurrency: 2 })
        assert.deepStrictEqual([promoted, head].flatMap((head) => headId(head) ?? []), [next.id])
        assert.strictEqual((yield* claim(next.id)).taskId, next.id)
      }
    })
  )

  test(
    "P2, P7: one cancelled while the one before it ends leaves the one behind it to run",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      for (const round of rounds) {
        const conversationId_ = conversationId(`c${round}`)
        const owner = yield* begin(`first${round}`, { conversationId: conversationId_ })
        const next = newTask(`next${round}`, { conversationId: conversationId_ })
        const last = newTask(`last${round}`, { conversationId: conversationId_ })
        yield* backend.create(next, enqueue)
        yield* backend.create(last, enqueue)
        const [ended, cancelled] = yield* Effect.all([
          end(owner),
          backend.putIntent(next.id, { key: cancelKey, value: {} })
        ], { concurrency: 2 })
        // The first promotion may be of the one that was cancelled after it.
        assert.include([headId(ended), headId(cancelled.promoted)], last.id)
        assert.strictEqual((yield* backend.get(next.id)).status, "cancelled")
        assert.strictEqual((yield* claim(last.id)).taskId, last.id)
      }
    })
  )
}

const reading = (test: Test): void => {
  test(
    "P12, SCENARIO 32: what belongs to another user does not exist",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* begin("t1")
      assert.strictEqual((yield* backend.get(taskId("t1"), { userId: alice })).id, taskId("t1"))
      const error = yield* Effect.flip(backend.get(taskId("t1"), { userId: bob }))
      assert.deepInclude(error, { _tag: "TaskNotFound", taskId: taskId("t1") })
      const intent = { key: "cancel", value: {} }
      assert.strictEqual(
        (yield* Effect.flip(backend.putIntent(taskId("t1"), intent, { userId: bob })))._tag,
        "TaskNotFound"
      )
      assert.deepStrictEqual(yield* backend.intents(taskId("t1")), [])
      assert.deepStrictEqual(yield* backend.list({ userId: bob, limit: 10 }), [])
      assert.deepStrictEqual(yield* backend.list({ userId: bob, conversationId: conversation, limit: 10 }), [])
      yield* backend.deleteConversation({ conversationId: conversation, userId: bob })
      assert.strictEqual((yield* backend.get(taskId("t1"))).status, "running")
    })
  )

  test(
    "lists a user's tasks newest first by id, filtered, in pages",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const c2 = conversationId("c2")
      yield* end(yield* begin("t1"))
      yield* begin("t2")
      yield* backend.create(newTask("t3"), enqueue)
      yield* backend.create(newTask("t4", { conversationId: c2 }), enqueue)
      yield* backend.create(newTask("t5", { conversationId: conversationId("c3"), userId: bob }), enqueue)
      const ids = (options: Partial<Parameters<typeof backend.list>[0]>) =>
        Effect.map(backend.list({ userId: alice, limit: 1000, ...options }), Array.map((task) => task.id))
      assert.deepStrictEqual(yield* ids({}), ["t4", "t3", "t2", "t1"].map(taskId))
      assert.deepStrictEqual(yield* ids({ limit: 2 }), ["t4", "t3"].map(taskId))
      assert.deepStrictEqual(yield* ids({ limit: 2, before: taskId("t3") }), ["t2", "t1"].map(taskId))
      assert.deepStrictEqual(yield* ids({ conversationId: c2 }), [taskId("t4")])
      assert.deepStrictEqual(yield* ids({ status: ["running", "completed"] }), ["t2", "t1"].map(taskId))
      assert.deepStrictEqual(yield* ids({ status: [] }), [])
      assert.deepStrictEqual(yield* ids({ conversationId: conversationId("none") }), [])
    })
  )

  test(
    "the newest seq of many tasks; those that are not there are left out",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      yield* backend.append([{ claim: owner, events: stored(2, text("t1", "a"), text("t1", "b")) }])
      yield* backend.create(newTask("t2", { conversationId: conversationId("c2") }), reject)
      const found = yield* backend.lastSeqs([taskId("t1"), taskId("none"), taskId("t2")])
      assert.sameDeepMembers([...found], [{ taskId: taskId("t1"), lastSeq: 3 }, { taskId: taskId("t2"), lastSeq: 1 }])
      assert.deepStrictEqual(yield* backend.lastSeqs([]), [])
    })
  )
}

export const define = (test: Test): void => {
  accepting(test)
  busy(test)
  racing(test)
  reading(test)
}
