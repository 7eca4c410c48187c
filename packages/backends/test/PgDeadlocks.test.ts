/**
 * Two processes call the same operations on the same conversations, in opposite orders. Their statements never deadlock.
 */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ClaimId, ConversationId, MessageId, RunnerId, TaskId } from "@perennial/domain/Ids"
import { type NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import { Array, Context, DateTime, Duration, Effect, Exit, Layer, Option, Tracer } from "effect"
import { newTask } from "./support/oneTask.ts"
import { type Config, makeSchema, withPostgres } from "./support/postgres.ts"

/** The causes of all failed statements. Each statement has a span, and the tracer records how the span ends. */
const makeFailures = () => {
  const failures: globalThis.Array<string> = []
  class Span extends Tracer.NativeSpan {
    override end(endTime: bigint, exit: Exit.Exit<unknown, unknown>) {
      super.end(endTime, exit)
      if (Exit.isFailure(exit)) failures.push(String(exit.cause))
    }
  }
  return { failures, tracer: Tracer.make({ span: (options) => new Span(options) }) }
}

/** Builds the backend and the conversation store of one process. */
const start = (config: Config) =>
  Effect.map(
    Layer.build(
      Layer.fresh(Layer.mergeAll(SqlTaskBackend.layer, SqlConversationStore.layer)).pipe(
        Layer.provide(PgClient.layer(config))
      )
    ),
    (context) => ({ backend: Context.get(context, TaskBackend), store: Context.get(context, ConversationStore) })
  )

withPostgres("two processes and the same conversations", (url) => {
  it.live("P2: concurrent creates, claims, appends and finishes in opposite orders do not deadlock", () => {
    const { failures, tracer } = makeFailures()
    return Effect.gen(function*() {
      const config = yield* makeSchema(url)
      const one = yield* start(config)
      const processes = [one, yield* start(config)]
      const numbers = Array.range(1, 40)
      for (const round of Array.range(1, 5)) {
        const ids = numbers.map((n) => ConversationId.make(`${round}/${n}`))
        /** Both processes do the step for all conversations, the second process in reverse order. */
        const both = <A, E>(
          step: (process: typeof processes[number], id: ConversationId, self: string) => Effect.Effect<A, E>
        ) =>
          Effect.forEach(
            processes,
            (process, i) =>
              Effect.forEach(i === 0 ? ids : ids.toReversed(), (id) => step(process, id, `${i}`), {
                concurrency: "unbounded"
              }),
            { concurrency: "unbounded" }
          )
        const task = (id: ConversationId, self: string): NewTask =>
          Object.assign(newTask(TaskId.make(`${id}/${self}`)), {
            conversationId: id,
            idempotency: { key: id, requestHash: "h" }
          })
        yield* both(({ store }, id, self) => store.create({ id, userId: task(id, self).userId }))
        const created = yield* both(({ backend }, id, self) =>
          backend.create(task(id, self), { onBusy: "reject", maxQueued: 0 })
        )
        assert.lengthOf(created.flat().filter((one) => one.created), numbers.length)
        const taskIds = new Map(created.flat().map((one) => [one.task.conversationId, one.task.id]))
        const claims = yield* both(({ backend }, id, self) =>
          Effect.gen(function*() {
            const runnerId = RunnerId.make(self)
            yield* backend.heartbeat(runnerId, Duration.hours(1))
            const claiming = { runnerId, claimId: ClaimId.make(self), expectedToken: 0 }
            return yield* backend.claim(taskIds.get(id) ?? TaskId.make(id), claiming)
          })
        )
        const won = claims.flat().flatMap((claim) => Option.toArray(claim))
        assert.lengthOf(won, numbers.length)
        yield* both(({ store }, id, self) =>
          store.append(id, [{
            id: MessageId.make(self),
            taskId: task(id, self).id,
            createdAt: DateTime.makeUnsafe(1),
            message: task(id, self).input,
            status: "complete"
          }])
        )
        const ended = yield* both(({ backend }, id) => {
          const claim = won.find((one) => one.conversationId === id)
          if (claim === undefined) return Effect.succeed("none")
          const { conversationId, taskId } = claim
          const events = [{ seq: 2, at: 1, event: { type: "cancelled", taskId, conversationId } }] as const
          return Effect.match(backend.finish(claim, events), {
            onFailure: ({ _tag }) => _tag,
            onSuccess: () => "ended"
          })
        })
        // Both have the same claim: one that has lost its connection meanwhile takes the end of the other for its own.
        assert.isAtLeast(ended.flat().filter((end) => end === "ended").length, numbers.length)
        for (const { taskId } of won) {
          assert.deepInclude(yield* one.backend.get(taskId), { status: "cancelled", lastSeq: 2 })
        }
      }
      assert.deepStrictEqual(failures.filter((failure) => failure.includes("Deadlock")), [])
    }).pipe(Effect.scoped, Effect.withTracer(tracer))
  })
})
