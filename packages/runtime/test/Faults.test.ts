/**
 * Properties: whatever call of a store fails at whatever point of an execution, and wherever a process is cut off, the
 * task ends with exactly one terminal event, a log without gaps, the right messages, and every place free again.
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

/** What a client does that gets no answer: it asks again. */
const startOn = (process: Process) =>
  process.manager.start(input).pipe(
    Effect.catchCause(() => Effect.andThen(Effect.sleep("1 second"), process.manager.start(input))),
    Effect.catchCause(() => Effect.andThen(Effect.sleep("1 second"), process.manager.start(input))),
    Effect.catchCause(() => Effect.andThen(Effect.sleep("1 second"), process.manager.start(input))),
    Effect.forkChild
  )

/** One execution with these calls of the process failing, counted after it was built. Returns how many calls it made. */
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

/** One execution with its process cut off from call `n` on, for good or until another has ended the task. */
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
  // P9: it comes back to life, and changes nothing.
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

/** The calls of an execution without any fault. */
const calls = withFaults([], "refused")

const faults: ReadonlyArray<Fault> = ["refused", "unanswered", "dies"]

describe("P3, P4, P8, P10, P11 with faults of the store", () => {
  for (const fault of faults) {
    it.effect(`one call that fails (${fault}), at every point of an execution`, () =>
      Effect.gen(function*() {
        const last = yield* calls
        assert.isAbove(last, 10)
        for (let n = 1; n <= last + 3; n++) {
          yield* withFaults([n], fault).pipe(
            Effect.catchDefect((defect) => Effect.die(new Error(`call ${n}: ${String(defect)}`)))
          )
        }
      }), 60_000)
  }

  it.effect("three calls that fail, near each other and far apart", () =>
    Effect.gen(function*() {
      const last = yield* calls
      for (let n = 1; n <= last; n++) {
        const fault = faults[n % 3] ?? "refused"
        yield* withFaults([n, n + 1 + n % 5, n + 7 + (n * 7) % 11], fault).pipe(
          Effect.catchDefect((defect) => Effect.die(new Error(`from call ${n}: ${String(defect)}`)))
        )
      }
    }), 60_000)

  for (const fault of ["refused", "unanswered"] as const) {
    it.effect(
      `a process that is cut off for good (${fault}), at every point of an execution`,
      () =>
        Effect.gen(function*() {
          const last = yield* calls
          for (let n = 1; n <= last; n++) {
            yield* withCrash(n, fault).pipe(
              Effect.catchDefect((defect) => Effect.die(new Error(`call ${n}: ${String(defect)}`)))
            )
          }
        }),
      60_000
    )
  }
})
