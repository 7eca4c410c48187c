import { assert, describe, it } from "@effect/vitest"
import { make as makeAgent } from "@perennial/domain/Agent"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { FeedUpdate } from "@perennial/domain/Feed"
import { AgentId, UserId } from "@perennial/domain/Ids"
import { zero } from "@perennial/domain/Usage"
import { Array, Effect, Latch, Queue, Stream } from "effect"
import { TestClock } from "effect/testing"
import { adjust, settle } from "./support/agentTask.ts"
import { shared, startProcess } from "./support/processes.ts"

const makeHolding = Effect.map(Latch.make(false), (gate) => ({
  gate,
  agent: makeAgent("holding", () => Effect.as(gate.await, { usage: zero }))
}))

const as = (user: string) => Effect.provideService(CurrentUser, UserId.make(user))

/** Reads the feed of a user. The reader takes an update only when the test does. */
const follow = Effect.fnUntraced(function*(process: Effect.Success<ReturnType<typeof startProcess>>, user: string) {
  const updates = yield* Queue.bounded<FeedUpdate>(1)
  yield* Effect.forkScoped(
    Stream.runForEach(yield* as(user)(process.manager.feed()), (update) => Queue.offer(updates, update))
  )
  yield* settle
  return updates
})

const statuses = (update: FeedUpdate) => update.tasks.map(({ status }) => status)

describe("the feed", () => {
  it.effect("P6: a slow reader of 1,000 tasks gets their latest state in one update, and then nothing", () =>
    Effect.gen(function*() {
      const { agent, gate } = yield* makeHolding
      const process = yield* startProcess(yield* shared, [agent], { capacity: 2_000 })
      const updates = yield* follow(process, "alice")
      assert.deepStrictEqual(yield* Queue.take(updates), { type: "snapshot", tasks: [], cursor: 0 })
      for (let i = 0; i < 1_000; i++) yield* as("alice")(process.manager.start({ message: "a" }))
      yield* adjust("1 second")
      // One update is in the queue, and the reader holds one. All other states are skipped.
      yield* gate.open
      yield* adjust("1 second")
      const taken = [yield* Queue.take(updates), yield* Queue.take(updates)]
      yield* adjust("1 second")
      const rest = yield* Queue.clear(updates)
      assert.isAtMost(rest.length, 1)
      const last = new Map([...taken, ...rest].flatMap(({ tasks }) => tasks.map(({ id, status }) => [id, status])))
      assert.strictEqual(last.size, 1_000)
      assert.deepStrictEqual(new Set(last.values()), new Set(["completed"]))
      yield* adjust("1 minute")
      assert.strictEqual(yield* Queue.size(updates), 0)
    }))

  it.effect("P11: of more than 1,000 ends the newest are kept, and none comes twice", () =>
    Effect.gen(function*() {
      const first = yield* makeHolding
      const second = yield* makeHolding
      const process = yield* startProcess(
        yield* shared,
        [first.agent, { ...second.agent, agentId: AgentId.make("second") }],
        { capacity: 2_000 }
      )
      // The newest tasks end first.
      const begin = (agentId: string, count: number) =>
        Effect.forEach(Array.range(1, count), () => as("alice")(process.manager.start({ message: "a", agentId })), {
          discard: true
        })
      yield* begin("holding", 1_000)
      yield* begin("second", 50)
      const updates = yield* follow(process, "alice")
      yield* Queue.take(updates)
      yield* second.gate.open
      yield* adjust("1 second")
      yield* first.gate.open
      yield* adjust("1 second")
      while ((yield* Queue.size(updates)) > 0) {
        yield* Queue.take(updates)
        yield* settle
      }
      yield* adjust("1 minute")
      assert.strictEqual(yield* Queue.size(updates), 0)
    }))

  it.effect("P12: another user's tasks never appear", () =>
    Effect.gen(function*() {
      const { agent, gate } = yield* makeHolding
      const process = yield* startProcess(yield* shared, [agent])
      yield* as("alice")(process.manager.start({ message: "a" }))
      const updates = yield* follow(process, "bob")
      assert.deepStrictEqual((yield* Queue.take(updates)).tasks, [])
      yield* as("alice")(process.manager.start({ message: "a" }))
      yield* gate.open
      yield* adjust("1 minute")
      assert.strictEqual(yield* Queue.size(updates), 0)
      const own = yield* as("bob")(process.manager.start({ message: "a" }))
      yield* adjust("1 second")
      assert.deepStrictEqual((yield* Queue.take(updates)).tasks.map(({ id }) => id), [own.id])
    }))

  it.effect("without hints, a change by another process appears within 18 seconds", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeHolding
      const both = yield* shared
      const a = yield* startProcess(both, [agent])
      const b = yield* startProcess(both, [agent])
      const updates = yield* follow(b, "alice")
      yield* Queue.take(updates)
      const { id } = yield* as("alice")(a.manager.start({ message: "a" }))
      yield* adjust("18 seconds")
      assert.deepStrictEqual((yield* Queue.take(updates)).tasks.map((task) => task.id), [id])
    }))

  it.effect("a store that fails for a while delays updates, and ends no feed", () =>
    Effect.gen(function*() {
      const { agent, gate } = yield* makeHolding
      const process = yield* startProcess(yield* shared, [agent])
      yield* as("alice")(process.manager.start({ message: "a" }))
      yield* settle
      const updates = yield* follow(process, "alice")
      assert.deepStrictEqual(statuses(yield* Queue.take(updates)), ["running"])
      process.line.fault = () => "refused"
      yield* TestClock.adjust("2 seconds")
      process.line.restore()
      yield* gate.open
      yield* adjust("30 seconds")
      assert.deepStrictEqual(statuses(yield* Queue.take(updates)), ["completed"])
    }))
})
