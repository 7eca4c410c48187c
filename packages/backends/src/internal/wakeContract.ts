/**
 * The contract of `wakes`: hints about the writes of one process reach the others.
 */
import { assert } from "@effect/vitest"
import type { UserId } from "@perennial/domain/Ids"
import { cancelKey } from "@perennial/domain/Intent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { Wake } from "@perennial/domain/Wake"
import { Effect, Equal, Queue, type Scope, Stream } from "effect"
import {
  alice,
  begin,
  bob,
  claim,
  conversationId,
  end,
  interrupt,
  newTask,
  reject,
  stored,
  taskId,
  text
} from "./contractTask.ts"

type Service = TaskBackend["Service"]

/** Two processes over one empty store. */
export type Processes<E> = Effect.Effect<readonly [Service, Service], E, Scope.Scope>

/** The hints that a process gets from now on. The first is `all`. */
const listen = Effect.fnUntraced(function*(backend: Service) {
  const told = yield* Queue.bounded<Wake>(1_000)
  yield* Effect.forkScoped(Stream.runForEach(backend.wakes, (wake) => Queue.offer(told, wake)))
  assert.deepStrictEqual(yield* Queue.take(told), { kind: "all" })
  return told
})

/** Waits for the hint that a user's tasks have changed. */
const hearOf = Effect.fnUntraced(function*(told: Queue.Queue<Wake>, userId: UserId) {
  while (!Equal.equals(yield* Queue.take(told), { kind: "user", userId } satisfies Wake)) yield* Effect.void
})

/** Waits for a hint, and returns the hints that came before it. */
const hear = Effect.fnUntraced(function*(told: Queue.Queue<Wake>, kind: Wake["kind"], id: string) {
  const before: Array<Wake> = []
  const expected: Wake = { kind, taskId: taskId(id) }
  while (true) {
    const wake = yield* Queue.take(told)
    if (Equal.equals(wake, expected)) return before
    before.push(wake)
  }
})

export const tells = Effect.fnUntraced(function*<E>(processes: Processes<E>) {
  const [a, b] = yield* processes
  const by = <A, E2>(backend: Service, effect: Effect.Effect<A, E2, TaskBackend>) =>
    Effect.provideService(effect, TaskBackend, backend)
  const aHears = yield* listen(a)
  const bHears = yield* listen(b)

  const owner = yield* by(a, begin("t1"))
  yield* a.append([{ claim: owner, events: stored(2, text("t1", "x")) }])
  yield* hear(bHears, "log", "t1")
  yield* b.putIntent(owner.taskId, { key: "decision/x", value: 1 })
  const own = yield* hear(aHears, "intent", "t1")
  assert.deepStrictEqual(own.filter(({ kind }) => kind !== "all"), [], "nobody is told what it did itself")
  yield* b.create(newTask("t2"), interrupt)
  yield* hear(aHears, "intent", "t1")
  yield* b.putIntent(taskId("t2"), { key: cancelKey, value: {} })
  yield* hear(aHears, "log", "t2")
  yield* by(a, end(owner))
  yield* hear(bHears, "log", "t1")

  const placed = yield* by(a, begin("t6", { conversationId: conversationId("c6") }))
  yield* a.release(placed, { isMoving: true })
  const released = yield* by(a, begin("t3"))
  yield* a.release(released)
  const before = yield* hear(bHears, "head", "t3")
  assert.deepStrictEqual(before.filter(({ kind }) => kind === "head"), [], "a task that its engine moves has no hint")
  yield* b.create(newTask("t4"), { ...reject, onBusy: "enqueue" })
  yield* b.create(newTask("t5"), interrupt)
  yield* hear(aHears, "log", "t4")
}, Effect.scoped)

/** Each change that a list of a user's tasks shows is a hint of its own. */
export const tellsOfUsers = Effect.fnUntraced(function*<E>(processes: Processes<E>) {
  const [a, b] = yield* processes
  const by = <A, E2>(effect: Effect.Effect<A, E2, TaskBackend>) => Effect.provideService(effect, TaskBackend, a)
  const bHears = yield* listen(b)
  yield* a.create(newTask("t1", { userId: bob }), reject)
  yield* hearOf(bHears, bob)
  const owner = yield* by(claim("t1"))
  yield* hearOf(bHears, bob)
  yield* a.append([{ claim: owner, events: stored(2, text("t1", "x")), summary: { title: "x" } }])
  yield* hearOf(bHears, bob)
  yield* by(end(owner))
  yield* hearOf(bHears, bob)
  yield* a.create(newTask("t2", { conversationId: conversationId("c2") }), reject)
  yield* hearOf(bHears, alice)
  yield* a.putIntent(taskId("t2"), { key: cancelKey, value: {} }, { userId: alice })
  yield* hearOf(bHears, alice)
}, Effect.scoped)
