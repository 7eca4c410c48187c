/**
 * A connection to PostgreSQL that stops answering and is never closed. Each operation that waits for an answer is repeated
 * on another connection.
 */
import { assert, it } from "@effect/vitest"
import * as PgStore from "@perennial/backends/PgStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { UserId } from "@perennial/domain/Ids"
import { cancelKey } from "@perennial/domain/Intent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Context, Duration, Effect, Exit, Fiber, Layer, Logger, Option, Scope } from "effect"
import { impatiently } from "./support/impatiently.ts"
import { begin, cancelled, create, firstClaim, ids, next, runnerId, text } from "./support/oneTask.ts"
import { type Config, gateTo, makeSchema, withPostgres } from "./support/postgres.ts"

withPostgres("PgTaskBackend on a connection that goes dead", (url) => {
  /** A process behind a gate. Without prepared statements each statement sends its text, which the gate looks for. */
  const start = Effect.fnUntraced(function*(config: Partial<Config> = {}) {
    const line = yield* gateTo(url)
    const services = yield* Layer.build(
      PgStore.layer({ ...(yield* makeSchema(url)), url: line.url, prepare: false, ...config }).pipe(
        Layer.provide(Logger.layer([]))
      )
    )
    return { backend: Context.get(services, TaskBackend), store: Context.get(services, ConversationStore), line }
  })

  /** Runs the operation. Its connection goes dead when it sends the text. */
  const underFault = Effect.fnUntraced(function*<A, E>(
    { line }: Effect.Success<ReturnType<typeof start>>,
    text: string,
    options: { readonly arrives: boolean },
    operation: Effect.Effect<A, E>
  ) {
    const dead = yield* line.cut(text, options)
    return yield* impatiently(operation, dead)
  })

  const seqs = (backend: TaskBackend["Service"]) =>
    Effect.map(
      backend.events(ids.taskId, { after: 0, limit: 10, maxBytes: 10_000 }),
      ({ events }) => events.map((event) => event.seq)
    )

  const request = { arrives: false }
  const answer = { arrives: true }

  it.live("P1: the answer of `create` is lost", () =>
    Effect.gen(function*() {
      const process = yield* start()
      const created = yield* underFault(process, "INTO perennial_task_queues", answer, create(process.backend))
      assert.isTrue(created.task.id === ids.taskId && Option.isSome(created.head))
      assert.deepStrictEqual(yield* seqs(process.backend), [1])
    }).pipe(Effect.scoped))

  it.live("the answer of `claim` is lost", () =>
    Effect.gen(function*() {
      const process = yield* start()
      yield* create(process.backend)
      yield* process.backend.heartbeat(runnerId, Duration.hours(1))
      const claiming = process.backend.claim(ids.taskId, firstClaim)
      const claim = yield* underFault(process, "attempt = attempt + 1", answer, claiming)
      assert.deepInclude(Option.getOrThrow(claim), { token: 1, attempt: 1, failures: 0 })
    }).pipe(Effect.scoped))

  for (const lost of [request, answer]) {
    it.live(`P8, P9: ${lost.arrives ? "the answer" : "the request"} of \`append\` is lost; other operations go on`, () =>
      Effect.gen(function*() {
        const { backend, line } = yield* start()
        const claim = yield* begin(backend)
        const dead = yield* line.cut("content", lost)
        const appending = yield* Effect.forkChild(
          impatiently(backend.append([{ claim, events: [text(2), text(3)] }]), dead)
        )
        yield* dead
        yield* backend.get(ids.taskId)
        assert.deepStrictEqual(yield* Fiber.join(appending), [{ ok: true, intents: 0 }])
        assert.deepStrictEqual(yield* seqs(backend), [1, 2, 3])
      }).pipe(Effect.scoped))
  }

  it.live("P4: the answer of the newest task's `finish` is lost", () =>
    Effect.gen(function*() {
      const process = yield* start()
      const claim = yield* begin(process.backend)
      const finishing = process.backend.finish(claim, [cancelled(2)])
      assert.isTrue(Option.isNone(yield* underFault(process, "AS MATERIALIZED", answer, finishing)))
      assert.deepStrictEqual(yield* seqs(process.backend), [1, 2])
    }).pipe(Effect.scoped))

  it.live("P4: `finish` promotes the next task, and the answer to its commit is lost", () =>
    Effect.gen(function*() {
      const process = yield* start()
      const claim = yield* begin(process.backend)
      yield* create(process.backend, next)
      const finishing = process.backend.finish(claim, [cancelled(2)])
      const promoted = yield* underFault(process, "COMMIT", answer, finishing)
      assert.strictEqual(Option.getOrThrow(promoted).taskId, next)
      assert.deepStrictEqual(yield* seqs(process.backend), [1, 2])
    }).pipe(Effect.scoped))

  it.live("P7: the beginning of a transaction is lost", () =>
    Effect.gen(function*() {
      const process = yield* start()
      yield* create(process.backend)
      const cancelling = process.backend.putIntent(ids.taskId, { key: cancelKey, value: {} })
      const { task, written } = yield* underFault(process, "BEGIN", request, cancelling)
      assert.deepStrictEqual([written, task.status], [true, "cancelled"])
    }).pipe(Effect.scoped))

  it.live("P8: a heartbeat is lost", () =>
    Effect.gen(function*() {
      const process = yield* start()
      const { taskId, token } = yield* begin(process.backend)
      const beat = process.backend.heartbeat(runnerId, Duration.hours(1))
      const { owned } = yield* underFault(process, "INTO perennial_runners", request, beat)
      assert.deepStrictEqual(owned, [{ taskId, token, intents: 0 }])
    }).pipe(Effect.scoped))

  it.live("the answer of the conversation store is lost", () =>
    Effect.gen(function*() {
      const process = yield* start()
      const key = { id: ids.conversationId, userId: UserId.make("alice") }
      const create = process.store.create(key)
      const { id } = yield* underFault(process, "INTO perennial_conversations", answer, create)
      assert.strictEqual(id, ids.conversationId)
    }).pipe(Effect.scoped))

  it.live("P8: the end of the process does not wait for an answer that never comes", () =>
    Effect.gen(function*() {
      const scope = yield* Scope.make()
      const { backend, line } = yield* Scope.provide(start(), scope)
      const claim = yield* begin(backend)
      const dead = yield* line.cut("content")
      const appending = yield* Effect.forkChild(impatiently(backend.append([{ claim, events: [text(2)] }]), dead))
      yield* dead
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.await(appending)
    }))

  it.live("P8: with `multiplex`, an append without an answer can be interrupted, and the lease can be ended", () =>
    Effect.gen(function*() {
      const { backend, line } = yield* start({ multiplex: true })
      const claim = yield* begin(backend)
      const dead = yield* line.cut("content")
      const appending = backend.append([{ claim, events: [text(2)] }])
      const failure = yield* Effect.flip(impatiently(appending, dead, "all"))
      assert.deepInclude(failure, { _tag: "TaskBackendError", operation: "append" })
      yield* backend.heartbeat(runnerId, Duration.hours(1))
      yield* backend.release(claim)
    }).pipe(Effect.scoped))
})
