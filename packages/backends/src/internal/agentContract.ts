/**
 * The contract of heads whose agent not every process has.
 */
import { assert } from "@effect/vitest"
import { AgentId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Duration, Effect, Option } from "effect"
import { TestClock } from "effect/testing"
import {
  begin,
  claim,
  conversationId,
  die,
  end,
  enqueue,
  headIds,
  newTask,
  reject,
  runnerA,
  runnerB,
  taskId,
  type Test
} from "./contractTask.ts"

const ours = AgentId.make("ours")
const theirs = AgentId.make("theirs")

/** A task in a conversation of its own. */
const task = (id: string, agentId: AgentId) => ({ agentId, conversationId: conversationId(`c-${id}`) })

/** The heads that concern a process which has our agent alone. */
const concerning = (options: { readonly limit?: number; readonly staleFor?: Duration.Duration } = {}) =>
  Effect.flatMap(
    TaskBackend,
    (backend) => Effect.map(backend.unowned({ limit: 10, agentIds: [ours], ...options }), headIds)
  )

export const define = (test: Test): void => {
  test(
    "P8: a process is told of the heads of its agents, however many older ones of others there are",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      for (const id of ["t1", "t2", "t3"]) yield* backend.create(newTask(id, task(id, theirs)), reject)
      yield* begin("t4", task("t4", theirs))
      yield* backend.release(yield* begin("t5", task("t5", theirs)))
      yield* backend.create(newTask("t6", task("t6", ours)), reject)
      yield* begin("t7", task("t7", ours))
      yield* die(runnerA)
      yield* backend.create(newTask("t8", task("t8", ours)), reject)
      assert.deepStrictEqual(yield* concerning(), ["t6", "t7", "t8"].map(taskId))
      assert.deepStrictEqual(yield* concerning({ limit: 1 }), [taskId("t6")])
      const all = yield* backend.unowned({ limit: 10, agentIds: [theirs, ours] })
      assert.deepStrictEqual(all, yield* backend.unowned({ limit: 10 }))
      assert.deepStrictEqual(all.map(({ agentId }) => agentId), [...Array.replicate(theirs, 5), ours, ours, ours])
      assert.deepStrictEqual(yield* backend.unowned({ limit: 10, agentIds: [AgentId.make("none")] }), [])
    })
  )

  test(
    "a head that is accepted or promoted says which agent it is for",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const { head } = yield* backend.create(newTask("t1", { agentId: ours }), reject)
      assert.strictEqual(Option.getOrThrow(head).agentId, ours)
      yield* backend.create(newTask("t2", { agentId: theirs }), enqueue)
      yield* backend.create(newTask("t3", { agentId: ours }), enqueue)
      const second = yield* end(yield* claim("t1"))
      assert.strictEqual(Option.getOrThrow(second).agentId, theirs)
      assert.deepStrictEqual(yield* concerning(), [])
      const { promoted } = yield* backend.putIntent(taskId("t2"), { key: "cancel", value: {} })
      assert.strictEqual(Option.getOrThrow(promoted).agentId, ours)
      assert.deepStrictEqual(yield* concerning(), [taskId("t3")])
    })
  )

  test(
    "P7: anybody may end a head with a recorded cancel, whatever its agent",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const cancel = (id: string) => backend.putIntent(taskId(id), { key: "cancel", value: {} })
      const released = yield* begin("t1", task("t1", theirs))
      yield* begin("t2", task("t2", theirs))
      yield* begin("t3", task("t3", theirs))
      yield* backend.putIntent(taskId("t3"), { key: "decision/call", value: { approved: true } })
      yield* cancel("t1")
      yield* cancel("t2")
      assert.deepStrictEqual(yield* concerning(), [])
      yield* backend.release(released)
      assert.deepStrictEqual(yield* concerning(), [taskId("t1")])
      yield* die(runnerA)
      assert.deepStrictEqual(yield* concerning(), ["t1", "t2"].map(taskId))
      assert.deepStrictEqual(yield* concerning({ limit: 1 }), [taskId("t1")])
      yield* cancel("t3")
      assert.deepStrictEqual(yield* concerning(), ["t1", "t2", "t3"].map(taskId))
      yield* end(yield* claim("t1", runnerB, 1))
      assert.deepStrictEqual(yield* concerning(), ["t2", "t3"].map(taskId))
    })
  )

  test(
    "P8: anybody may end a stale head, whatever its agent",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const always = { staleFor: Duration.zero }
      const later = { staleFor: Duration.hours(1) }
      const never = { staleFor: Duration.infinity }
      yield* backend.create(newTask("t1", task("t1", theirs)), reject)
      for (const none of [later, never, {}]) assert.deepStrictEqual(yield* concerning(none), [])
      assert.deepStrictEqual(yield* concerning(always), [taskId("t1")])
      const owner = yield* claim("t1")
      assert.deepStrictEqual(yield* concerning(always), [])
      yield* backend.release(owner)
      assert.deepStrictEqual(yield* concerning(later), [])
      assert.deepStrictEqual(yield* concerning(always), [taskId("t1")])
      yield* claim("t1", runnerA, 1)
      yield* die(runnerA)
      assert.deepStrictEqual(yield* concerning(later), [])
      assert.deepStrictEqual(yield* concerning(always), [taskId("t1")])
    })
  )
}

/** For backends whose clock is `Clock`. */
export const defineClock = (test: Test): void => {
  test(
    "a task that waited behind others is stale only when it could have been claimed for as long",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1")
      for (const id of ["t2", "t3"]) yield* backend.create(newTask(id, { agentId: theirs }), enqueue)
      const staleFor = (millis: number) => concerning({ staleFor: Duration.millis(millis) })
      yield* TestClock.adjust("1 hour")
      yield* end(owner)
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* staleFor(1001), [])
      assert.deepStrictEqual(yield* staleFor(1000), [taskId("t2")])
      yield* backend.putIntent(taskId("t2"), { key: "cancel", value: {} })
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(yield* staleFor(1001), [])
      assert.deepStrictEqual(yield* staleFor(1000), [taskId("t3")])
    })
  )

  test(
    "a begun task is stale by the time of its first claim",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const owner = yield* begin("t1", task("t1", theirs))
      yield* TestClock.adjust("1 minute")
      yield* backend.release(owner)
      assert.deepStrictEqual(yield* concerning({ staleFor: Duration.millis(60_001) }), [])
      assert.deepStrictEqual(yield* concerning({ staleFor: Duration.minutes(1) }), [taskId("t1")])
    })
  )
}
