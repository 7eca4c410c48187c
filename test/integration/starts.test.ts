import { assert, describe, it } from "@effect/vitest"
import { TaskId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect } from "effect"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import { stores } from "../support/stores.ts"
import * as Talker from "../support/talker.ts"

const fifty = Array.from({ length: 50 }, (_, i) => i)

const all = { concurrency: "unbounded" } as const

/** The role and the task of each message of a conversation. */
const messages = (address: string, conversationId: string) =>
  Effect.map(
    Rest.get(`${address}/conversations/${conversationId}/messages?limit=100`),
    ({ body }): ReadonlyArray<{ readonly taskId: string; readonly role: string }> =>
      body.items.map(({ message, taskId }: { message: { role: string }; taskId: string }) => ({
        taskId,
        role: message.role
      }))
  )

describe.each(stores)("starts over HTTP, on %s", (_, store) => {
  const talker = () => {
    const { agent, gate } = Talker.makeTalker()
    return { gate, layer: Talker.layer(agent, store) }
  }

  const startAll = (address: string, onBusy: string) =>
    Effect.forEach(
      fifty,
      (i) => Rest.post(`${address}/tasks`, { message: `n${i} gate 1`, conversationId: "c1", onBusy }),
      all
    )

  it.live("P2, SCENARIO 30: of 50 concurrent starts one is 201, and 49 are 409 with its id; /chat is refused, too", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const answers = yield* startAll(address, "reject")
      const accepted = answers.filter(({ status }) => status === 201)
      const refused = answers.filter(({ status }) => status === 409)
      assert.deepStrictEqual([accepted.length, refused.length], [1, 49])
      const id = accepted[0]?.body.id
      assert.isTrue(refused.every(({ body }) => body.activeTaskId === id))
      const chat = yield* Rest.post(`${address}/chat`, { message: "me too", conversationId: "c1" })
      assert.deepStrictEqual([chat.status, chat.body.activeTaskId], [409, id])
      yield* gate.open
      yield* (yield* TaskManager).await(TaskId.make(id))
      assert.strictEqual((yield* Rest.get(`${address}/tasks`)).body.items.length, 1)
      assert.strictEqual((yield* Rest.post(`${address}/tasks`, { message: "n 1", conversationId: "c1" })).status, 201)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("P2, SCENARIO 30: with `enqueue` all 50 tasks run, one after the other", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const manager = yield* TaskManager
      const answers = yield* startAll(address, "enqueue")
      assert.isTrue(answers.every(({ status }) => status === 201))
      yield* gate.open
      const ids: ReadonlyArray<string> = answers.map(({ body }) => body.id)
      yield* Effect.forEach(ids, (id) => manager.await(TaskId.make(id)), all)
      const said = yield* messages(address, "c1")
      assert.deepStrictEqual(said.filter((_, i) => i % 2 === 0).map(({ taskId }) => taskId).toSorted(), ids.toSorted())
      said.forEach(({ role, taskId }, i) => {
        assert.strictEqual(role, i % 2 === 0 ? "user" : "assistant")
        assert.strictEqual(taskId, said[i - i % 2]?.taskId, "the messages of two tasks are mixed")
      })
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("P2: enqueued tasks run in the order of their starts", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const manager = yield* TaskManager
      const ids = yield* Effect.forEach(
        fifty.slice(0, 10),
        (i) => Rest.start(address, { message: `n${i} gate 1`, conversationId: "c1", onBusy: "enqueue" })
      )
      yield* gate.open
      yield* Effect.forEach(ids, (id) => manager.await(TaskId.make(id)), all)
      assert.deepStrictEqual(
        (yield* messages(address, "c1")).map(({ taskId }) => taskId),
        ids.flatMap((id) => [id, id])
      )
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("P2, SCENARIO 30: with `interrupt` the last task runs, and all others are cancelled", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const manager = yield* TaskManager
      const answers = yield* startAll(address, "interrupt")
      const ids: Array<string> = answers.map(({ body }) => body.id).toSorted()
      const last = ids.at(-1) ?? ""
      const others = ids.slice(0, -1)
      yield* Effect.forEach(others, (id) => manager.await(TaskId.make(id)), all)
      yield* gate.open
      assert.strictEqual((yield* manager.await(TaskId.make(last))).task.status, "completed")
      for (const id of others) {
        const { events } = yield* Sse.read(`${address}/tasks/${id}/events`)
        Sse.assertExact(events)
        assert.strictEqual(events.at(-1)?.data.type, "cancelled")
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("SCENARIO 31: a cancel of a queued task does not affect the running task", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const head = yield* Rest.start(address, { message: "head gate", conversationId: "c1" })
      const next = yield* Rest.start(address, { message: "next 1", conversationId: "c1", onBusy: "enqueue" })
      const cancelled = yield* Rest.post(`${address}/tasks/${next}/cancel`)
      assert.deepStrictEqual([cancelled.status, cancelled.body.status], [200, "cancelled"])
      const busy = yield* Rest.post(`${address}/tasks`, { message: "x", conversationId: "c1" })
      assert.deepStrictEqual([busy.status, busy.body.activeTaskId], [409, head])
      yield* gate.open
      assert.strictEqual((yield* (yield* TaskManager).await(TaskId.make(head))).task.status, "completed")
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("SCENARIO 32: a cursor of another task is answered 422, and an unknown id 404", () => {
    const { layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const long = yield* Rest.start(address, { message: "long 50" })
      const short = yield* Rest.start(address, { message: "short 1" })
      yield* Sse.read(`${address}/tasks/${short}/events`)
      const { events } = yield* Sse.read(`${address}/tasks/${long}/events`)
      const foreign = yield* Effect.scoped(
        Sse.connect(`${address}/tasks/${short}/events`, { after: events.at(-1)?.id })
      )
      assert.strictEqual(foreign.status, 422)
      assert.strictEqual((yield* Rest.get(`${address}/tasks/nobody/events`)).status, 404)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})
