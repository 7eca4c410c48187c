/**
 * The number of statements that PostgreSQL gets: each operation that every message needs is one statement.
 */
import { assert, it } from "@effect/vitest"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import { type NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Duration, Effect, Layer, Tracer } from "effect"
import { cancelled, firstClaim, ids, newTask, runnerId, text } from "./support/oneTask.ts"
import { layerEmpty, withPostgres } from "./support/postgres.ts"

/** Counts statements and transactions, because each of them has a span. */
const makeCounter = () => {
  let spans = 0
  const tracer = Tracer.make({
    span: (options) => {
      spans++
      return new Tracer.NativeSpan(options)
    }
  })
  return {
    tracer,
    /** Runs the effect, and returns its value and the number of its statements. */
    count: <A, E, R>(effect: Effect.Effect<A, E, R>) =>
      Effect.suspend(() => {
        spans = 0
        return Effect.map(effect, (value) => [value, spans] as const)
      })
  }
}

withPostgres("PostgreSQL gets one statement", (url) => {
  it.live("P8: for the tasks that a process gives back at once", () => {
    const texts: globalThis.Array<unknown> = []
    class Span extends Tracer.NativeSpan {
      override attribute(key: string, value: unknown) {
        super.attribute(key, value)
        if (key === "db.query.text") texts.push(value)
      }
    }
    const tracer = Tracer.make({ span: (options) => new Span(options) })
    return Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* backend.heartbeat(runnerId, Duration.hours(1))
      const claims = yield* Effect.forEach(Array.range(1, 20), (n) => {
        const id = TaskId.make(`t${n}`)
        const task = Object.assign(newTask(id), { conversationId: ConversationId.make(`c${n}`) })
        return backend.create(task, { onBusy: "reject", maxQueued: 0 }).pipe(
          Effect.andThen(backend.claim(id, firstClaim)),
          Effect.flatMap(Effect.fromOption)
        )
      })
      // At most two are in flight at once, and the next one has all other items.
      yield* Effect.forEach(claims, (claim) => backend.release(claim), { concurrency: "unbounded" })
      assert.isAtMost(texts.filter((text) => /SET runner_id = NULL/u.test(String(text))).length, 3)
      assert.strictEqual((yield* backend.unowned({ limit: 100 })).length, 20)
    }).pipe(
      Effect.provide(PgTaskBackend.layer.pipe(Layer.provide(layerEmpty(url)))),
      Effect.withTracer(tracer)
    )
  })

  // This backend sends no hints: they would be counted as statements.
  const layer = Layer.mergeAll(SqlTaskBackend.layer, SqlConversationStore.layer).pipe(Layer.provide(layerEmpty(url)))

  /** Builds the layer with the counting tracer, because fibers of the layer send the batched statements. */
  const counting = <A, E>(
    body: (count: ReturnType<typeof makeCounter>["count"]) => Effect.Effect<A, E, TaskBackend | ConversationStore>
  ) =>
    Effect.suspend(() => {
      const { count, tracer } = makeCounter()
      return Effect.withTracer(Effect.provide(body(count), layer), tracer)
    })

  it.live("for each operation of the first turn of a conversation, and of later turns", () =>
    counting(Effect.fnUntraced(function*(count) {
      const backend = yield* TaskBackend
      const store = yield* ConversationStore
      const key = { id: ids.conversationId, userId: newTask(ids.taskId).userId }
      for (const [turn, id] of [ids.taskId, TaskId.make("t2"), TaskId.make("t3")].entries()) {
        const asked = Effect.fnUntraced(function*<A, E>(name: string, effect: Effect.Effect<A, E>) {
          const [value, statements] = yield* count(effect)
          assert.deepStrictEqual({ name, turn, statements }, { name, turn, statements: 1 })
          return value
        })
        yield* asked("conversation", store.create(key))
        yield* asked("create", backend.create(newTask(id), { onBusy: "reject", maxQueued: 0 }))
        yield* asked("heartbeat", backend.heartbeat(runnerId, Duration.hours(1)))
        const claiming = backend.claim(id, firstClaim)
        const claim = yield* Effect.flatMap(asked("claim", claiming), Effect.fromOption)
        yield* asked("append", backend.append([{ claim, events: [text(2)] }]))
        yield* asked("events", backend.events(id, { after: 0, limit: 10, maxBytes: 1_000 }))
        yield* asked("finish", backend.finish(claim, [cancelled(3)]))
        yield* asked("get", backend.get(id))
      }
    })))

  it.live("for many concurrent calls of an operation", () =>
    counting(Effect.fnUntraced(function*(count) {
      const backend = yield* TaskBackend
      const store = yield* ConversationStore
      const tasks = Array.range(1, 20).map((n): NewTask =>
        Object.assign(newTask(TaskId.make(`t${n}`)), { conversationId: ConversationId.make(`c${n}`) })
      )
      yield* backend.heartbeat(runnerId, Duration.hours(1))
      const together = Effect.fnUntraced(function*<A, E>(step: (task: NewTask) => Effect.Effect<A, E>) {
        const [values, statements] = yield* count(Effect.forEach(tasks, step, { concurrency: "unbounded" }))
        // At most two are in flight at once, and the next one has all other items.
        assert.isAtMost(statements, 3)
        return values
      })
      yield* together(({ conversationId, userId }) => store.create({ id: conversationId, userId }))
      yield* together((task) => backend.create(task, { onBusy: "reject", maxQueued: 0 }))
      const claims = yield* together(({ id }) => Effect.flatMap(backend.claim(id, firstClaim), Effect.fromOption))
      yield* together(({ conversationId }) => store.append(conversationId, []))
      const byId = new Map(claims.map((claim) => [claim.taskId, claim]))
      yield* together(({ id }) =>
        Effect.flatMap(
          Effect.fromNullishOr(byId.get(id)),
          (claim) => backend.finish(claim, [{ seq: 2, at: 1, event: { type: "cancelled", ...ids, taskId: id } }])
        )
      )
      const ended = yield* together(({ id }) => backend.get(id))
      assert.deepStrictEqual(ended.map(({ status }) => status), Array.makeBy(20, () => "cancelled" as const))
    })))
})
