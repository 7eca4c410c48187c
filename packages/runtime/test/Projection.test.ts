/**
 * Tasks whose messages the conversation store refuses.
 */
import { assert, describe, it } from "@effect/vitest"
import { type Agent, make } from "@perennial/domain/Agent"
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { ConversationId } from "@perennial/domain/Ids"
import { ConversationStoreError, TaskBackendError } from "@perennial/domain/TaskError"
import { zero } from "@perennial/domain/Usage"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import { message, text } from "./support/agents.ts"
import { checkEnded, settle, storedLog, untilEnded } from "./support/invariants.ts"
import { shared, startProcess, type Store } from "./support/processes.ts"

const conversationId = ConversationId.make("c1")
const failure = new ConversationStoreError({ operation: "append", cause: "the value is too long" })

/** An agent that emits these messages, beginning after those of its journal. Then it emits a text, and runs `end`. */
const saying = (said: ReadonlyArray<string>, end: Effect.Effect<void> = Effect.void): Agent =>
  make("saying", ({ journal }, emit) =>
    Effect.gen(function*() {
      const done = journal.filter(({ event }) => event.type === "message").length
      for (const one of said.slice(done)) yield* emit([message(one)])
      yield* emit([text("and so on")])
      yield* end
      return { usage: zero }
    }))

const behind = (
  both: Store,
  change: (store: ConversationStore["Service"]) => Partial<ConversationStore["Service"]>
) => ({
  ...both,
  store: { ...both.store, ...change(both.store) }
})

/** A store that always refuses some messages. */
const picky = (both: Store, refuse: Effect.Effect<never, ConversationStoreError>) =>
  behind(both, (store) => ({
    append: (id, messages) => messages.some(isPoison) ? refuse : store.append(id, messages)
  }))

const isPoison = (stored: StoredMessage) => JSON.stringify(stored).includes("poison")

const inConversation = Effect.fnUntraced(function*({ store }: Store) {
  const messages = yield* store.messages({ id: conversationId, userId: yield* CurrentUser }, { limit: 100 })
  return messages.map(({ message }) => message.content.map((part) => part.type === "text" ? part.text : "").join(""))
})

describe("a message that the conversation store always refuses", () => {
  for (const [how, refuse] of [["fails", Effect.fail(failure)], ["dies", Effect.die(failure)]] as const) {
    it.effect(`ends its task with an error that names the message; the other messages are stored (${how})`, () =>
      Effect.gen(function*() {
        const both = yield* shared
        const { manager } = yield* startProcess(picky(both, refuse), [saying(["fine", "poison"])])
        const { id } = yield* manager.start({ message: "hello", conversationId })
        assert.strictEqual((yield* untilEnded(both, id)).status, "error")
        const log = yield* storedLog(both, id)
        const last = log.at(-1)?.event
        assert.deepInclude(last, { type: "error", error: "MessageRefused", retryable: false })
        assert.include(last?.type === "error" ? last.detail : "", `${id}/4`)
        assert.deepStrictEqual(log.map(({ event }) => event.type), ["ack", "started", "message", "message", "error"])
        assert.deepStrictEqual(yield* inConversation(both), ["hello", "fine"])
        const next = yield* manager.start({ message: "again", conversationId })
        yield* untilEnded(both, next.id)
        assert.include(yield* inConversation(both), "again")
      }))
  }

  it.effect("P7: does not prevent the cancel of its task", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const { manager } = yield* startProcess(picky(both, refused), [saying(["poison"])])
      const { id } = yield* manager.start({ message: "hello", conversationId })
      yield* settle
      const cancelling = yield* Effect.forkChild(manager.cancel(id))
      assert.strictEqual((yield* untilEnded(both, id)).status, "cancelled")
      assert.strictEqual((yield* Fiber.join(cancelling)).status, "cancelled")
      assert.deepStrictEqual(yield* inConversation(both), ["hello"])
    }))

  it.effect("may be the message of the user", () =>
    Effect.gen(function*() {
      const both = yield* shared
      const { manager } = yield* startProcess(picky(both, refused), [saying(["fine"])])
      const { id } = yield* manager.start({ message: "poison", conversationId })
      assert.strictEqual((yield* untilEnded(both, id)).status, "error")
      assert.deepStrictEqual((yield* storedLog(both, id)).map(({ event }) => event.type), ["ack", "started", "error"])
    }))
})

const refused = Effect.fail(failure)

it.effect("P8: a task waits for a conversation store that is down for several minutes, and then goes on", () =>
  Effect.gen(function*() {
    const both = yield* shared
    let away = false
    const stored = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.suspend((): Effect.Effect<A, E | ConversationStoreError> => away ? refused : effect)
    const store = behind(both, (store) => ({
      get: (key) => stored(store.get(key)),
      append: (id, messages) => stored(store.append(id, messages)),
      messages: (key, options) => stored(store.messages(key, options))
    }))
    const leave = Effect.sync(() => (away = true))
    const agent = saying(["fine", "better"], Effect.void)
    const { manager } = yield* startProcess(store, [{
      ...agent,
      run: (input, emit) =>
        agent.run(input, (events) => Effect.tap(emit(events), () => input.journal.length > 2 ? Effect.void : leave))
    }])
    const { id } = yield* manager.start({ message: "hello", conversationId })
    for (let minute = 0; minute < 5; minute++) {
      yield* settle
      yield* TestClock.adjust("1 minute")
    }
    assert.strictEqual((yield* both.backend.get(id)).status, "running")
    assert.isBelow((yield* storedLog(both, id)).length, 8, "the log does not grow meanwhile")
    away = false
    assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
    yield* checkEnded(both, id)
  }))

it.effect("P10: a conversation that is deleted while a task of it runs gets all messages of the task again", () =>
  Effect.gen(function*() {
    const both = yield* shared
    const deleted = Effect.flatMap(CurrentUser, (userId) => both.store.delete({ id: conversationId, userId }))
    let deletions = 0
    const agent = make("deleting", ({ journal }, emit) =>
      Effect.gen(function*() {
        const done = journal.filter(({ event }) => event.type === "message").length
        if (done < 1) yield* emit([message("first")])
        if (deletions++ === 0) yield* Effect.orDie(deleted)
        if (done < 2) yield* emit([message("second")])
        return { usage: zero }
      }))
    const { manager } = yield* startProcess(both, [agent])
    const { id } = yield* manager.start({ message: "hello", conversationId })
    assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
    assert.deepStrictEqual(yield* inConversation(both), ["hello", "first", "second"])
  }))

it.effect("P10: so does a conversation that is created again before the task goes on", () =>
  Effect.gen(function*() {
    const both = yield* shared
    let deletions = 0
    const deletedAndCreated = Effect.gen(function*() {
      const key = { id: conversationId, userId: yield* CurrentUser }
      yield* both.store.delete(key)
      yield* both.store.create(key)
    })
    const agent = make("deleting", ({ journal }, emit) =>
      Effect.gen(function*() {
        const done = journal.filter(({ event }) => event.type === "message").length
        if (done < 1) yield* emit([message("first")])
        if (deletions++ === 0) yield* Effect.orDie(deletedAndCreated)
        if (done < 2) yield* emit([message("second")])
        return { usage: zero }
      }))
    const { manager } = yield* startProcess(both, [agent])
    const { id } = yield* manager.start({ message: "hello", conversationId })
    assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
    assert.deepStrictEqual(yield* inConversation(both), ["hello", "first", "second"])
  }))

it.effect("P10: an agent that goes on after the deletion puts no message before those that it removed", () =>
  Effect.gen(function*() {
    const both = yield* shared
    const deleted = Effect.flatMap(CurrentUser, (userId) => both.store.delete({ id: conversationId, userId }))
    let deletions = 0
    const agent = make("deleting", ({ journal }, emit) =>
      Effect.gen(function*() {
        const done = journal.filter(({ event }) => event.type === "message").length
        if (done < 1) yield* emit([message("first")])
        if (deletions++ === 0) yield* Effect.orDie(deleted)
        // The attempt stops at the second message. This agent does not.
        if (done < 2) yield* Effect.exit(emit([message("second")]))
        if (done < 3) yield* emit([message("third")])
        return { usage: zero }
      }).pipe(Effect.uninterruptible))
    const { manager } = yield* startProcess(both, [agent])
    const { id } = yield* manager.start({ message: "hello", conversationId })
    assert.strictEqual((yield* untilEnded(both, id)).status, "completed")
    assert.deepStrictEqual(yield* inConversation(both), ["hello", "first", "second", "third"])
  }))

it.effect("P10: the messages at the end of a task that was given up are repeated until the conversation store answers", () =>
  Effect.gen(function*() {
    const both = yield* shared
    const failed = new TaskBackendError({ operation: "append", cause: "refused" })
    let away = 0
    const answered = <A, E>(effect: Effect.Effect<A, E>) =>
      Effect.suspend((): Effect.Effect<A, E | ConversationStoreError> => away > 0 && away-- > 0 ? refused : effect)
    const store: Store = {
      backend: {
        ...both.backend,
        append: (batch) => JSON.stringify(batch).includes("poison") ? Effect.fail(failed) : both.backend.append(batch),
        finish: (...args) => Effect.tap(both.backend.finish(...args), () => Effect.sync(() => (away = 6)))
      },
      store: {
        ...both.store,
        append: (...args) => answered(both.store.append(...args)),
        get: (key) => answered(both.store.get(key))
      }
    }
    const agent = make(
      "cut",
      (_, emit) => Effect.as(Effect.andThen(emit([text("half")]), emit([text("poison")])), { usage: zero })
    )
    const { manager } = yield* startProcess(store, [agent])
    const { id } = yield* manager.start({ message: "hello", conversationId })
    assert.deepInclude(yield* untilEnded(both, id), { status: "error" })
    yield* settle
    yield* TestClock.adjust("3 seconds")
    yield* settle
    assert.strictEqual(away, 0)
    assert.deepStrictEqual(yield* inConversation(both), ["hello", "half"])
  }))
