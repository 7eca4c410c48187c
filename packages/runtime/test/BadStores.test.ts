/**
 * Stores of an application that do not keep the contract: one method at a time throws, dies, refuses, answers nonsense, loses
 * its answers or never answers, for all that concerns one conversation. No task of it is immortal, and the others go on (P8).
 */
import { assert, describe, it } from "@effect/vitest"
import { make } from "@perennial/domain/Agent"
import { ConversationId, type TaskId } from "@perennial/domain/Ids"
import { isTerminal } from "@perennial/domain/Task"
import { ConversationStoreError, TaskBackendError } from "@perennial/domain/TaskError"
import { zero } from "@perennial/domain/Usage"
import { Deferred, Duration, Effect, Fiber, Latch } from "effect"
import { TestClock } from "effect/testing"
import { message, text } from "./support/agents.ts"
import { settle, storedLog } from "./support/invariants.ts"
import { shared, startProcess, type Store } from "./support/processes.ts"

const bad = ConversationId.make("bad")
const cause = new Error("This store is broken.")

type Failure = TaskBackendError | ConversationStoreError
type Call = (...args: ReadonlyArray<unknown>) => Effect.Effect<unknown, Failure>

/** How a method is broken. */
const modes = {
  throws: () => {
    throw cause
  },
  dies: () => Effect.die(cause),
  refuses: (_, failure) => Effect.fail(failure),
  "answers nonsense": () => Effect.void,
  "loses its answers": (reached, failure) => Effect.andThen(Effect.exit(reached), Effect.fail(failure)),
  "never answers": () => Effect.never
} satisfies Record<
  string,
  (reached: Effect.Effect<unknown, Failure>, failure: Failure) => Effect.Effect<unknown, Failure>
>
type Mode = keyof typeof modes

const methods = {
  backend: [
    "create",
    "get",
    "list",
    "head",
    "claim",
    "append",
    "finish",
    "release",
    "events",
    "lastSeqs",
    "putIntent",
    "intents",
    "deleteConversation"
  ],
  store: ["create", "get", "list", "messages", "append", "setTitle", "delete"]
} as const
type Port = keyof typeof methods

/** A store one method of which can be broken for the conversation `bad` and its task. */
const breakable = (both: Store, port: Port, method: string, mode: Mode) => {
  const state = { broken: false, id: "none", calls: 0 }
  const service = both[port] as object
  const failure = port === "backend"
    ? new TaskBackendError({ operation: method, cause })
    : new ConversationStoreError({ operation: method, cause })
  const change = (name: string, call: Call): Call => (...args) => {
    state.calls++
    const concerned = JSON.stringify(args).includes(`"${bad}"`) || JSON.stringify(args).includes(`"${state.id}"`)
    return state.broken && name === method && concerned ? modes[mode](call(...args), failure) : call(...args)
  }
  const changed = Object.fromEntries(
    Object.entries(service).map(([name, member]: readonly [string, unknown]) => [
      name,
      typeof member === "function" ? change(name, member as Call) : member
    ])
  )
  // Each method keeps the type of the one that it replaces.
  return { state, both: { ...both, [port]: changed } as Store }
}

/** Two messages, and between them a wait until the test goes on. */
const makeAgent = Effect.gen(function*() {
  const begun = yield* Deferred.make<void>()
  const gate = Latch.makeUnsafe(false)
  const agent = make("worker", ({ journal, task }, emit) =>
    Effect.gen(function*() {
      if (!journal.some(({ event }) => event.type === "message")) yield* emit([text("one"), message("one")])
      if (task.conversationId === bad) {
        yield* Deferred.succeed(begun, undefined)
        yield* gate.await
      }
      yield* emit([text("two"), message("two")])
      return { usage: zero }
    }))
  return { agent, begun, gate }
})

/** Lets time pass until a task has ended. Returns whether it has. */
const passUntilEnded = Effect.fnUntraced(function*({ backend }: Store, id: TaskId, limit: Duration.Input) {
  for (let second = 0; second < Duration.toSeconds(limit); second += 5) {
    yield* settle
    if (isTerminal((yield* backend.get(id)).status)) return true
    yield* TestClock.adjust("5 seconds")
  }
  return false
})

/** A task that was claimed is ended with `finish` alone, and taken over with `claim` alone. */
const cannotEnd = (method: string, mode: Mode, restarted: boolean) =>
  mode !== "loses its answers" && (method === "finish" || (method === "claim" && restarted))

const test = Effect.fnUntraced(function*(port: Port, method: string, mode: Mode, restarted: boolean) {
  const real = yield* shared
  const { both, state } = breakable(real, port, method, mode)
  const { agent, begun, gate } = yield* makeAgent
  const first = yield* startProcess(both, [agent])
  const { id } = yield* first.manager.start({ message: "hello", conversationId: bad })
  yield* Deferred.await(begun)
  state.id = id
  state.broken = true
  if (restarted) yield* Effect.forkChild(first.terminate)
  if (restarted) yield* TestClock.adjust("20 seconds")
  const { manager } = restarted ? yield* startProcess(both, [agent]) : first
  const other = yield* manager.start({ message: "hello" })
  assert.isTrue(yield* passUntilEnded(real, other.id, "1 minute"), "another task goes on")

  yield* gate.open
  state.calls = 0
  // Each call without an answer takes a minute.
  const patience = mode === "never answers" ? 15 : 3
  let ended = yield* passUntilEnded(real, id, Duration.minutes(patience))
  if (!ended) {
    const cancelling = yield* Effect.forkChild(Effect.exit(manager.cancel(id)))
    ended = yield* passUntilEnded(real, id, Duration.minutes(patience))
    yield* Fiber.interrupt(cancelling)
    assert.isBelow(state.calls, 2 * patience * 60 * 10, "nothing spins")
  }
  assert.strictEqual(ended, !cannotEnd(method, mode, restarted), "the task ends by itself, or by a cancel")
  state.broken = false
  assert.isTrue(yield* passUntilEnded(real, id, "5 minutes"), "the task ends when the store is mended")
  yield* manager.deleteConversation(bad)
}, Effect.scoped)

for (const port of ["backend", "store"] as const) {
  describe(port === "backend" ? "a task backend" : "a conversation store", () => {
    for (const method of methods[port]) {
      for (const mode of Object.keys(modes) as ReadonlyArray<Mode>) {
        it.effect(`P8: whose \`${method}\` ${mode}`, () => test(port, method, mode, false))
        it.effect(`P8: whose \`${method}\` ${mode}, after a restart`, () => test(port, method, mode, true))
      }
    }
  })
}

describe("a task backend, for a while", () => {
  for (const method of ["heartbeat", "unowned"] as const) {
    for (const mode of Object.keys(modes) as ReadonlyArray<Mode>) {
      it.effect(`P8: whose \`${method}\` ${mode}: every task ends afterwards`, () =>
        Effect.gen(function*() {
          const real = yield* shared
          const state = { broken: false, calls: 0 }
          const failure = new TaskBackendError({ operation: method, cause })
          const original: Call = real.backend[method] as Call
          const changed: Call = (...args) => {
            state.calls++
            return state.broken ? modes[mode](original(...args), failure) : original(...args)
          }
          const both = { ...real, backend: { ...real.backend, [method]: changed } as Store["backend"] }
          const { agent, begun, gate } = yield* makeAgent
          const { manager } = yield* startProcess(both, [agent])
          const { id } = yield* manager.start({ message: "hello", conversationId: bad })
          yield* Deferred.await(begun)
          state.broken = true
          yield* gate.open
          yield* passUntilEnded(real, id, "3 minutes")
          assert.isBelow(state.calls, 3 * 60 * 3, "nothing spins")
          state.broken = false
          const other = yield* manager.start({ message: "hello" })
          for (const task of [id, other.id]) assert.isTrue(yield* passUntilEnded(real, task, "5 minutes"))
        }).pipe(Effect.scoped))
    }
  }
})

describe("a store that gives the same page for ever", () => {
  const page = (real: Store) => {
    const messages: Store["store"]["messages"] = (key, { limit }) =>
      Effect.map(real.store.messages(key, { limit: 1 }), (first) => Array.from({ length: limit }, () => first).flat())
    const events: Store["backend"]["events"] = (id, options) =>
      Effect.map(real.backend.events(id, { ...options, after: 0, limit: 1 }), (first) => ({ ...first, ended: false }))
    return {
      "a conversation": { ...real, store: { ...real.store, messages } },
      "a log": { ...real, backend: { ...real.backend, events } }
    }
  }

  for (const  of of["a conversation", "a log"] as const) {
    it.effect(`P8, P11: of ${of} is not read for ever, and the task ends`, () =>
      Effect.gen(function*() {
        const real = yield* shared
        const { agent, begun } = yield* makeAgent
        const first = yield* startProcess(real, [agent])
        const { id } = yield* first.manager.start({ message: "hello", conversationId: bad })
        yield* Deferred.await(begun)
        yield* first.terminate
        yield* startProcess(page(real)[of], [agent])
        assert.isTrue(yield* passUntilEnded(real, id, "5 minutes"))
        assert.strictEqual((yield* real.backend.get(id)).error?.code, "CrashLoop")
        assert.deepStrictEqual(
          (yield* storedLog(real, id)).map(({ event }) => event.type),
          [
            "ack",
            "started",
            "text",
            "message",
            ...(of === "a log" ? [] : Array.from({ length: 4 }, () => "resumed")),
            "error"
          ]
        )
      }).pipe(Effect.scoped))
  }
})

it.effect("P8: a task that a store does not release for a while is whole, and goes on", () =>
  Effect.gen(function*() {
    const real = yield* shared
    const failed = new TaskBackendError({ operation: "any", cause })
    let refusals = 0
    const backend: Store["backend"] = {
      ...real.backend,
      append: (batch) =>
        refusals === 0 && JSON.stringify(batch).includes("two") ? Effect.fail(failed) : real.backend.append(batch),
      release: (claim, options) =>
        Effect.suspend(() => refusals++ < 6 ? Effect.fail(failed) : real.backend.release(claim, options))
    }
    const { agent } = yield* makeAgent
    const { manager } = yield* startProcess({ ...real, backend }, [agent])
    const { id } = yield* manager.start({ message: "hello" })
    assert.isTrue(yield* passUntilEnded(real, id, "1 minute"))
    assert.strictEqual((yield* real.backend.get(id)).status, "completed")
    assert.isAtLeast(refusals, 7)
    const resumed = (yield* storedLog(real, id)).find(({ event }) => event.type === "resumed")
    assert.propertyVal(resumed?.event, "reason", "storeFailure")
  }).pipe(Effect.scoped))
