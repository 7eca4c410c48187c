/**
 * Properties: any call to a store may fail at any point of an execution, and a process may lose its store at any point.
 * The task still ends with exactly one terminal event, a log without gaps and the right messages, and all places are free.
 */
import { assert, describe, it } from "@effect/vitest"
import { ConversationId } from "@perennial/domain/Ids"
import { Effect, Latch, Ref } from "effect"
import { TestClock } from "effect/testing"
import {
  blocking,
  checkCapacity,
  checkEnded,
  checkStepped,
  joinInTime,
  readOn,
  settle,
  stepping,
  untilEnded
} from "./support/invariants.ts"
import { type Fault, type Process, shared, startProcess } from "./support/processes.ts"

const capacity = 2
const input = { message: "look", conversationId: ConversationId.make("c1"), idempotencyKey: "k" }

const makeBlock = () => ({ release: Latch.makeUnsafe(false), active: Ref.makeUnsafe(0) })

/** Starts the task like a client that repeats its request when it gets no answer. */
const startOn = (process: Process) =>
  process.manager.start(input).pipe(
    Effect.catchCause(() => Effect.andThen(Effect.sleep("1 second"), process.manager.start(input))),
    Effect.catchCause(() => Effect.andThen(Effect.sleep("1 second"), process.manager.start(input))),
    Effect.catchCause(() => Effect.andThen(Effect.sleep("1 second"), process.manager.start(input))),
    Effect.forkChild
  )

/** One execution in which these calls to the store fail, counted from the start. Returns the number of calls. */
const withFaults = Effect.fnUntraced(function*(faulty: ReadonlyArray<number>, fault: Fault) {
  const both = yield* shared
  const block = makeBlock()
  const process = yield* startProcess(both, [stepping, blocking(block.release, block.active)], { capacity })
  const { line, manager } = process
  const built = line.calls
  line.fault = (call) => faulty.includes(call - built) ? fault : undefined
  const starting = yield* startOn(process)
  const { id } = yield* joinInTime(starting)
  const reader = yield* Effect.forkChild(readOn(manager, id))
  yield* untilEnded(both, id)
  const calls = line.calls - built
  checkStepped(yield* checkEnded(both, id))
  yield* settle
  yield* TestClock.adjust("12 seconds")
  assert.deepStrictEqual(yield* joinInTime(reader), yield* checkEnded(both, id))
  yield* checkCapacity(manager, both, block, capacity)
  yield* process.terminate
  return calls
}, Effect.scoped)

/** One execution whose process cannot reach the store from call `n` on, until another process has ended the task. */
const withCrash = Effect.fnUntraced(function*(n: number, fault: Fault) {
  const both = yield* shared
  const block = makeBlock()
  const a = yield* startProcess(both, [stepping])
  const b = yield* startProcess(both, [stepping, blocking(block.release, block.active)], { capacity })
  const built = a.line.calls
  a.line.fault = (call) => call < built + n ? undefined : call === built + n ? fault : "refused"
  const starting = yield* Effect.forkChild(
    a.manager.start(input).pipe(
      Effect.catchCause(() => Effect.andThen(Effect.sleep("1 second"), b.manager.start(input)))
    )
  )
  const { id } = yield* joinInTime(starting)
  const reader = yield* Effect.forkChild(readOn(b.manager, id))
  yield* untilEnded(both, id)
  const log = yield* checkEnded(both, id)
  checkStepped(log)
  // P9: the old process can reach the store again, and changes nothing.
  a.line.restore()
  yield* settle
  yield* TestClock.adjust("12 seconds")
  yield* settle
  assert.deepStrictEqual(yield* checkEnded(both, id), log)
  assert.deepStrictEqual(yield* joinInTime(reader), log)
  yield* checkCapacity(b.manager, both, block, capacity)
  yield* a.terminate
  yield* b.terminate
}, Effect.scoped)

/** The number of calls of an execution without a fault. */
const calls = withFaults([], "refused")

const faults: ReadonlyArray<Fault> = ["refused", "unanswered", "dies"]

describe("P3, P4, P8, P10, P11 with faults of the store", () => {
  for (const fault of faults) {
    it.effect(`one failing call (${fault}), at every point of an execution`, () =>
      Effect.gen(function*() {
        const last = yield* calls
        assert.isAbove(last, 10)
        for (let n = 1; n <= last + 3; n++) {
          yield* withFaults([n], fault).pipe(
            Effect.catchDefect((defect) => Effect.die(new Error(`call ${n}: ${String(defect)}`)))
          )
        }
      }), 120_000)
  }

  it.effect("three failing calls, close together and far apart", () =>
    Effect.gen(function*() {
      const last = yield* calls
      for (let n = 1; n <= last; n++) {
        const fault = faults[n % 3] ?? "refused"
        yield* withFaults([n, n + 1 + n % 5, n + 7 + (n * 7) % 11], fault).pipe(
          Effect.catchDefect((defect) => Effect.die(new Error(`from call ${n}: ${String(defect)}`)))
        )
      }
    }), 120_000)

  for (const fault of ["refused", "unanswered"] as const) {
    it.effect(
      `a process that loses its store (${fault}), at every point of an execution`,
      () =>
        Effect.gen(function*() {
          const last = yield* calls
          for (let n = 1; n <= last; n++) {
            yield* withCrash(n, fault).pipe(
              Effect.catchDefect((defect) => Effect.die(new Error(`call ${n}: ${String(defect)}`)))
            )
          }
        }),
      120_000
    )
  }
})
