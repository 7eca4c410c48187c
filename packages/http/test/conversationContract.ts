/**
 * The suite for the events of a conversation, in process and over HTTP.
 */
import { assert, describe, it } from "@effect/vitest"
import { type EventPlace, placeOf, taskIdOf } from "@perennial/domain/EventPlace"
import { ConversationId, type TaskId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Effect, Fiber, Queue, Stream } from "effect"
import { type Fixture, type MakeFixture, startAndReach } from "./taskManagerContract.ts"

const c1 = ConversationId.make("c1")

type Manager = Fixture["manager"]

const logsOf = (manager: Manager, ids: ReadonlyArray<TaskId>) =>
  Effect.map(
    Effect.forEach(ids, (id) => Effect.flatMap(manager.events(id), Stream.runCollect)),
    (logs) => logs.flat().map(placeOf)
  )

/** Reads until the end of a task. */
const readUntilEnd = <E>(events: Stream.Stream<StoredEvent, E>, id: TaskId) =>
  Stream.runCollect(Stream.takeUntil(events, ({ event }) => event.type === "done" && taskIdOf(event) === id))

export const conversationContract = (name: string, makeFixture: MakeFixture) => {
  describe(`${name}: the events of a conversation`, () => {
    it.live("P1, P3: old and new tasks, one after the other, each event once, from any place on", () =>
      Effect.gen(function*() {
        const { gate, manager } = yield* makeFixture()
        const say = (message: string) => manager.start({ message, conversationId: c1, onBusy: "enqueue" })
        const first = yield* say("a b")
        yield* manager.await(first.id)
        const second = yield* startAndReach(manager, 3, { message: "a hold", conversationId: c1 })
        const seen = yield* Queue.unbounded<EventPlace>()
        const following = yield* Effect.forkChild(
          Stream.runForEach(yield* manager.conversationEvents(c1), (event) => Queue.offer(seen, placeOf(event)))
        )
        const third = yield* say("c")
        yield* gate.open
        yield* manager.await(third.id)
        const fourth = yield* say("d")
        yield* manager.await(fourth.id)
        const all = yield* logsOf(manager, [first, second, third, fourth].map(({ id }) => id))
        assert.deepStrictEqual(yield* Queue.takeN(seen, all.length), all)
        yield* Fiber.interrupt(following)
        for (const [i, after] of [...all.slice(0, -1).entries()].filter(([i]) => i % 3 === 0)) {
          const rest = yield* readUntilEnd(yield* manager.conversationEvents(c1, { after }), fourth.id)
          assert.deepStrictEqual(rest.map(placeOf), all.slice(i + 1))
        }
      }))

    it.live("SCENARIO 9, 10: an unknown conversation, an expired place and a place ahead are typed errors at once", () =>
      Effect.gen(function*() {
        const { expire, manager } = yield* makeFixture()
        const { id } = yield* manager.start({ message: "a", conversationId: c1 })
        yield* manager.await(id)
        const refused = (after?: EventPlace, conversation = c1) =>
          Effect.flip(manager.conversationEvents(conversation, { after }))
        assert.strictEqual((yield* refused(undefined, ConversationId.make("none")))._tag, "ConversationNotFound")
        const { lastSeq } = yield* manager.get(id)
        assert.deepInclude(yield* refused({ taskId: id, seq: 99 }), { _tag: "CursorAhead", after: 99, lastSeq })
        yield* expire
        assert.strictEqual((yield* refused())._tag, "EventsExpired")
        assert.strictEqual((yield* refused({ taskId: id, seq: 2 }))._tag, "EventsExpired")
        const events = yield* manager.conversationEvents(c1, { after: { taskId: id, seq: lastSeq } })
        const following = yield* Effect.forkChild(Stream.runHead(events))
        const next = yield* manager.start({ message: "b", conversationId: c1 })
        const head = yield* Effect.fromOption(yield* Fiber.join(following))
        assert.deepStrictEqual(placeOf(head), { taskId: next.id, seq: 1 })
      }))

    it.live("the stream ends when the conversation is deleted", () =>
      Effect.gen(function*() {
        const { manager } = yield* makeFixture()
        const { id } = yield* manager.start({ message: "a", conversationId: c1 })
        const read = yield* Queue.unbounded<StoredEvent>()
        const following = yield* Effect.forkChild(
          Stream.runForEach(yield* manager.conversationEvents(c1), (event) => Queue.offer(read, event))
        )
        while ((yield* Queue.take(read)).event.type !== "done");
        yield* manager.await(id)
        yield* manager.deleteConversation(c1)
        // A change of the user's tasks is a hint.
        yield* manager.start({ message: "b", conversationId: "c2" })
        yield* Fiber.join(following)
      }))
  })
}
