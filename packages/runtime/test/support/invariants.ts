/**
 * Checks that must hold for every task after its end, whatever happened before.
 */
import { assert } from "@effect/vitest"
import { type Agent, make } from "@perennial/domain/Agent"
import { AgentId, messageId, type TaskId, UserId } from "@perennial/domain/Ids"
import * as Task from "@perennial/domain/Task"
import { type AgentEvent, isTerminal, type StoredEvent, terminalStatus } from "@perennial/domain/TaskEvent"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import { Effect, Fiber, type Latch, Ref, Stream } from "effect"
import { TestClock } from "effect/testing"
import { message, text } from "./agents.ts"
import type { Store } from "./processes.ts"

const user = UserId.make("local")

export const settle = Effect.repeat(Effect.yieldNow, { times: 50 })

const steps: ReadonlyArray<AgentEvent> = [
  text("I look "),
  {
    type: "message",
    message: { role: "assistant", content: [{ type: "tool_call", toolCallId: "t1", tool: "look", args: {} }] },
    usage: zero
  },
  { type: "tool_call", tool: "look", toolCallId: "t1", args: {}, status: "executing" },
  { type: "tool_result", tool: "look", toolCallId: "t1", result: 42, status: "completed" },
  text("it is "),
  text("42"),
  message("it is 42")
]

/** An agent that emits text, a tool call with its result, and a last message. It continues after its journal (P10). */
export const stepping: Agent = make("stepping", ({ journal }, emit) =>
  Effect.gen(function*() {
    const done = new Set(journal.map(({ event }) => event.type === "message" ? JSON.stringify(event) : event.type))
    const messages = journal.filter(({ event }) => event.type === "message").length
    const from = messages > 1 ? steps.length : done.has("tool_result") ? 4 : messages > 0 ? 2 : 0
    for (const step of steps.slice(from)) yield* emit([step])
    return { usage: zero }
  }))

/** An agent that increments `active`, and waits until `release` is open: `active` is the number of begun tasks. */
export const blocking = (release: Latch.Latch, active: Ref.Ref<number>): Agent =>
  make(
    "blocking",
    () => Effect.andThen(Ref.update(active, (n) => n + 1), release.await).pipe(Effect.as({ usage: zero }))
  )

/** Moves the clock on until a fiber has ended. Digests need a turn of the event loop, so that yields alone are not enough. */
export const joinInTime = Effect.fnUntraced(function*<A, E>(fiber: Fiber.Fiber<A, E>) {
  while (fiber.pollUnsafe() === undefined) {
    yield* settle
    yield* TestClock.adjust("1 second")
  }
  return yield* Fiber.join(fiber)
})

/** Moves the clock on in small steps until a task has ended. */
export const untilEnded = Effect.fnUntraced(function*({ backend }: Store, id: TaskId, seconds = 60) {
  for (let second = 0; second < seconds; second++) {
    yield* settle
    const task = yield* backend.get(id)
    if (Task.isTerminal(task.status)) return task
    yield* TestClock.adjust("1 second")
  }
  return assert.fail(`the task did not end within ${seconds} seconds`)
})

/** The stored log of a task. */
export const storedLog = ({ backend }: Store, id: TaskId) =>
  Effect.map(
    backend.events(id, { after: 0, limit: 1000, maxBytes: Number.MAX_SAFE_INTEGER }),
    ({ events }) => events
  )

/** Checks P3 and P4, and that the conversation has exactly the messages of the log, in the same order. */
export const checkEnded = Effect.fnUntraced(function*(both: Store, id: TaskId) {
  const { backend, store } = both
  const task = yield* backend.get(id)
  const log = yield* storedLog(both, id)
  assert.deepStrictEqual(log.map(({ seq }) => seq), log.map((_, i) => i + 1))
  assert.deepStrictEqual(
    log.flatMap(({ event, seq }) => isTerminal(event) ? [seq] : []),
    [log.length],
    "exactly one terminal event, and it is the last"
  )
  const last = log[log.length - 1]?.event
  assert.strictEqual(task.status, last !== undefined && isTerminal(last) ? terminalStatus(last) : "none")
  const begun = log.some(({ event }) => event.type === "started")
  const expected = log.flatMap(({ event, seq }) =>
    event.type === "message" || event.type === "tool_result" || (begun && event.type === "ack")
      ? [messageId(id, seq)]
      : []
  )
  const key = { id: task.conversationId, userId: user }
  const messages = yield* store.messages(key, { limit: 1000 })
  assert.deepStrictEqual(messages.filter(({ taskId }) => taskId === id).map((stored) => stored.id), expected)
  return log
})

/** Checks that no finished work of the agent `stepping` was repeated, and that nothing is missing (P10). */
export const checkStepped = (log: ReadonlyArray<StoredEvent>) => {
  const count = (type: string) => log.filter(({ event }) => event.type === type).length
  assert.deepStrictEqual([count("message"), count("tool_result"), count("done")], [2, 1, 1])
}

/** A reader that reconnects whenever its stream ends early. Returns all events. */
export const readOn = Effect.fnUntraced(function*(manager: TaskManager["Service"], id: TaskId) {
  const seen: Array<StoredEvent> = []
  while (true) {
    yield* Effect.gen(function*() {
      const events = yield* manager.events(id, { after: seen.length })
      yield* Stream.runForEach(events, (stored) => Effect.sync(() => seen.push(stored)))
    }).pipe(Effect.catchCause(() => Effect.sleep("1 second")))
    const last = seen[seen.length - 1]?.event
    if (last !== undefined && isTerminal(last)) return seen
  }
})

/** Checks that the process runs `capacity` tasks concurrently, so that all places are free (P11). */
export const checkCapacity = Effect.fnUntraced(function*(
  manager: TaskManager["Service"],
  both: Store,
  block: { readonly release: Latch.Latch; readonly active: Ref.Ref<number> },
  capacity: number
) {
  const tasks = yield* Effect.replicateEffect(
    manager.start({ message: "x", agentId: AgentId.make("blocking") }),
    capacity
  )
  yield* settle
  yield* TestClock.adjust("5 seconds")
  yield* settle
  assert.strictEqual(yield* Ref.get(block.active), capacity, "every place is free again")
  yield* block.release.open
  for (const task of tasks) yield* untilEnded(both, task.id)
})
