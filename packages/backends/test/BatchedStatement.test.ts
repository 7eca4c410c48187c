import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, type Scope } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import * as BatchedStatement from "../src/internal/batchedStatement.ts"
import { layerEmpty } from "./sqliteFile.ts"

/** A statement that was sent. It is in flight until the test completes `end`. */
interface Asked {
  readonly items: ReadonlyArray<string>
  readonly end: Deferred.Deferred<void, SqlError.SqlError>
}

const refused = new SqlError.SqlError({ reason: new SqlError.UnknownError({ message: "no", cause: undefined }) })
const broken = new SqlError.SqlError({ reason: new SqlError.ConnectionError({ message: "gone", cause: undefined }) })

/** A batched statement whose answer to an item is the item with an exclamation mark. */
const start = Effect.fnUntraced(function*(batchSize?: number) {
  const asked = yield* Queue.unbounded<Asked>()
  const run: BatchedStatement.Run<string, string> = (items) =>
    Effect.gen(function*() {
      const end = yield* Deferred.make<void, SqlError.SqlError>()
      yield* Queue.offer(asked, { items, end })
      yield* Deferred.await(end)
      return (item) => `${item}!`
    })
  const sql = yield* SqlClient.SqlClient
  const request = yield* BatchedStatement.make(sql, {
    run,
    size: (item) => item.length,
    ...(batchSize === undefined ? undefined : { batchSize })
  })
  /** Calls `request` in a new fiber. When `begin` returns, that fiber is waiting for its answer. */
  const begin = (item: string) => Effect.forkChild(request(item), { startImmediately: true })
  const next = Queue.take(asked)
  const end = (statement: Asked, exit: Exit.Exit<void, SqlError.SqlError> = Exit.void) =>
    Deferred.done(statement.end, exit)
  /** Brings the maximum number of statements into flight: one that its caller sent itself, and two that callers may share. */
  const busy = Effect.gen(function*() {
    const lone = yield* begin("lone")
    const own = yield* next
    const one = yield* begin("one")
    const first = yield* next
    const two = yield* begin("two")
    const second = yield* next
    assert.deepStrictEqual([own.items, first.items, second.items], [["lone"], ["one"], ["two"]])
    return { lone, one, two, own, first, second }
  })
  return { begin, busy, end, next, asked, sql }
})

const test = <E>(name: string, body: Effect.Effect<void, E, SqlClient.SqlClient | Scope.Scope>) =>
  it.effect(name, () => Effect.provide(Effect.scoped(body), layerEmpty))

describe("a batched statement", () => {
  test(
    "is sent at once for a caller without concurrent calls",
    Effect.gen(function*() {
      const { begin, end, next } = yield* start()
      const caller = yield* begin("a")
      const statement = yield* next
      assert.deepStrictEqual(statement.items, ["a"])
      yield* end(statement)
      assert.strictEqual(yield* Fiber.join(caller), "a!")
    })
  )

  test(
    "P11: has the items of the calls that were made while other statements were in flight, at most `batchSize` of them",
    Effect.gen(function*() {
      const { begin, busy, end, next } = yield* start(3)
      const { first, one } = yield* busy
      const callers = yield* Effect.forEach(["a", "b", "c", "d"], begin)
      yield* end(first)
      assert.strictEqual(yield* Fiber.join(one), "one!")
      const third = yield* next
      assert.deepStrictEqual(third.items, ["a", "b", "c"])
      yield* end(third)
      const fourth = yield* next
      assert.deepStrictEqual(fourth.items, ["d"])
      yield* end(fourth)
      assert.deepStrictEqual(yield* Effect.forEach(callers, Fiber.join), ["a!", "b!", "c!", "d!"])
    })
  )

  test(
    "is repeated for each item alone after the database refused it: only the caller with the bad item fails",
    Effect.gen(function*() {
      const { begin, busy, end, next } = yield* start()
      const { first } = yield* busy
      const callers = yield* Effect.forEach(["a", "bad", "c"], begin)
      yield* end(first)
      yield* end(yield* next, Exit.fail(refused))
      for (let i = 0; i < 3; i++) {
        const statement = yield* next
        assert.lengthOf(statement.items, 1)
        yield* end(statement, statement.items.includes("bad") ? Exit.fail(refused) : Exit.void)
      }
      const exits = yield* Effect.forEach(callers, Fiber.await)
      assert.deepStrictEqual(exits, [Exit.succeed("a!"), Exit.fail(refused), Exit.succeed("c!")])
    })
  )

  test(
    "fails for all its callers and is not repeated after a lost connection, since the database may have applied it",
    Effect.gen(function*() {
      const { asked, begin, busy, end, next } = yield* start()
      const { first } = yield* busy
      const callers = yield* Effect.forEach(["a", "b"], begin)
      yield* end(first)
      yield* end(yield* next, Exit.fail(broken))
      const exits = yield* Effect.forEach(callers, Fiber.await)
      assert.deepStrictEqual(exits, [Exit.fail(broken), Exit.fail(broken)])
      assert.strictEqual(yield* Queue.size(asked), 0)
    })
  )

  test(
    "continues without an interrupted caller, and leaves out the item of a caller that was interrupted before",
    Effect.gen(function*() {
      const { begin, busy, end, next } = yield* start()
      const { first, one, second, two } = yield* busy
      const [a, b, c] = yield* Effect.all([begin("a"), begin("b"), begin("c")])
      yield* Fiber.interrupt(b)
      yield* end(first)
      assert.strictEqual(yield* Fiber.join(one), "one!")
      const third = yield* next
      assert.deepStrictEqual(third.items, ["a", "c"])
      yield* Fiber.interrupt(a)
      yield* end(third)
      assert.strictEqual(yield* Fiber.join(c), "c!")
      yield* end(second)
      assert.strictEqual(yield* Fiber.join(two), "two!")
    })
  )

  test(
    "does not delay other callers while it has no answer, and fails after 15 seconds",
    Effect.gen(function*() {
      const { begin, busy, end, next } = yield* start()
      const { first, lone, own, two } = yield* busy
      yield* end(first)
      for (const item of ["a", "b"]) {
        const caller = yield* begin(item)
        const statement = yield* next
        assert.deepStrictEqual(statement.items, [item])
        yield* end(statement)
        assert.strictEqual(yield* Fiber.join(caller), `${item}!`)
      }
      yield* TestClock.adjust("15 seconds")
      assert.isTrue(Exit.isFailure(yield* Fiber.await(two)))
      // A caller that sent a statement itself has no such limit.
      yield* end(own)
      assert.strictEqual(yield* Fiber.join(lone), "lone!")
    })
  )

  test(
    "is interrupted with its caller if the caller had no concurrent calls",
    Effect.gen(function*() {
      const { begin, end, next } = yield* start()
      const lone = yield* begin("lone")
      yield* next
      yield* Fiber.interrupt(lone)
      const caller = yield* begin("a")
      const statement = yield* next
      assert.deepStrictEqual(statement.items, ["a"])
      yield* end(statement)
      assert.strictEqual(yield* Fiber.join(caller), "a!")
    })
  )

  test(
    "has one item only if the item is large",
    Effect.gen(function*() {
      const { begin, busy, end, next } = yield* start()
      yield* busy
      const large = "x".repeat(20_000)
      const caller = yield* begin(large)
      const statement = yield* next
      assert.deepStrictEqual(statement.items, [large])
      yield* end(statement)
      assert.strictEqual(yield* Fiber.join(caller), `${large}!`)
    })
  )

  test(
    "has one item only if the caller is in a transaction",
    Effect.gen(function*() {
      const { begin, busy, end, next, sql } = yield* start()
      yield* busy
      const caller = yield* sql.withTransaction(begin("mine"))
      const statement = yield* next
      assert.deepStrictEqual(statement.items, ["mine"])
      yield* end(statement)
      assert.strictEqual(yield* Fiber.join(caller), "mine!")
    })
  )
})
