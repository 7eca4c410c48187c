/**
 * Property: a cancel may come at any moment of an execution, from the process of the owner or from another process. The
 * task ends with exactly one terminal event, `cancel` returns that status, and the conversation and all places are free.
 */
import { assert, describe, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { ConversationId } from "@perennial/domain/Ids"
import { Effect, Fiber, Latch, Ref } from "effect"
import { TestClock } from "effect/testing"
import { text } from "./support/agents.ts"
import {
  blocking,
  checkCapacity,
  checkEnded,
  readOn,
  settle,
  stepping,
  storedLog,
  untilEnded
} from "./support/invariants.ts"
import { shared, startProcess } from "./support/processes.ts"

const capacity = 2
const conversationId = ConversationId.make("c1")

interface Moment {
  /** The number of the call to the store, counted from the start of the task. */
  readonly call: number
  /** Whether the cancel comes before the store gets the call, or after it has answered. The call waits meanwhile. */
  readonly at: "before" | "after"
  readonly from: "owner" | "other"
}

/** Runs a task that is cancelled at the moment. Returns its status and its number of calls to the store. */
const cancelAt = Effect.fnUntraced(function*({ at, call, from }: Moment) {
  const both = yield* shared
  const block = { release: Latch.makeUnsafe(false), active: Ref.makeUnsafe(0) }
  const a = yield* startProcess(both, [stepping, blocking(block.release, block.active)], { capacity })
  const b = yield* startProcess(both, [stepping])
  const { manager } = from === "owner" ? a : b
  const built = a.line.calls
  const due = Latch.makeUnsafe(false)
  a.line[at] = (n) => n === built + call ? Effect.andThen(due.open, settle) : Effect.void
  const cancelling = yield* Effect.forkChild(Effect.gen(function*() {
    yield* due.await
    // `start` may not have returned yet: the list has the id of the task.
    const [task] = yield* manager.list()
    return task === undefined ? undefined : yield* manager.cancel(task.id, { reason: "enough" })
  }))
  const { id } = yield* a.manager.start({ message: "look", conversationId })
  const reader = yield* Effect.forkChild(readOn(b.manager, id))
  const task = yield* untilEnded(both, id)
  const calls = a.line.calls - built
  yield* settle
  yield* TestClock.adjust("12 seconds")
  const log = yield* checkEnded(both, id)
  assert.deepStrictEqual(yield* Fiber.join(reader), log)
  if (call > 0 && call <= calls) {
    const told = yield* Fiber.join(cancelling)
    if (told !== undefined) assert.deepStrictEqual(told, task)
    const last = log[log.length - 1]?.event
    if (last?.type === "cancelled") assert.strictEqual(last.reason, "enough")
  } else {
    yield* Fiber.interrupt(cancelling)
  }
  const next = yield* a.manager.start({ message: "next", conversationId })
  assert.strictEqual((yield* untilEnded(both, next.id)).status, "completed")
  yield* checkCapacity(a.manager, both, block, capacity)
  yield* a.terminate
  yield* b.terminate
  return { status: task.status, calls }
}, Effect.scoped)

describe("P4, P7: a task is cancelled", () => {
  for (const from of ["owner", "other"] as const) {
    for (const at of ["before", "after"] as const) {
      it.effect(`from the ${from} process, ${at} each call to the store`, () =>
        Effect.gen(function*() {
          const { calls } = yield* cancelAt({ call: 0, at, from })
          const statuses: Array<string> = []
          for (let call = 1; call <= calls; call++) {
            const { status } = yield* cancelAt({ call, at, from }).pipe(
              Effect.catchDefect((defect) => Effect.die(new Error(`call ${call}: ${String(defect)}`)))
            )
            statuses.push(status)
          }
          assert.include(statuses, "completed")
          if (from === "owner") assert.include(statuses, "cancelled")
        }), 120_000)
    }
  }

  it.effect("events that detached fibers of the agent still emit are not written, and do not delay the end", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const begun = Latch.makeUnsafe(false)
      const agent = make("leaves a fiber behind", (_, emit) =>
        Effect.gen(function*() {
          yield* Effect.forkDetach(Effect.forever(emit([text("late ")])))
          yield* begun.open
          return yield* Effect.never
        }))
      const { line, manager } = yield* startProcess(both, [agent])
      line.before = () => Effect.repeat(Effect.yieldNow, { times: 3 })
      const { id } = yield* manager.start({ message: "x" })
      yield* begun.await
      yield* settle
      const cancelling = yield* Effect.forkChild(manager.cancel(id))
      yield* settle
      assert.strictEqual((yield* Fiber.join(cancelling)).status, "cancelled")
      assert.strictEqual((yield* checkEnded(both, id)).filter(({ event }) => event.type === "resumed").length, 0)
      assert.deepStrictEqual(yield* storedLog(both, id), yield* checkEnded(both, id))
    }))
})
