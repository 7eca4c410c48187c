import { assert, describe, it } from "@effect/vitest"
import { type Agent, Agents, make } from "@perennial/domain/Agent"
import type { TaskId } from "@perennial/domain/Ids"
import * as MemoryConversationStore from "@perennial/domain/MemoryConversationStore"
import * as MemoryTaskBackend from "@perennial/domain/MemoryTaskBackend"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskBackendError } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Context, Deferred, Effect, Fiber, Latch, Layer, Schema, Stream } from "effect"
import { counting, text } from "./support/agents.ts"

const withAgents = (agent: Agent, ...others: ReadonlyArray<Agent>) =>
  TaskRuntime.layerMemory.pipe(Layer.provide(Agents.layer([agent, ...others])))

const seqs = (events: ReadonlyArray<StoredEvent>) => events.map(({ seq }) => seq)
const upTo = (n: number) => Array.from({ length: n }, (_, i) => i + 1)
const settle = Effect.repeat(Effect.yieldNow, { times: 200 })

const readAll = Effect.fnUntraced(function*(id: TaskId, after = 0) {
  const manager = yield* TaskManager
  return yield* Stream.runCollect(yield* manager.events(id, { after }))
})

describe("events", () => {
  it.effect("P5: a commit does not use the context of the agent's fiber, such as a transaction that may roll back", () => {
    const Transaction = Context.Reference<string>("test/Transaction", { defaultValue: () => "none" })
    const seen: Array<string> = []
    const watched = Layer.effect(
      TaskBackend,
      Effect.map(MemoryTaskBackend.make, (backend) => ({
        ...backend,
        append: (batch: Parameters<typeof backend.append>[0]) =>
          Effect.flatMap(Transaction, (transaction) => {
            seen.push(transaction)
            return backend.append(batch)
          })
      }))
    )
    const agent = make("transacting", (_, emit) =>
      emit([text("a")]).pipe(
        Effect.andThen(emit([text("b")])),
        Effect.provideService(Transaction, "the agent's"),
        Effect.as({ usage: zero })
      ))
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "x" })
      yield* manager.await(id)
      assert.deepStrictEqual([...new Set(seen)], ["none"])
      assert.isAtLeast(seen.length, 3)
    }).pipe(
      Effect.provide(TaskRuntime.layer.pipe(
        Layer.provide(Agents.layer([agent])),
        Layer.provide(Layer.mergeAll(watched, MemoryConversationStore.layer))
      ))
    )
  })

  it.effect("P3: readers that join before, during and after the task get events 1 to n once each", () => {
    const half = Latch.makeUnsafe(false)
    const resume = Latch.makeUnsafe(false)
    const agent = make("halves", (_, emit) =>
      Effect.gen(function*() {
        for (let i = 0; i < 500; i++) yield* emit([text("a")])
        yield* half.open
        yield* resume.await
        for (let i = 0; i < 500; i++) yield* emit([text("b")])
        return { usage: zero }
      }))
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const task = yield* manager.start({ message: "x" })
      const before = yield* Effect.forkChild(readAll(task.id))
      yield* half.await
      const during = yield* Effect.forkChild(readAll(task.id))
      yield* settle
      yield* resume.open
      const expected = upTo(1004)
      assert.deepStrictEqual(seqs(yield* Fiber.join(before)), expected)
      assert.deepStrictEqual(seqs(yield* Fiber.join(during)), expected)
      assert.deepStrictEqual(seqs(yield* readAll(task.id)), expected)
    }).pipe(Effect.provide(withAgents(agent)))
  })

  it.effect.each([1, 7, 100])(
    "SCENARIO 3: a reader that reconnects after every %i events gets each event once",
    (k) =>
      Effect.gen(function*() {
        const manager = yield* TaskManager
        const { id } = yield* manager.start({ message: "x" })
        const seen: Array<number> = []
        let ended = false
        while (!ended) {
          const events = yield* manager.events(id, { after: seen.at(-1) ?? 0 })
          const taken = yield* Stream.runCollect(Stream.take(events, k))
          seen.push(...seqs(taken))
          ended = taken.some(({ event }) => event.type === "done")
        }
        assert.deepStrictEqual(seen, upTo(1004))
      }).pipe(Effect.provide(withAgents(counting(1000))))
  )

  it.effect("P6: a stalled reader delays neither the task nor another reader, and catches up later", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const task = yield* manager.start({ message: "x" })
      const go = yield* Latch.make(false)
      const stalled = yield* Effect.forkChild(
        Stream.runCollect(Stream.tap(yield* manager.events(task.id), () => go.await))
      )
      assert.strictEqual((yield* readAll(task.id)).length, 5004)
      yield* go.open
      assert.deepStrictEqual(seqs(yield* Fiber.join(stalled)), upTo(5004))
    }).pipe(Effect.provide(withAgents(counting(5000)))))

  it.effect("the events of two concurrent tasks do not mix", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const tasks = yield* Effect.all([manager.start({ message: "a" }), manager.start({ message: "b" })])
      const logs = yield* Effect.forEach(tasks, (task) => readAll(task.id), { concurrency: 2 })
      for (const [i, log] of logs.entries()) {
        assert.isTrue(log.every(({ event }) => event.type !== "unknown" && event.taskId === tasks[i]?.id))
        assert.deepStrictEqual(seqs(log), upTo(204))
      }
    }).pipe(Effect.provide(withAgents(counting(200)))))

  it.effect("SCENARIO 10: `events` fails for a cursor beyond the end, before it returns a stream", () =>
    Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "x" })
      yield* manager.await(id)
      const error = yield* Effect.flip(manager.events(id, { after: 99 }))
      assert.strictEqual(error._tag, "CursorAhead")
      assert.deepStrictEqual(yield* readAll(id, 5), [])
    }).pipe(Effect.provide(withAgents(counting(1)))))

  it.effect.prop(
    "P3: replay and tail together are the log, for every cursor and every moment of joining",
    [
      Schema.Array(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 40 }))).check(Schema.isMaxLength(8)),
      Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 120 }))
    ],
    ([cuts, joinAt]) => {
      const reached = Latch.makeUnsafe(false)
      const agent = make("steps", (_, emit) =>
        Effect.gen(function*() {
          for (let i = 0; i < 120; i++) {
            if (i === joinAt) yield* reached.open
            yield* emit([text(`${i} `)])
          }
          yield* reached.open
          return { usage: zero }
        }))
      return Effect.gen(function*() {
        const manager = yield* TaskManager
        const { id } = yield* manager.start({ message: "x" })
        yield* reached.await
        const seen: Array<StoredEvent> = []
        for (const cut of cuts) {
          const events = yield* manager.events(id, { after: seen.length })
          seen.push(...(yield* Stream.runCollect(Stream.take(events, cut))))
        }
        seen.push(...(yield* readAll(id, seen.length)))
        assert.deepStrictEqual(seqs(seen), upTo(124))
        assert.deepStrictEqual(seen, yield* readAll(id))
      }).pipe(Effect.provide(withAgents(agent)))
    },
    { arbitrary: { runs: 50 } }
  )

  it.effect("P5, SCENARIO 11: events that the store refused are never shown, stored events are shown once", () => {
    const refused = Deferred.makeUnsafe<void>()
    const agent = make("writes", (_, emit) =>
      Effect.gen(function*() {
        yield* emit([text("kept ")])
        yield* emit([text("refused ")])
        return { usage: zero }
      }))
    const refusing = Layer.effect(
      TaskBackend,
      Effect.map(TaskBackend, (backend) =>
        TaskBackend.of({
          ...backend,
          append: (batch) =>
            batch.some(({ events }) =>
                events.some(({ event }) => event.type === "text" && event.content === "refused ")
              )
              ? Effect.andThen(
                Deferred.succeed(refused, undefined),
                Effect.fail(new TaskBackendError({ operation: "append", cause: "disk full" }))
              )
              : backend.append(batch)
        }))
    ).pipe(Layer.provide(MemoryTaskBackend.layer))
    return Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "x" })
      const seen: Array<string> = []
      const reader = yield* Effect.forkChild(
        Stream.runForEach(
          yield* manager.events(id),
          ({ event }) => Effect.sync(() => seen.push(event.type === "text" ? event.content : event.type))
        )
      )
      yield* Deferred.await(refused)
      yield* settle
      assert.deepStrictEqual(seen, ["ack", "started", "kept "])
      assert.isUndefined(reader.pollUnsafe())
      assert.strictEqual((yield* manager.get(id)).lastSeq, 3)
    }).pipe(Effect.provide(TaskRuntime.layer.pipe(
      Layer.provide(Layer.mergeAll(refusing, MemoryConversationStore.layer, Agents.layer([agent])))
    )))
  })
})
