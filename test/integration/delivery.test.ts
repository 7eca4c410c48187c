import { assert, describe, it } from "@effect/vitest"
import { TaskId } from "@perennial/domain/Ids"
import { TaskManager } from "@perennial/domain/TaskManager"
import { Effect, Fiber, Stream } from "effect"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import { stores } from "../support/stores.ts"
import * as Talker from "../support/talker.ts"

/** The task has 2 + 1,000 + 2 events. It waits for the gate in the middle. */
const total = 1_004
const halves = "a 500 gate 500"

describe.each(stores)("delivery over HTTP, on %s", (name, store) => {
  // On SQLite each commit takes milliseconds, so that the agent emits 20 events at once.
  const batch = name === "memory" ? 1 : 20
  const talker = () => {
    const { agent, gate } = Talker.makeTalker(batch)
    return { gate, layer: Talker.layer(agent, store) }
  }

  it.live("SCENARIO 1: readers that join before, during and after the task get events 1 to n once each", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const url = `${address}/tasks/${yield* Rest.start(address, { message: `a gate 500 gate 500` })}/events`
      const before = yield* Sse.connect(url)
      yield* gate.open
      const half = yield* Sse.readUntil(before, ({ id }) => id === 400)
      const during = yield* Effect.forkChild(Sse.read(url))
      const rest = yield* Sse.readAll(before)
      Sse.assertExact([...half, ...rest.events], { to: total })
      Sse.assertExact((yield* Fiber.join(during)).events, { to: total })
      const after = yield* Sse.read(url)
      Sse.assertExact(after.events, { to: total })
      assert.deepStrictEqual(after.events, [...half, ...rest.events])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("SCENARIO 2: `await` and `get` neither consume nor change the log", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const manager = yield* TaskManager
      const id = yield* Rest.start(address, { message: halves })
      const awaited = yield* Effect.forkChild(manager.await(TaskId.make(id)))
      yield* gate.open
      assert.strictEqual((yield* Fiber.join(awaited)).task.status, "completed")
      yield* Effect.repeat(Rest.get(`${address}/tasks/${id}`), { times: 20 })
      Sse.assertExact((yield* Sse.read(`${address}/tasks/${id}/events`)).events, { to: total })
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("SCENARIO 3: a reader that reconnects after every k-th event gets every event once", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const url = `${address}/tasks/${yield* Rest.start(address, { message: halves })}/events`
      const readers = yield* Effect.forEach(
        [1, 7, 100],
        (k) => Effect.forkChild(Effect.map(Sse.readDropping(url, k), (read) => ({ ...read, k })))
      )
      yield* gate.open
      for (const reader of readers) {
        const { connections, events, k } = yield* Fiber.join(reader)
        Sse.assertExact(events, { to: total })
        assert.isAtLeast(connections, total / k)
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("SCENARIO 5, 24: a client that reconnects to an ended task is answered 204 each time", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const id = yield* Rest.start(address, { message: "a 3 gate" })
      const url = `${address}/tasks/${id}/events`
      const reader = yield* Effect.forkChild(Sse.read(url))
      assert.strictEqual((yield* Rest.post(`${address}/tasks/${id}/cancel`)).body.status, "cancelled")
      const { end, events } = yield* Fiber.join(reader)
      assert.deepStrictEqual([end, events.at(-1)?.data.type], ["end", "cancelled"])
      const after = events.at(-1)?.id
      for (let i = 0; i < 3; i++) {
        const { status } = yield* Effect.scoped(Sse.connect(url, { after }))
        assert.strictEqual(status, 204)
      }
      yield* gate.open
      assert.strictEqual((yield* Rest.get(`${address}/tasks/${id}`)).body.lastSeq, after)
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("SCENARIO 6: live events never overtake earlier events, for 30 readers that join during the task", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const url = `${address}/tasks/${yield* Rest.start(address, { message: halves })}/events`
      const first = yield* Sse.connect(url)
      yield* Sse.readUntil(first, ({ id }) => id === 100)
      const readers = yield* Effect.forEach(Array.from({ length: 30 }), () => Effect.forkChild(Sse.read(url)))
      yield* gate.open
      for (const reader of readers) Sse.assertExact((yield* Fiber.join(reader)).events, { to: total })
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("SCENARIO 7: a reader of a queued task gets `ack`, and the other events when the task runs", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      yield* Rest.start(address, { message: "head gate", conversationId: "c1" })
      const queued = yield* Rest.start(address, { message: "next 1", conversationId: "c1", onBusy: "enqueue" })
      const reader = yield* Sse.connect(`${address}/tasks/${queued}/events`)
      assert.deepStrictEqual(Sse.types([yield* reader.next]), ["ack"])
      yield* gate.open
      const { events } = yield* Sse.readAll(reader)
      assert.deepStrictEqual(Sse.types(events), ["started", "text", "message", "done"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("P6: readers that disconnect do not affect the task", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const manager = yield* TaskManager
      const id = TaskId.make(yield* Rest.start(address, { message: halves }))
      const url = `${address}/tasks/${id}/events`
      yield* Effect.scoped(
        Effect.forEach(
          Array.from({ length: 20 }),
          () => Effect.flatMap(Sse.connect(url), (connection) => connection.next)
        )
      )
      yield* gate.open
      assert.strictEqual((yield* manager.await(id)).task.status, "completed")
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("the events of two concurrent tasks do not mix", () => {
    const { gate, layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const names = ["left", "right"]
      const readers = yield* Effect.forEach(names, (name) =>
        Effect.gen(function*() {
          const id = yield* Rest.start(address, { message: `${name} gate 500` })
          return yield* Effect.forkChild(Effect.map(Sse.read(`${address}/tasks/${id}/events`), ({ events }) => ({
            events,
            id,
            name
          })))
        }))
      yield* gate.open
      for (const reader of readers) {
        const { events, id, name } = yield* Fiber.join(reader)
        Sse.assertExact(events, { to: 504 })
        assert.isTrue(events.every(({ data }) => data["taskId"] === id))
        const said = events.flatMap(({ data }) => data.type === "text" ? [data["content"]] : [])
        assert.deepStrictEqual(said, Array.from({ length: 500 }, (_, i) => `${name} ${i + 1}`))
      }
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.live("SCENARIO 33: a task of 5,000 events is read whole, over HTTP and in process", () => {
    const { layer } = talker()
    return Effect.gen(function*() {
      const address = yield* Talker.address
      const manager = yield* TaskManager
      const id = TaskId.make(yield* Rest.start(address, { message: "long 5000", conversationId: "c1" }))
      Sse.assertExact((yield* Sse.read(`${address}/tasks/${id}/events`)).events, { to: 5_004 })
      const events = yield* Stream.runCollect(yield* manager.events(id))
      assert.deepStrictEqual(events.map(({ seq }) => seq), Array.from({ length: 5_004 }, (_, i) => i + 1))
      const next = TaskId.make(yield* Rest.start(address, { message: "next 1", conversationId: "c1" }))
      assert.strictEqual((yield* manager.await(next)).task.status, "completed")
    }).pipe(Effect.scoped, Effect.provide(layer))
  })
})
