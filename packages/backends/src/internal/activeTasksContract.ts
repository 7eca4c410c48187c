/**
 * The contract of the limit on the active tasks of a user.
 */
import { assert } from "@effect/vitest"
import { cancelKey } from "@perennial/domain/Intent"
import { type NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import type { TooManyActiveTasks } from "@perennial/domain/TaskError"
import { Array, Effect, type Scope } from "effect"
import { begin, bob, conversationId, end, newTask, reject, taskId, type Test } from "./contractTask.ts"

type Service = TaskBackend["Service"]

const atMost = (maxActive: number) => ({ ...reject, maxActive }) as const

/** A task in a conversation of its own. */
const taskOf = (id: string, change: Partial<NewTask> = {}) =>
  newTask(id, { conversationId: conversationId(`c-${id}`), ...change })

const isTooMany = (error: { readonly _tag: string }): error is TooManyActiveTasks => error._tag === "TooManyActiveTasks"

/** How many of these concurrent starts were accepted. All others fail with the limit. */
const acceptedOf = Effect.fnUntraced(function*(
  backends: readonly [Service, Service],
  { count, maxActive, prefix = "t" }: { readonly count: number; readonly maxActive: number; readonly prefix?: string }
) {
  const results = yield* Effect.forEach(
    Array.range(1, count),
    (i) => Effect.result(backends[i % 2 === 0 ? 0 : 1].create(taskOf(`${prefix}${i}`), atMost(maxActive))),
    { concurrency: "unbounded" }
  )
  for (const result of results) {
    if (result._tag === "Failure") assert.deepInclude(result.failure, { _tag: "TooManyActiveTasks", limit: maxActive })
  }
  return results.filter((result) => result._tag === "Success").length
})

export const define = (test: Test): void => {
  test(
    "P11: a user with the largest number of active tasks gets no further task until one ends",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const refused = (id: string) => Effect.flip(backend.create(taskOf(id), atMost(3)))
      const running = yield* begin("running", { conversationId: conversationId("c-running") })
      yield* backend.create(taskOf("waiting"), atMost(3))
      yield* backend.create(newTask("queued", { conversationId: conversationId("c-running") }), {
        ...atMost(3),
        onBusy: "enqueue"
      })
      assert.deepInclude(yield* refused("t4"), { _tag: "TooManyActiveTasks", limit: 3 })
      assert.strictEqual((yield* Effect.flip(backend.get(taskId("t4"))))._tag, "TaskNotFound")
      yield* end(running)
      assert.isTrue((yield* backend.create(taskOf("t5"), atMost(3))).created)
      assert.isTrue(isTooMany(yield* refused("t6")))
      yield* backend.putIntent(taskId("waiting"), { key: cancelKey, value: {} })
      assert.isTrue((yield* backend.create(taskOf("t7"), atMost(3))).created)
    })
  )

  test(
    "P12: the limit counts neither tasks of other users nor tasks that have ended; without it there is none",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      for (const i of Array.range(1, 3)) {
        yield* end(yield* begin(`ended${i}`, { conversationId: conversationId(`c${i}`) }))
        yield* backend.create(taskOf(`bobs${i}`, { userId: bob }), reject)
      }
      assert.isTrue((yield* backend.create(taskOf("t1"), atMost(1))).created)
      assert.isTrue(isTooMany(yield* Effect.flip(backend.create(taskOf("t2"), atMost(1)))))
      assert.isTrue((yield* backend.create(taskOf("t3"), reject)).created)
      assert.isTrue((yield* backend.create(taskOf("t4"), atMost(3))).created)
      assert.isTrue(isTooMany(yield* Effect.flip(backend.create(taskOf("t5"), atMost(2)))))
    })
  )

  test(
    "a repeated start at the limit returns its task; a busy conversation is the first reason to refuse",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const idempotency = { key: "k", requestHash: "h" }
      yield* backend.create(taskOf("t1", { idempotency }), atMost(1))
      assert.isFalse((yield* backend.create(taskOf("t1"), atMost(1))).created)
      assert.isFalse((yield* backend.create(taskOf("t2", { idempotency }), atMost(1))).created)
      const sameConversation = newTask("t3", { conversationId: conversationId("c-t1") })
      assert.strictEqual((yield* Effect.flip(backend.create(sameConversation, atMost(1))))._tag, "ConversationBusy")
    })
  )

  test(
    "`interrupt` at the limit takes the places of the tasks that it ends, and changes nothing if it is refused",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const interrupt = { ...atMost(2), onBusy: "interrupt" } as const
      const inC1 = (id: string) => newTask(id, { conversationId: conversationId("c1") })
      yield* backend.create(inC1("t1"), atMost(2))
      yield* backend.create(taskOf("other"), atMost(2))
      assert.deepStrictEqual((yield* backend.create(inC1("t2"), interrupt)).cancelled, [taskId("t1")])
      // A task that has begun ends later, and counts until then.
      yield* end(yield* begin("t0", { conversationId: conversationId("c0") }))
      yield* backend.putIntent(taskId("t2"), { key: cancelKey, value: {} })
      yield* begin("t3", { conversationId: conversationId("c1") })
      const refused = yield* Effect.flip(backend.create(inC1("t4"), interrupt))
      assert.deepInclude(refused, { _tag: "TooManyActiveTasks", limit: 2 })
      assert.deepStrictEqual(yield* backend.intents(taskId("t3")), [])
      assert.strictEqual((yield* backend.get(taskId("t3"))).status, "running")
    })
  )

  test(
    "P11: of many concurrent starts of a user as many are accepted as the limit says, while other users start",
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const bobs = Effect.forEach(
        Array.range(1, 40),
        (i) => backend.create(taskOf(`bob${i}`, { userId: bob }), i % 2 === 0 ? reject : atMost(40)),
        { concurrency: "unbounded", discard: true }
      )
      const [accepted] = yield* Effect.all([acceptedOf([backend, backend], { count: 80, maxActive: 7 }), bobs], {
        concurrency: "unbounded"
      })
      assert.strictEqual(accepted, 7)
      assert.strictEqual(yield* acceptedOf([backend, backend], { count: 20, maxActive: 9, prefix: "u" }), 2)
    })
  )
}

/** The limit holds in all processes together. */
export const agree = Effect.fnUntraced(
  function*<E>(processes: Effect.Effect<readonly [Service, Service], E, Scope.Scope>) {
    const backends = yield* processes
    for (const round of Array.range(1, 5)) {
      const options = { count: 100, maxActive: 9 * round, prefix: `r${round}-` }
      assert.strictEqual(yield* acceptedOf(backends, options), 9)
    }
  },
  Effect.scoped
)
