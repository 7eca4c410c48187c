/**
 * The contract of claims, leases and heads without an owner.
 */
import { assert } from "@effect/vitest"
import { RunnerId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Duration, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import {
  alice,
  begin,
  claim,
  conversation,
  conversationId,
  die,
  end,
  enqueue,
  headId,
  headIds,
  interrupted,
  live,
  log,
  message,
  newTask,
  partial,
  reject,
  runnerA,
  runnerB,
  stored,
  taskId,
  type Test,
  text,
  toolResult,
  tryClaim,
  wholeSpec
} from "./contractTask.ts"

const claims = (test: Test): void => {
  test(
    "the owners of many tasks, dead or alive; tasks without an owner are left out",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const c = (id: string) => ({ conversationId: conversationId(id) })
      yield* begin("t1", c("c1"))
      yield* backend.create(newTask("t2", c("c2")), reject)
      yield* claim("t2", runnerB)
      yield* die(runnerB)
      yield* backend.create(newTask("t3", c("c3")), reject)
      yield* backend.release(yield* begin("t4", c("c4")))
      yield* end(yield* begin("t5", c("c5")))
      const ids = ["t1", "t2", "t3", "t4", "t5", "none"].map(taskId)
      assert.sameDeepMembers([...yield* backend.owners(ids)], [
        { taskId: taskId("t1"), runnerId: runnerA },
        { taskId: taskId("t2"), runnerId: runnerB }
      ])
      assert.deepStrictEqual(yield* backend.owners([]), [])
    })
  )

  test(
    "a claim has the data that an execution needs",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const task = newTask("t1", { spec: wholeSpec, idempotency: { key: "k", requestHash: "h" } })
      const created = yield* backend.create(task, reject)
      const owner = yield* claim("t1")
      const { createdAt, now, startedAt, ...rest } = owner
      assert.deepStrictEqual(rest, {
        taskId: taskId("t1"),
        conversationId: conversation,
        userId: alice,
        agentId: task.agentId,
        runnerId: runnerA,
        token: 1,
        attempt: 1,
        failures: 0,
        lastSeq: 1,
        input: task.input,
        spec: wholeSpec,
        intents: 0
      })
      assert.strictEqual(createdAt, created.task.createdAt.epochMilliseconds)
      assert.isAtLeast(startedAt, createdAt)
      assert.isAtLeast(now, startedAt)
      assert.deepInclude(yield* backend.get(taskId("t1")), { status: "running", attempt: 1 })
    })
  )

  test(
    "only one of 20 concurrent runners becomes the owner",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* backend.create(newTask("t1"), reject)
      const all = yield* Effect.forEach(Array.range(1, 20), (i) => {
        const runnerId = RunnerId.make(`runner-${i}`)
        return Effect.andThen(live(runnerId), tryClaim("t1", runnerId))
      }, { concurrency: "unbounded" })
      assert.strictEqual(all.filter(Option.isSome).length, 1)
    })
  )

  test(
    "a claim needs an active head and its present token",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* live(runnerA)
      const attempt = (id: string, expectedToken: number) =>
        Effect.map(tryClaim(id, runnerA, expectedToken), Option.isSome)
      assert.isFalse(yield* attempt("none", 0))
      yield* backend.create(newTask("t1"), reject)
      yield* backend.create(newTask("t2"), enqueue)
      assert.isFalse(yield* attempt("t1", 1))
      assert.isFalse(yield* attempt("t2", 0))
      const owner = yield* claim("t1")
      yield* end(owner)
      assert.isFalse(yield* attempt("t1", 0))
      assert.isFalse(yield* attempt("t1", 1))
      assert.isTrue(yield* attempt("t2", 0))
    })
  )

  test(
    "a lost reply: the same claim id gets the claim again that it won",
    Effect.gen(function*() {
      const { now: _, ...owner } = yield* begin("t1")
      for (const runner of [runnerA, runnerB]) yield* live(runner)
      for (let i = 0; i < 2; i++) {
        assert.deepInclude(yield* Effect.fromOption(yield* tryClaim("t1")), owner)
        assert.deepStrictEqual(yield* tryClaim("t1", runnerB), Option.none())
      }
      yield* die(runnerA)
      const { now: __, ...second } = yield* claim("t1", runnerB, 1)
      assert.deepStrictEqual(yield* tryClaim("t1"), Option.none())
      assert.deepInclude(yield* Effect.fromOption(yield* tryClaim("t1", runnerB, 1)), second)
    })
  )

  test(
    "P9, P10: the claim of an execution is not given to another execution, also not of the same runner",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      // The first execution gave up without a word; the second saw the task before the first did, or after it.
      assert.deepStrictEqual(yield* tryClaim("t1", runnerA, 0, 2), Option.none())
      assert.deepStrictEqual(yield* tryClaim("t1", runnerA, 1, 2), Option.none())
      assert.deepStrictEqual((yield* live(runnerA)).owned, [{ taskId: taskId("t1"), token: 1, intents: 0 }])
      yield* backend.release(owner)
      assert.deepStrictEqual(yield* tryClaim("t1", runnerA, 0, 1), Option.none())
      assert.deepStrictEqual(yield* tryClaim("t1", runnerA, 0, 2), Option.none())
      const second = yield* Effect.fromOption(yield* tryClaim("t1", runnerA, 1, 2))
      assert.deepInclude(second, { token: 2, attempt: 2, failures: 0 })
      assert.deepStrictEqual(yield* tryClaim("t1", runnerA, 0, 1), Option.none())
    })
  )

  test(
    "P9: of 20 executions of one runner that claim the same head at once, one gets the claim",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* backend.create(newTask("t1"), reject)
      yield* live(runnerA)
      const all = yield* Effect.forEach(
        Array.range(1, 20),
        (execution) => tryClaim("t1", runnerA, 0, execution),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(all.filter(Option.isSome).length, 1)
      const [again] = all.flatMap((one, i) => Option.isSome(one) ? [i + 1] : [])
      assert.isTrue(Option.isSome(yield* tryClaim("t1", runnerA, 0, again)))
    })
  )

  test(
    "P8: an engine that was told to execute a task again reads its head, with the present token, whoever owns it",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const headOf = (id: string) => backend.head(taskId(id))
      const { head } = yield* backend.create(newTask("t1"), reject)
      yield* backend.create(newTask("t2"), enqueue)
      assert.deepStrictEqual(yield* headOf("t1"), head)
      assert.deepStrictEqual(yield* headOf("t2"), Option.none())
      assert.deepStrictEqual(yield* headOf("none"), Option.none())
      const owner = yield* claim("t1")
      const { agentId } = owner
      const claimed = { taskId: taskId("t1"), conversationId: conversation, agentId, token: 1 }
      assert.deepStrictEqual(yield* headOf("t1"), Option.some(claimed))
      yield* backend.release(owner)
      assert.deepStrictEqual(yield* headOf("t1"), Option.some(claimed))
      yield* end(yield* claim("t1", runnerB, 1))
      assert.deepStrictEqual(yield* headOf("t1"), Option.none())
      assert.strictEqual(headId(yield* headOf("t2")), taskId("t2"))
    })
  )

  test(
    "P8: the task of a live owner cannot be taken; that of a dead one can, and counts a failure",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const first = yield* begin("t1")
      yield* live(runnerB)
      const takeOver = tryClaim("t1", runnerB, 1)
      assert.deepStrictEqual(yield* takeOver, Option.none())
      yield* die(runnerA)
      const second = yield* Effect.fromOption(yield* takeOver)
      assert.deepInclude(second, { token: 2, attempt: 2, failures: 1, runnerId: runnerB, startedAt: first.startedAt })
      assert.deepInclude(yield* backend.get(taskId("t1")), { status: "running", attempt: 2 })
    })
  )

  test(
    "P9, SCENARIO 27: an owner that lost its task can neither append, finish nor release",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const zombie = yield* begin("t1")
      yield* die(runnerA)
      const owner = yield* claim("t1", runnerB, 1)
      const events = stored(2, text("t1", "late"))
      assert.deepInclude((yield* backend.append([{ claim: zombie, events }]))[0], { ok: false })
      assert.strictEqual((yield* Effect.flip(end(zombie)))._tag, "LeaseLost")
      yield* backend.release(zombie)
      assert.deepStrictEqual(yield* backend.unowned({ limit: 10 }), [])
      const results = yield* backend.append([{ claim: zombie, events }, { claim: owner, events }])
      assert.deepStrictEqual(results.map((result) => result.ok), [false, true])
      assert.strictEqual((yield* log("t1")).length, 2)
    })
  )

  test(
    "P8, SCENARIO 26: a released task has no owner, may be claimed at once, and counts no failure",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      yield* backend.release(owner)
      assert.deepStrictEqual(yield* backend.unowned({ limit: 10 }), [
        { taskId: taskId("t1"), conversationId: conversation, agentId: owner.agentId, token: 1 }
      ])
      const [late] = yield* backend.append([{ claim: owner, events: stored(2, text("t1", "late")) }])
      assert.deepInclude(late, { ok: false })
      assert.strictEqual((yield* Effect.flip(end(owner)))._tag, "LeaseLost")
      assert.deepInclude(yield* claim("t1", runnerB, 1), { token: 2, attempt: 2, failures: 0, lastSeq: 1 })
    })
  )

  test(
    "failures add up until a message or a tool result shows progress",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* begin("t1")
      yield* die(runnerA)
      yield* claim("t1", runnerB, 1)
      yield* die(runnerB)
      const third = yield* claim("t1", runnerA, 2)
      assert.strictEqual(third.failures, 2)
      yield* backend.append([{ claim: third, events: stored(2, text("t1", "no progress")) }])
      yield* die(runnerA)
      const fourth = yield* claim("t1", runnerB, 3)
      assert.strictEqual(fourth.failures, 3)
      yield* backend.append([{ claim: fourth, events: stored(3, message("t1")) }])
      yield* die(runnerB)
      const fifth = yield* claim("t1", runnerA, 4)
      assert.strictEqual(fifth.failures, 1)
      yield* backend.append([{ claim: fifth, events: stored(4, toolResult("t1")) }])
      yield* backend.release(fifth)
      assert.strictEqual((yield* claim("t1", runnerB, 5)).failures, 0)
    })
  )

  test(
    "P8: events that settle a log are no progress: a cut answer, the result of a cut call",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* begin("t1")
      yield* die(runnerA)
      const second = yield* claim("t1", runnerB, 1)
      yield* backend.append([{ claim: second, events: stored(2, partial("t1"), interrupted("t1")) }])
      yield* die(runnerB)
      assert.strictEqual((yield* claim("t1", runnerA, 2)).failures, 2)
    })
  )
}

const leases = (test: Test): void => {
  test(
    "a heartbeat returns what the runner owns, with the number of intents",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const first = yield* live(runnerA)
      assert.deepStrictEqual(first.owned, [])
      yield* begin("t1")
      yield* begin("t2", { conversationId: conversationId("c2") })
      const owner = yield* begin("t3", { conversationId: conversationId("c3") })
      yield* backend.putIntent(taskId("t2"), { key: "cancel", value: {} })
      yield* end(owner)
      const { now, owned } = yield* live(runnerA)
      assert.sameDeepMembers([...owned], [
        { taskId: taskId("t1"), token: 1, intents: 0 },
        { taskId: taskId("t2"), token: 1, intents: 1 }
      ])
      assert.deepStrictEqual((yield* live(runnerB)).owned, [])
      // The clock of a claim.
      assert.isAtMost(first.now, owner.now)
      assert.isAtMost(owner.now, now)
    })
  )

  test(
    "a heartbeat renews a lease that has run out, unless the task was taken",
    Effect.gen(function*() {
      yield* begin("t1")
      yield* begin("t2", { conversationId: conversationId("c2") })
      assert.strictEqual((yield* die(runnerA)).owned.length, 2)
      yield* claim("t2", runnerB, 1)
      const { owned } = yield* live(runnerA)
      assert.deepStrictEqual(owned, [{ taskId: taskId("t1"), token: 1, intents: 0 }])
      assert.deepStrictEqual(yield* tryClaim("t1", runnerB, 1), Option.none())
    })
  )

  test(
    "heads that nobody owns, oldest first: never claimed, released, or of a dead owner",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const inConversation = (id: string) => ({ conversationId: conversationId(`c-${id}`) })
      const released = yield* begin("t1", inConversation("t1"))
      yield* begin("t2", inConversation("t2"))
      yield* backend.create(newTask("t3", inConversation("t3")), reject)
      yield* backend.create(newTask("t4", inConversation("t3")), enqueue)
      yield* backend.create(newTask("t5", inConversation("t5")), reject)
      yield* claim("t5", runnerB)
      assert.deepStrictEqual(headIds(yield* backend.unowned({ limit: 10 })), [taskId("t3")])
      yield* backend.release(released)
      yield* die(runnerA)
      assert.deepStrictEqual(headIds(yield* backend.unowned({ limit: 10 })), ["t1", "t2", "t3"].map(taskId))
      assert.deepStrictEqual(headIds(yield* backend.unowned({ limit: 2 })), ["t1", "t2"].map(taskId))
    })
  )
}

export const define = (test: Test): void => {
  claims(test)
  leases(test)
}

/** For backends whose clock is `Clock`. */
export const defineClock = (test: Test): void => {
  test(
    "claims and heartbeats say the time of the store",
    Effect.gen(function*() {
      yield* TestClock.setTime(5000)
      assert.strictEqual((yield* live(runnerA)).now, 5000)
      const owner = yield* begin("t1")
      assert.deepInclude(owner, { createdAt: 5000, startedAt: 5000, now: 5000 })
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* Effect.fromOption(yield* tryClaim("t1")), { startedAt: 5000, now: 6000 })
    })
  )

  test(
    "P8: a lease runs out after its time to live",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* begin("t1")
      yield* backend.heartbeat(runnerA, Duration.seconds(9))
      yield* TestClock.adjust("8999 millis")
      assert.deepStrictEqual(yield* backend.unowned({ limit: 10 }), [])
      yield* TestClock.adjust("1 millis")
      assert.deepStrictEqual(headIds(yield* backend.unowned({ limit: 10 })), [taskId("t1")])
    })
  )

  test(
    "an owner that has been alive for more than a minute clears the failures",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* begin("t1")
      yield* die(runnerA)
      const owner = yield* claim("t1", runnerB, 1)
      assert.strictEqual(owner.failures, 1)
      yield* TestClock.adjust("1 minute")
      yield* live(runnerB)
      yield* backend.release(owner)
      const second = yield* claim("t1", runnerB, 2)
      assert.strictEqual(second.failures, 1)
      yield* TestClock.adjust("60001 millis")
      yield* live(runnerB)
      yield* backend.release(second)
      assert.strictEqual((yield* claim("t1", runnerA, 3)).failures, 0)
    })
  )
}
