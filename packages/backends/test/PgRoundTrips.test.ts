/**
 * How often PostgreSQL is asked: what happens with every message is one statement.
 */
import { assert, it } from "@effect/vitest"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { TaskId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Layer, Tracer } from "effect"
import { cancelled, ids, newTask, runnerId, text } from "./support/oneTask.ts"
import { layerEmpty, withPostgres } from "./support/postgres.ts"

/** How many statements and transactions an effect takes: each has a span. */
const counted = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    let spans = 0
    const tracer = Tracer.make({
      span: (options) => {
        spans++
        return new Tracer.NativeSpan(options)
      }
    })
    return Effect.map(Effect.withTracer(effect, tracer), (value) => [value, spans] as const)
  })

withPostgres("PostgreSQL is asked once", (url) => {
  const layer = Layer.mergeAll(PgTaskBackend.layer, SqlConversationStore.layer).pipe(Layer.provide(layerEmpty(url)))

  it.live("by a turn of a conversation for each of its steps, also by a later one", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const store = yield* ConversationStore
      const key = { id: ids.conversationId, userId: newTask(ids.taskId).userId }
      for (const [turn, id] of [ids.taskId, TaskId.make("t2"), TaskId.make("t3")].entries()) {
        const asked = Effect.fnUntraced(function*<A, E>(name: string, effect: Effect.Effect<A, E>) {
          const [value, statements] = yield* counted(effect)
          assert.deepStrictEqual({ name, turn, statements }, { name, turn, statements: 1 })
          return value
        })
        yield* asked("conversation", store.create(key))
        yield* asked("create", backend.create(newTask(id), { onBusy: "reject", maxQueued: 0 }))
        yield* asked("heartbeat", backend.heartbeat(runnerId, Duration.hours(1)))
        const claiming = backend.claim(id, { runnerId, expectedToken: 0 })
        const claim = yield* Effect.flatMap(asked("claim", claiming), Effect.fromOption)
        yield* asked("append", backend.append([{ claim, events: [text(2)] }]))
        yield* asked("finish", backend.finish(claim, [cancelled(3)]))
      }
    }).pipe(Effect.provide(layer)))
})
