import { NodeRedis } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import * as RedisTaskBackend from "@perennial/backends/RedisTaskBackend"
import { cancelKey } from "@perennial/domain/Intent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Context, Effect, Fiber, Layer, Logger, Option, Stream } from "effect"
import { Redis } from "effect/persistence"
import { TestClock } from "effect/testing"
import { begin, cancelled, create, firstClaim, ids, next, text } from "./support/oneTask.ts"
import { layerEmpty, withRedis } from "./support/redis.ts"

type Fault = "request" | "reply" | "loading" | "full"

/** Faults of the next scripts: before the script runs, after it has run, or the answer of a server that still loads its data. */
class Faults extends Context.Service<Faults, { readonly next: Array<Fault> }>()(
  "@perennial/backends/test/RedisTaskBackendRetry.test/Faults"
) {}

const failed = (message: string) => Effect.fail(new Redis.RedisError({ cause: new Error(message) }))
const lost = failed("Socket closed unexpectedly")

const layerFaulty = Layer.effect(
  Redis.Redis,
  Effect.gen(function*() {
    const { next } = yield* Faults
    const redis = yield* Redis.Redis
    const faulty = (connection: Redis.Connection): Redis.Connection => ({
      ...connection,
      send: (command, ...args) =>
        Effect.suspend(() => {
          const fault = command === "EVALSHA" ? next.shift() : undefined
          if (fault === "request") return lost
          if (fault === "loading") return failed("LOADING Redis is loading the dataset in memory")
          // The reply of Redis 6.2. Redis 7 begins with OOM.
          if (fault === "full") return failed("ERR Error running script (call to f_1): @user_script:1: -OOM command")
          const reply = connection.send<never>(command, ...args)
          return fault === "reply" ? Effect.andThen(reply, lost) : reply
        })
    })
    return Redis.Redis.of({ ...redis, reserve: Effect.map(redis.reserve, faulty) })
  })
)

/** Runs the operation. Its first tries fail with these faults. */
const under = Effect.fnUntraced(function*<A, E, R>(faults: ReadonlyArray<Fault>, operation: Effect.Effect<A, E, R>) {
  const { next } = yield* Faults
  next.push(...faults)
  const result = yield* operation
  assert.deepStrictEqual(next, [])
  return result
})

withRedis("RedisTaskBackend when Redis fails for a short time", (url) => {
  const layer = layerEmpty(url, (prefix) => RedisTaskBackend.layerWith({ prefix }).pipe(Layer.provide(layerFaulty)))
    .pipe(
      Layer.provideMerge(Layer.sync(Faults, () => ({ next: [] })))
    )
  // The real clock is used, because TestClock cannot move while a real server answers.
  const test = <E>(name: string, body: Effect.Effect<void, E, TaskBackend | Faults>) =>
    it.live(name, () => Effect.provide(body, layer))

  test(
    "repeats an operation until it succeeds",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      assert.isTrue((yield* under(["request", "loading", "full", "request"], create(backend))).created)
    })
  )

  test(
    "P1: `create` returns the stored task, although the first reply was lost",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const created = yield* under(["reply"], create(backend))
      assert.strictEqual(Option.getOrThrow(created.head).taskId, ids.taskId)
      assert.strictEqual((yield* backend.get(ids.taskId)).lastSeq, 1)
    })
  )

  test(
    "`claim` returns the claim that it won, although the first reply was lost",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* create(backend)
      const claim = yield* under(["reply"], backend.claim(ids.taskId, firstClaim))
      assert.deepInclude(Option.getOrThrow(claim), { token: 1, attempt: 1, failures: 0 })
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
      const zombie = { ...claim, token: 0 }
      const [fenced] = yield* under(["request"], backend.append([{ claim: zombie, events: [text(4)] }]))
      assert.isFalse(fenced?.ok)
      const [twice] = yield* backend.append([{ claim, events: [text(2), text(3)] }])
      assert.isFalse(twice?.ok)
    })
  )

  test(
    "P4: `finish` succeeds and returns the next head, although the first reply was lost",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const claim = yield* begin(backend)
      yield* create(backend, next)
      const promoted = yield* under(["reply"], backend.finish(claim, [cancelled(2)]))
      assert.strictEqual(Option.getOrThrow(promoted).taskId, next)
      assert.strictEqual((yield* Effect.flip(backend.finish(claim, [cancelled(2)])))._tag, "LeaseLost")
    })
  )

  test(
    "P4: `finish` without a next head succeeds, although the first reply was lost",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const claim = yield* begin(backend)
      assert.isTrue(Option.isNone(yield* under(["reply"], backend.finish(claim, [cancelled(2)]))))
    })
  )

  test(
    "`putIntent` says that the intent was written, although the first reply was lost",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* create(backend)
      yield* create(backend, next)
      const result = yield* under(["reply"], backend.putIntent(ids.taskId, { key: cancelKey, value: { reason: "x" } }))
      assert.isTrue(result.written)
      assert.strictEqual(result.task.status, "cancelled")
      assert.strictEqual(Option.getOrThrow(result.promoted).taskId, next)
    })
  )

  it.effect("an operation fails with TaskBackendError at once if repeating it cannot help", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      yield* (yield* Redis.Redis).send("SET", "perennial-test-broken:task:t1", "no hash")
      const error = yield* Effect.flip(backend.get(ids.taskId))
      assert.deepInclude(error, { _tag: "TaskBackendError", operation: "get" })
    }).pipe(
      Effect.ensuring(
        Effect.flatMap(Redis.Redis, (redis) => Effect.ignore(redis.send("UNLINK", "perennial-test-broken:task:t1")))
      ),
      Effect.provide(
        RedisTaskBackend.layerWith({ prefix: "perennial-test-broken:" }).pipe(
          Layer.provideMerge(NodeRedis.layer({ url }))
        )
      )
    ))
})

/** A backend on a Redis client whose connections answer each command with `send`, except those of the start. */
const answering = (send: (command: string) => Effect.Effect<never, Redis.RedisError>) => {
  let started = false
  const connection: Redis.Connection = {
    send: (command) => started ? send(command) : Effect.succeed("the name of a script" as never),
    eval: () => () => Effect.die("unused")
  }
  const made = { connections: 0 }
  const redis = Redis.Redis.of({
    send: () => Effect.die("shared"),
    eval: () => () => Effect.die("shared"),
    reserve: Effect.sync(() => {
      made.connections++
      return connection
    }),
    subscribe: () => Effect.never
  })
  const backend = RedisTaskBackend.make().pipe(
    Effect.provideService(Redis.Redis, redis),
    Effect.tap(() =>
      Effect.sync(() => {
        started = true
      })
    )
  )
  return { backend, made }
}

it.effect("an operation fails with TaskBackendError if the server has not answered after 30 seconds", () =>
  Effect.gen(function*() {
    const { backend, made } = answering(() => Effect.never)
    const fiber = yield* Effect.forkChild(Effect.flip(create(yield* backend)))
    yield* TestClock.adjust("29 seconds")
    assert.isUndefined(fiber.pollUnsafe())
    yield* TestClock.adjust("2 seconds")
    assert.deepInclude(yield* Fiber.join(fiber), { _tag: "TaskBackendError", operation: "create" })
    assert.strictEqual(made.connections, 2)
  }).pipe(Effect.provide(Logger.layer([]))))

it.effect("an operation fails with the cause if the server is down for longer than 30 seconds", () =>
  Effect.gen(function*() {
    const { backend } = answering(() => lost)
    const fiber = yield* Effect.forkChild(Effect.flip(create(yield* backend)))
    yield* TestClock.adjust("32 seconds")
    const error = yield* Fiber.join(fiber)
    assert.deepStrictEqual(error._tag === "TaskBackendError" && error.cause, yield* Effect.flip(lost))
  }).pipe(Effect.provide(Logger.layer([]))))

it.effect("hints: a connection without an answer is replaced by a new one", () =>
  Effect.gen(function*() {
    const { backend, made } = answering(() => Effect.never)
    const { wakes } = yield* backend
    const before = made.connections
    yield* Effect.forkChild(Stream.runDrain(wakes))
    yield* TestClock.adjust("20 seconds")
    assert.strictEqual(made.connections - before, 2)
  }).pipe(Effect.provide(Logger.layer([]))))
