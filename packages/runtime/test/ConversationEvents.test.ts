/** The stream of a conversation: the events of one task after the other. */
import { assert, describe, it } from "@effect/vitest"
import { make as makeAgent } from "@perennial/domain/Agent"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type EventPlace, placeOf, taskIdOf } from "@perennial/domain/EventPlace"
import { ConversationId, TaskId, UserId } from "@perennial/domain/Ids"
import { text as textOf } from "@perennial/domain/Message"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { zero } from "@perennial/domain/Usage"
import { Array, Duration, Effect, Fiber, Latch, Queue, Stream } from "effect"
import { adjust, settle } from "./support/agentTask.ts"
import { type Process, shared, startProcess } from "./support/processes.ts"

const c1 = ConversationId.make("c1")

/** Repeats the user's message. A message with `hold` waits for the gate. */
const makeEcho = Effect.map(Latch.make(false), (gate) => ({
  gate,
  agent: makeAgent("echo", (input, emit) =>
    Effect.gen(function*() {
      const last = input.history[input.history.length - 1]
      const said = last === undefined ? "" : textOf(last)
      yield* emit([{ type: "text", content: said }])
      if (said.includes("hold")) yield* gate.await
      yield* emit([{
        type: "message",
        message: { role: "assistant", content: [{ type: "text", text: said }] },
        usage: zero
      }])
      return { usage: zero }
    }))
}))

const say = (process: Process, message: string, conversationId = "c1") =>
  process.manager.start({ message, conversationId, onBusy: "enqueue" })

/** Follows the conversation into a queue. */
const follow = Effect.fnUntraced(function*(process: Process, after?: EventPlace) {
  const seen = yield* Queue.unbounded<StoredEvent>()
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(yield* process.manager.conversationEvents(c1, { after }), (event) => Queue.offer(seen, event))
  )
  yield* settle
  return { seen, fiber }
})

/** The logs of tasks, one after the other. */
const logsOf = Effect.fnUntraced(function*(process: Process, ids: ReadonlyArray<TaskId>) {
  const logs = yield* Effect.forEach(ids, (id) => Effect.flatMap(process.manager.events(id), Stream.runCollect))
  return logs.flat()
})

const one = Effect.gen(function*() {
  const echo = yield* makeEcho
  return { ...echo, process: yield* startProcess(yield* shared, [echo.agent]) }
})

describe("the events of a conversation", () => {
  it.effect("P1, P3: every task that is accepted appears, one after the other, old and new, each event once", () =>
    Effect.gen(function*() {
      const { gate, process } = yield* one
      const first = yield* say(process, "one")
      yield* process.manager.await(first.id)
      const second = yield* say(process, "hold two")
      const { seen } = yield* follow(process)
      const third = yield* say(process, "three")
      yield* adjust("1 second")
      // The third task has its `ack`, but its turn comes after the second task.
      assert.strictEqual((yield* Queue.takeAll(seen)).map(taskOf).at(-1), second.id)
      yield* gate.open
      yield* adjust("1 second")
      const fourth = yield* say(process, "four")
      yield* adjust("1 second")
      const all = yield* logsOf(process, [first, second, third, fourth].map(({ id }) => id))
      const { seen: again } = yield* follow(process)
      assert.deepStrictEqual(yield* Queue.takeAll(again), [...all])
      const rest = yield* Queue.takeAll(seen)
      assert.deepStrictEqual([...rest], all.slice(all.length - rest.length))
      assert.strictEqual(taskOf(rest.at(-1)), fourth.id)
    }))

  it.effect("P3: a reader that resumes after any event gets exactly the following ones", () =>
    Effect.gen(function*() {
      const { process } = yield* one
      const tasks = yield* Effect.forEach(["one", "two", "three"], (message) => say(process, message))
      yield* adjust("1 second")
      const all = yield* logsOf(process, tasks.map(({ id }) => id))
      for (const [i, event] of all.entries()) {
        const { seen } = yield* follow(process, placeOf(event))
        const rest = yield* Queue.clear(seen)
        assert.deepStrictEqual([...rest], all.slice(i + 1), `after event ${i}`)
      }
    }))

  it.effect("P3: tasks of another process appear, without hints within 18 seconds", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeEcho
      const both = yield* shared
      const [a, b] = [yield* startProcess(both, [agent]), yield* startProcess(both, [agent])]
      const first = yield* say(a, "one")
      yield* a.manager.await(first.id)
      const { seen } = yield* follow(b)
      const ids = [first.id]
      for (const message of ["two", "three"]) {
        ids.push((yield* say(a, message)).id)
        yield* adjust("24 seconds")
      }
      assert.deepStrictEqual([...yield* Queue.takeAll(seen)], yield* logsOf(a, ids))
    }))

  it.effect("P7: tasks that were cancelled before they began appear in their turn", () =>
    Effect.gen(function*() {
      const { gate, process } = yield* one
      const first = yield* say(process, "hold one")
      yield* settle
      const second = yield* say(process, "two")
      const third = yield* say(process, "three")
      const { seen } = yield* follow(process)
      yield* process.manager.cancel(second.id)
      yield* gate.open
      yield* adjust("1 second")
      const types = (yield* Queue.takeAll(seen)).map((event) => [String(taskOf(event)), String(event.event.type)])
      assert.deepStrictEqual(types, [
        ...["ack", "started", "text", "message", "done"].map((type) => [first.id, type]),
        ...["ack", "cancelled"].map((type) => [second.id, type]),
        ...["ack", "started", "text", "message", "done"].map((type) => [third.id, type])
      ])
    }))

  it.effect("P6: a reader that leaves changes nothing, and one that stalls holds up no other", () =>
    Effect.gen(function*() {
      const { process } = yield* one
      yield* say(process, "one")
      const stalled = yield* Latch.make(false)
      yield* Effect.forkScoped(
        Stream.runForEach(yield* process.manager.conversationEvents(c1), () => stalled.await)
      )
      const { fiber, seen } = yield* follow(process)
      const second = yield* say(process, "two")
      yield* adjust("1 second")
      assert.strictEqual(taskOf((yield* Queue.takeAll(seen)).at(-1)), second.id)
      yield* Fiber.interrupt(fiber)
      assert.strictEqual((yield* process.manager.await((yield* say(process, "three")).id)).task.status, "completed")
    }))

  it.effect("P12: a conversation of another user does not exist, and a place in another conversation is none", () =>
    Effect.gen(function*() {
      const { process } = yield* one
      const first = yield* say(process, "one")
      const other = yield* say(process, "two", "c2")
      yield* adjust("1 second")
      const open = (id: ConversationId, after?: EventPlace) =>
        Effect.flip(process.manager.conversationEvents(id, { after }))
      const asBob = Effect.provideService(CurrentUser, UserId.make("bob"))
      assert.strictEqual((yield* asBob(open(c1)))._tag, "ConversationNotFound")
      assert.strictEqual((yield* open(ConversationId.make("none")))._tag, "ConversationNotFound")
      for (const taskId of [other.id, TaskId.make("none")]) {
        assert.deepInclude(yield* open(c1, { taskId, seq: 1 }), { _tag: "EventsExpired", taskId })
      }
      const ahead = yield* open(c1, { taskId: first.id, seq: 99 })
      assert.deepInclude(ahead, { _tag: "CursorAhead", taskId: first.id, after: 99, lastSeq: 5 })
    }))

  it.effect("SCENARIO 9: logs that are gone are refused before the stream; after them a reader may follow", () =>
    Effect.gen(function*() {
      const { agent } = yield* makeEcho
      const both = yield* shared
      const process = yield* startProcess(both, [agent])
      const tasks = yield* Effect.forEach(["one", "two"], (message) => say(process, message))
      yield* adjust("1 second")
      yield* both.backend.prune({ finishedFor: Duration.zero, limit: 10 })
      const [first, second] = tasks.map(({ id }) => id)
      assert(first !== undefined && second !== undefined)
      const places = [undefined, { taskId: first, seq: 2 }, { taskId: first, seq: 5 }, { taskId: second, seq: 2 }]
      for (const after of places) {
        const refused = yield* Effect.flip(process.manager.conversationEvents(c1, { after }))
        assert.strictEqual(refused._tag, "EventsExpired")
      }
      const { seen } = yield* follow(process, { taskId: second, seq: 5 })
      const third = yield* say(process, "three")
      yield* adjust("1 second")
      assert.deepStrictEqual([...yield* Queue.takeAll(seen)], yield* logsOf(process, [third.id]))
    }))

  it.effect("the stream ends when the conversation is deleted", () =>
    Effect.gen(function*() {
      const { process } = yield* one
      yield* say(process, "one")
      const { fiber, seen } = yield* follow(process)
      yield* adjust("1 second")
      yield* process.manager.deleteConversation(c1)
      yield* adjust("18 seconds")
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(Array.dedupe((yield* Queue.takeAll(seen)).map(({ event }) => taskIdOf(event))).length, 1)
    }))
})

const taskOf = (event: StoredEvent | undefined) => event && taskIdOf(event.event)
