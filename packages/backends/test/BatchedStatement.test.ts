import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Queue, type Scope } from "effect"
import { SqlClient, SqlError } from "effect/sql"
import { TestClock } from "effect/testing"
import * as BatchedStatement from "../src/internal/batchedStatement.ts"
import { layerEmpty } from "./sqliteFile.ts"

/** A statement that is under way until the test ends it. */
interface Asked {
  readonly items: ReadonlyArray<string>
  readonly end: Deferred.Deferred<void, SqlError.SqlError>
}

const refused = new SqlError.SqlError({ reason: new SqlError.UnknownError({ message: "no", cause: undefined }) })
const broken = new SqlError.SqlError({ reason: new SqlError.ConnectionError({ message: "gone", cause: undefined }) })

/** Statements that answer every item with itself. */
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
  /** Asks in a fiber of its own, which waits when this returns. */
  const begin = (item: string) => Effect.forkChild(request(item), { startImmediately: true })
  const next = Queue.take(asked)
  const end = (statement: Asked, exit: Exit.Exit<void, SqlError.SqlError> = Exit.void) =>
    Deferred.done(statement.end, exit)
  /** That of a caller who met no other, and two more: as many as there may be. */
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

describe("a statement that callers share", () => {
  test(
    "is asked at once by a caller that meets no other",
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
    "P11: has what was asked while others were under way, and no more than may share it",
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
    "is asked again for each alone where it was refused: only whose item it is fails",
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
    "fails for all where it may have been applied, so that each finds out about its own",
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
    "goes on without a caller that is interrupted, and does not have what was not asked yet",
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
    "is not waited for by others while it has no answer, and is given up",
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
      // Its caller has patience of its own.
      yield* end(own)
      assert.strictEqual(yield* Fiber.join(lone), "lone!")
    })
  )

  test(
    "is the caller's own where it meets no other: it is interrupted with it",
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
    "is not shared where it is large",
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
    "is not shared in a transaction of the caller's own",
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
