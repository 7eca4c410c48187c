/**
 * PostgreSQL ends the transaction of a process that stands still in the middle of it.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Context, Effect, type Exit, Layer, Logger, Tracer } from "effect"
import { newTask } from "./support/oneTask.ts"
import { makeSchema, withPostgres } from "./support/postgres.ts"

/** Longer than nothing may happen in a transaction, in milliseconds. */
const longer = 2_500

/** The process stands still once, after the answer to a statement with this text. */
const standingStill = (text: string) => {
  const stands = { still: 0 }
  class Span extends Tracer.NativeSpan {
    override end(endTime: bigint, exit: Exit.Exit<unknown, unknown>) {
      super.end(endTime, exit)
      const statement = String(this.attributes.get("db.query.text"))
      if (stands.still > 0 || !statement.includes(text)) return
      stands.still++
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, longer)
    }
  }
  return { stands, tracer: Tracer.make({ span: (options) => new Span(options) }) }
}

withPostgres("a process that stands still in the middle of a transaction", (url) => {
  it.live("P8: an answer that refuses is given although the transaction cannot be rolled back", () =>
    Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const context = yield* Layer.build(
        PgTaskBackend.layer.pipe(Layer.provide(PgClient.layer(config)), Layer.provide(Logger.layer([])))
      )
      const backend = Context.get(context, TaskBackend)
      const conversationId = ConversationId.make("c1")
      const create = (id: string) =>
        backend.create({ ...newTask(TaskId.make(id)), conversationId }, { onBusy: "reject", maxQueued: 0 })
      yield* create("t1")
      const { stands, tracer } = standingStill("finished_at IS NULL ORDER BY position")
      const refused = yield* Effect.flip(Effect.withTracer(create("t2"), tracer))
      assert.strictEqual(refused._tag, "ConversationBusy")
      assert.strictEqual(stands.still, 1)
    }).pipe(Effect.scoped))
})
