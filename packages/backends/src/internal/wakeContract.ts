/**
 * The contract of `wakes`: hints about the writes of one process reach the others.
 */
import { assert } from "@effect/vitest"
import { cancelKey } from "@perennial/domain/Intent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { Wake } from "@perennial/domain/Wake"
import { Effect, Equal, Queue, type Scope, Stream } from "effect"
import { begin, end, interrupt, newTask, reject, stored, taskId, text } from "./contractTask.ts"

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

  const released = yield* by(a, begin("t3"))
  yield* a.release(released)
  yield* hear(bHears, "head", "t3")
  yield* b.create(newTask("t4"), { ...reject, onBusy: "enqueue" })
  yield* b.create(newTask("t5"), interrupt)
  yield* hear(aHears, "log", "t4")
}, Effect.scoped)
