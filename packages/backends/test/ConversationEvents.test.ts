/** The events of a conversation in one process, with tasks that another process executes. */
import { assert } from "@effect/vitest"
import { make as makeAgent } from "@perennial/domain/Agent"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { type EventPlace, placeOf } from "@perennial/domain/EventPlace"
import { ConversationId, UserId } from "@perennial/domain/Ids"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import { Array, Effect, Fiber, Queue, Stream } from "effect"
import { onTwoProcesses } from "./support/twoProcesses.ts"

type Manager = TaskManager["Service"]

const agent = makeAgent("counting", (_, emit) =>
  Effect.gen(function*() {
    for (let i = 0; i < 5; i++) yield* emit([{ type: "text", content: `${i} ` }])
    return { usage: zero }
  }))

const asAlice = Effect.provideService(CurrentUser, UserId.make("alice"))
const c1 = ConversationId.make("c1")

const crosses = Effect.fnUntraced(function*(a: Manager, b: Manager) {
  const say = (process: Manager) => asAlice(process.start({ message: "a", conversationId: c1, onBusy: "enqueue" }))
  const read = Effect.fnUntraced(function*(from: Manager, after?: EventPlace) {
    const seen = yield* Queue.unbounded<EventPlace>()
    const reader = yield* Effect.forkScoped(
      Stream.runForEach(
        yield* asAlice(from.conversationEvents(c1, { after })),
        (one) => Queue.offer(seen, placeOf(one))
      )
    )
    return { reader, seen }
  })
  const first = yield* say(a)
  const { reader, seen } = yield* read(b)
  const tasks = [first, ...yield* Effect.forEach(Array.range(1, 9), (i) => say(i % 2 === 0 ? a : b))]
  const ended = yield* Effect.forEach(tasks, ({ id }) => asAlice(a.await(id)))
  const all = ended.flatMap(({ task }) => Array.range(1, task.lastSeq).map((seq) => ({ taskId: task.id, seq })))
  assert.deepStrictEqual(yield* Queue.takeN(seen, all.length), all)

  // Another process, with the same cursor.
  yield* Fiber.interrupt(reader)
  const half = all.length / 2
  const { seen: rest } = yield* read(a, all[half])
  const last = yield* say(b)
  assert.deepStrictEqual(yield* Queue.takeN(rest, all.length - half - 1), all.slice(half + 1))
  assert.deepStrictEqual(yield* Queue.take(rest), { taskId: last.id, seq: 1 })
})

onTwoProcesses({
  of: "the events of a conversation",
  name: "P1, P2, P3: the events of a conversation are the same in every process, and resume in another one",
  agent,
  test: crosses
})
