import { assert, describe, it } from "@effect/vitest"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import { TaskId } from "@perennial/domain/Ids"
import { cancelKey } from "@perennial/domain/Intent"
import { type Claim, TaskBackend } from "@perennial/domain/TaskBackend"
import { Context, Duration, Effect, Fiber, Layer, Logger, Option } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import { layerEmpty } from "./sqliteFile.ts"
import { begin, cancelled, create as createTask, ids, runnerId, text } from "./support/oneTask.ts"

type Fault = "reply" | "request"

/** Faults of the next transactions: before the transaction begins, or after it has committed. */
class Faults extends Context.Service<Faults, { readonly next: Array<Fault> }>()(
  "@perennial/backends/test/SqlTaskBackendRetry.test/Faults"
) {}

const broken = new SqlError.SqlError({ reason: new SqlError.ConnectionError({ message: "gone", cause: undefined }) })

const layerFaulty = Layer.effect(
  SqlClient.SqlClient,
  Effect.gen(function*() {
    const { next } = yield* Faults
    const client = yield* SqlClient.SqlClient
    const withTransaction: SqlClient.SqlClient["withTransaction"] = (effect) =>
      Effect.suspend(() => {
        const fault = next.shift()
        if (fault === "request") return Effect.fail(broken)
        return fault === "reply"
          ? Effect.andThen(client.withTransaction(effect), Effect.fail(broken))
          : client.withTransaction(effect)
      })
    const faulty = Object.assign((...args: Parameters<typeof client>) => client(...args), client, { withTransaction })
    return Object.assign(faulty, { withoutTransforms: () => faulty })
  })
)

const layer = SqlTaskBackend.layer.pipe(
  Layer.provide(layerFaulty),
  Layer.provide(layerEmpty),
  Layer.provideMerge(Layer.sync(Faults, () => ({ next: [] })))
)

/** Runs the operation. Its first tries fail with these faults. */
const under = Effect.fnUntraced(function*<A, E, R>(faults: ReadonlyArray<Fault>, operation: Effect.Effect<A, E, R>) {
  const { next } = yield* Faults
  next.push(...faults)
  const fiber = yield* Effect.forkChild(operation)
  yield* TestClock.adjust("1 minute")
  const result = yield* Fiber.join(fiber)
  assert.deepStrictEqual(next, [])
  return result
})

const create = (id: TaskId) => Effect.flatMap(TaskBackend, (backend) => createTask(backend, id))

const test = <E>(name: string, body: Effect.Effect<void, E, TaskBackend | Faults>) =>
  it.effect(name, () => Effect.provide(body, layer))

describe("SqlTaskBackend when the database fails for a short time", () => {
  test(
    "repeats an operation until it succeeds",
    Effect.gen(function*() {
      const created = yield* under(["request", "request", "request"], create(ids.taskId))
      assert.isTrue(created.created)
    })
  )

  test(
    "fails with TaskBackendError when the time for repetitions is over",
    Effect.gen(function*() {
      const { next } = yield* Faults
      next.push(...Array.from({ length: 1000 }, (): Fault => "request"))
      const fiber = yield* Effect.forkChild(Effect.flip(create(ids.taskId)))
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(yield* Fiber.join(fiber), { _tag: "TaskBackendError", operation: "create", cause: broken })
      next.length = 0
    })
  )

  test(
    "P1: `create` returns the stored task, although the first reply was lost",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const created = yield* under(["reply"], create(ids.taskId))
      assert.isTrue(Option.isSome(created.head))
      assert.strictEqual((yield* backend.get(ids.taskId)).lastSeq, 1)
    })
  )

  test(
    "P9: `append` succeeds although the first reply was lost, and writes each event once",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const claim = yield* begin(backend)
      const [result] = yield* under(["reply", "request"], backend.append([{ claim, events: [text(2), text(3)] }]))
      assert.deepStrictEqual(result, { ok: true, intents: 0 })
      const page = yield* backend.events(ids.taskId, { after: 0, limit: 10, maxBytes: 10_000 })
      assert.deepStrictEqual(page.events.map((event) => event.seq), [1, 2, 3])
      const zombie: Claim = { ...claim, token: 0 }
      const [fenced] = yield* under(["request"], backend.append([{ claim: zombie, events: [text(4)] }]))
      assert.isFalse(fenced?.ok)
    })
  )

  test(
    "P4: `finish` succeeds and returns the next head, although the first reply was lost",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const claim = yield* begin(backend)
      const next = TaskId.make("t2")
      yield* create(next)
      const promoted = yield* under(["reply"], backend.finish(claim, [cancelled(2)]))
      assert.strictEqual(Option.getOrThrow(promoted).taskId, next)
      assert.strictEqual((yield* Effect.flip(backend.finish(claim, [cancelled(2)])))._tag, "LeaseLost")
    })
  )

  test(
    "`putIntent` says that the intent was written, although the first reply was lost",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* create(ids.taskId)
      yield* create(TaskId.make("t2"))
      const result = yield* under(["reply"], backend.putIntent(ids.taskId, { key: cancelKey, value: { reason: "x" } }))
      assert.isTrue(result.written)
      assert.strictEqual(result.task.status, "cancelled")
      assert.strictEqual(Option.getOrThrow(result.promoted).taskId, TaskId.make("t2"))
    })
  )

  test(
    "the log has the cause of a renewal that its caller gave up",
    Effect.gen(function*() {
      const { next } = yield* Faults
      const backend = yield* TaskBackend
      next.push(...Array.from({ length: 1000 }, (): Fault => "request"))
      const logged: Array<unknown> = []
      const renewal = Effect.timeout(backend.heartbeat(runnerId, Duration.hours(1)), "5 seconds")
      const fiber = yield* Effect.forkChild(
        Effect.flip(renewal).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(message))])))
      )
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual((yield* Fiber.join(fiber))._tag, "TimeoutError")
      assert.deepStrictEqual(logged, [["The lease could not be renewed at once.", broken]])
      next.length = 0
    })
  )
})
