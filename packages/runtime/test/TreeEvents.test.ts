/** The stream of a task and of the tasks below it. */
import { assert, describe, it } from "@effect/vitest"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type EventPlace, placeOf } from "@perennial/domain/EventPlace"
import { childTaskId, TaskId, UserId } from "@perennial/domain/Ids"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Duration, Effect, Fiber, Queue, Stream } from "effect"
import { ask, makeResearcher, makeWriter } from "../../../test/support/delegating.ts"
import { adjust, settle } from "./support/agentTask.ts"
import { storedLog, untilEnded } from "./support/invariants.ts"
import { type Process, shared, startProcess, type Store } from "./support/processes.ts"

/** The logs in the order that the stream promises. */
const treeOf = (both: Store, id: TaskId): Effect.Effect<ReadonlyArray<StoredEvent>> =>
  Effect.gen(function*() {
    const all: Array<StoredEvent> = []
    for (const stored of yield* Effect.orDie(storedLog(both, id))) {
      all.push(stored)
      const { event } = stored
      if (event.type === "tool_call" && event.childTaskId !== undefined) {
        all.push(...yield* treeOf(both, event.childTaskId))
      }
    }
    return all
  })

const follow = Effect.fnUntraced(function*({ manager }: Process, id: TaskId, after?: EventPlace) {
  const seen = yield* Queue.unbounded<StoredEvent>()
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(yield* manager.treeEvents(id, { after }), (event) => Queue.offer(seen, event))
  )
  yield* settle
  return { seen, fiber }
})

/** A parent with two children at once, the first of which asks a third, and a later child. */
const makeFamily = Effect.gen(function*() {
  const both = yield* shared
  const researcher = yield* makeResearcher
  const editor = yield* makeWriter([[ask("deep")], ["edited"]], { agentId: "editor" })
  const writer = yield* makeWriter([[ask("oak"), ask("elm")], [ask("ash")], ["written"]])
  const process = yield* startProcess(both, [writer, editor, researcher.agent])
  const { id } = yield* process.manager.start({ message: "Write." })
  return { both, id, process, researcher }
})

describe("the events of a task and its child tasks", () => {
  it.effect("P3: live and from every place on, each event once, a child's after the event that names it", () =>
    Effect.gen(function*() {
      const { both, id, process, researcher } = yield* makeFamily
      const early = yield* follow(process, id)
      yield* Queue.takeN(researcher.begun, 2)
      // The reader met the event before the child was there.
      yield* adjust("1 second")
      const first = yield* Queue.takeBetween(early.seen, 1, 100)
      // The second child runs, but its events come after those of the first.
      assert.deepStrictEqual(first.map(placeOf).at(-1), { taskId: childTaskId(id, 1), seq: 2 })
      yield* researcher.release.open
      yield* untilEnded(both, id)
      const all = yield* treeOf(both, id)
      yield* adjust("1 second")
      yield* Fiber.join(early.fiber)
      assert.deepStrictEqual([...first, ...yield* Queue.takeBetween(early.seen, 1, 1_000)], all)
      assert.deepStrictEqual(new Set(all.map((stored) => placeOf(stored).taskId)).size, 4)
      for (const [i, stored] of all.entries()) {
        const late = yield* process.manager.treeEvents(id, { after: placeOf(stored) })
        assert.deepStrictEqual(yield* Stream.runCollect(late), all.slice(i + 1))
      }
      // A child is a root of its own.
      const below = yield* Stream.runCollect(yield* process.manager.treeEvents(childTaskId(id, 1)))
      assert.deepStrictEqual(below, yield* treeOf(both, childTaskId(id, 1)))
    }))

  it.effect("a child that its parent never started is passed over", () =>
    Effect.gen(function*() {
      const { both, id, process } = yield* makeFamily
      const { backend } = both
      yield* settle
      yield* Effect.forkChild(process.manager.cancel(id))
      yield* untilEnded(both, id)
      const all = yield* treeOf(both, id)
      const child = childTaskId(id, 1)
      yield* backend.deleteConversation({
        conversationId: (yield* backend.get(child)).conversationId,
        userId: UserId.make("local")
      })
      const seen = yield* Stream.runCollect(yield* process.manager.treeEvents(id))
      assert.deepStrictEqual(seen, all.filter((stored) => placeOf(stored).taskId !== child))
    }))

  it.effect("P12: the place and the task belong to the user; a place of another tree is none", () =>
    Effect.gen(function*() {
      const { both, id, process, researcher } = yield* makeFamily
      yield* researcher.release.open
      yield* untilEnded(both, id)
      const other = yield* process.manager.start({ message: "x", agentId: "researcher" })
      yield* untilEnded(both, other.id)
      const refusal = (after: EventPlace | undefined, task = id) =>
        Effect.map(Effect.flip(process.manager.treeEvents(task, { after })), ({ _tag }) => _tag)
      assert.strictEqual(yield* refusal({ taskId: other.id, seq: 1 }), "TaskNotFound")
      assert.strictEqual(yield* refusal({ taskId: id, seq: 1 }, childTaskId(id, 1)), "TaskNotFound")
      assert.strictEqual(yield* refusal({ taskId: TaskId.make("none"), seq: 1 }), "TaskNotFound")
      assert.strictEqual(yield* refusal({ taskId: childTaskId(id, 1), seq: 99 }), "CursorAhead")
      assert.strictEqual(
        yield* Effect.provideService(refusal(undefined), CurrentUser, UserId.make("mallory")),
        "TaskNotFound"
      )
      yield* both.backend.prune({ finishedFor: Duration.zero, limit: 100 })
      assert.strictEqual(yield* refusal(undefined), "EventsExpired")
      assert.strictEqual(yield* refusal({ taskId: childTaskId(id, 1), seq: 1 }), "EventsExpired")
      const { lastSeq } = yield* both.backend.get(id)
      const end = yield* process.manager.treeEvents(id, { after: { taskId: id, seq: lastSeq } })
      assert.deepStrictEqual(yield* Stream.runCollect(end), [])
    }))
})
