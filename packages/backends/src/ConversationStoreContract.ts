/**
 * Every promise that a `ConversationStore` makes, as one suite of tests to run against any implementation.
 *
 * @since 0.1.0
 */
// A test is an entry point.
// @effect-diagnostics strictEffectProvide:off
import { assert, describe, it } from "@effect/vitest"
import type { Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { type ConversationKey, ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, messageId, TaskId, UserId } from "@perennial/domain/Ids"
import { type Message, userText } from "@perennial/domain/Message"
import { zero } from "@perennial/domain/Usage"
import { Array, DateTime, Effect, type Layer, Order } from "effect"
import { TestClock } from "effect/testing"

const alice = UserId.make("alice")
const bob = UserId.make("bob")
const taskId = TaskId.make("t1")
const key = (id: string, userId = alice): ConversationKey => ({ id: ConversationId.make(id), userId })
const c1 = key("c1")
const page = { limit: 1000 }

const stored = (seq: number, message: Message = userText(`message ${seq}`)): StoredMessage => ({
  id: messageId(taskId, seq),
  taskId,
  createdAt: DateTime.makeUnsafe(1000 + seq),
  message,
  status: "complete"
})

type Test = <E>(name: string, body: Effect.Effect<void, E, ConversationStore>) => void

const conversations = (test: Test): void => {
  test(
    "creating a conversation again returns it as it is",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      const created = yield* store.create(c1)
      assert.strictEqual(created.id, c1.id)
      assert.notProperty(created, "title")
      yield* store.setTitle(c1.id, "Trees")
      const again = yield* store.create(c1)
      assert.strictEqual(again.title, "Trees")
      assert.deepStrictEqual(again.createdAt, created.createdAt)
      assert.deepStrictEqual(yield* store.get(c1), again)
    })
  )

  test(
    "a title with U+0000 in it is a title",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.setTitle(c1.id, "Trees \u0000")
      assert.include((yield* store.get(c1)).title, "Trees ")
    })
  )

  test(
    "20 concurrent creates by two users give it to one of them",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      const all = yield* Effect.forEach(
        Array.range(1, 20),
        (n) => Effect.result(store.create(key("c1", n % 2 === 0 ? alice : bob))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(all.filter((one) => one._tag === "Success").length, 10)
    })
  )

  test(
    "P12, SCENARIO 32: a conversation of another user does not exist",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      const foreign = key("c1", bob)
      for (
        const attempt of [
          store.create(foreign),
          store.get(foreign),
          store.messages(foreign, page),
          store.delete(foreign)
        ]
      ) {
        assert.deepInclude(yield* Effect.flip(attempt), { _tag: "ConversationNotFound", conversationId: c1.id })
      }
      assert.deepStrictEqual(yield* store.list({ userId: bob, limit: 10 }), [])
      assert.strictEqual((yield* store.get(c1)).id, c1.id)
    })
  )

  test(
    "lists a user's conversations newest first, whatever their ids, in pages",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      const created: Array<Conversation> = []
      for (const id of ["c2", "c1", "c5", "c4", "c3"]) {
        created.push(yield* store.create(key(id)))
        yield* TestClock.adjust("1 second")
      }
      yield* store.create(key("c6", bob))
      // What is written to last is not what was created last.
      yield* store.append(c1.id, [stored(1)])
      yield* store.setTitle(key("c2").id, "Trees")
      const newestFirst = Order.combine(
        Order.mapInput(Order.Number, (one: Conversation) => -one.createdAt.epochMilliseconds),
        Order.mapInput(Order.flip(Order.String), (one: Conversation) => one.id)
      )
      const all = Array.sort(created, newestFirst).map(({ id }) => id)
      const ids = (options: { readonly limit: number; readonly before?: ConversationId }) =>
        Effect.map(store.list({ userId: alice, ...options }), Array.map(({ id }) => id))
      assert.deepStrictEqual(yield* ids({ limit: 10 }), all)
      for (const [i, before] of all.entries()) {
        assert.deepStrictEqual(yield* ids({ limit: 2, before }), all.slice(i + 1, i + 3))
      }
    })
  )

  test(
    "conversations of one moment are listed by id; an unknown `before`, or another user's, yields nothing",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      for (const id of ["c2", "c1", "c4", "c3"]) yield* store.create(key(id))
      yield* store.create(key("c0", bob))
      const listed = yield* store.list({ userId: alice, limit: 10 })
      for (const [i, one] of listed.entries()) {
        const next = listed[i + 1]
        if (next === undefined) break
        assert.isTrue(one.createdAt.epochMilliseconds > next.createdAt.epochMilliseconds || one.id > next.id)
      }
      assert.strictEqual(listed.length, 4)
      for (const before of [ConversationId.make("none"), key("c0", bob).id]) {
        assert.deepStrictEqual(yield* store.list({ userId: alice, limit: 10, before }), [])
      }
    })
  )

  test(
    "a conversation is deleted with its messages, and its id is free again",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.append(c1.id, [stored(1)])
      yield* store.delete(c1)
      assert.strictEqual((yield* Effect.flip(store.get(c1)))._tag, "ConversationNotFound")
      assert.strictEqual((yield* Effect.flip(store.delete(c1)))._tag, "ConversationNotFound")
      const again = key("c1", bob)
      yield* store.create(again)
      assert.deepStrictEqual(yield* store.messages(again, page), [])
    })
  )

  test(
    "with `onlyEmpty` a conversation without messages is removed, and no other",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.create(key("c2"))
      yield* store.append(c1.id, [stored(1)])
      const onlyEmpty = { onlyEmpty: true }
      yield* store.delete(c1, onlyEmpty)
      yield* store.delete(key("c2", bob), onlyEmpty)
      yield* store.get(key("c2"))
      yield* store.delete(key("c2"), onlyEmpty)
      yield* store.delete(key("c2"), onlyEmpty)
      assert.deepStrictEqual(yield* store.messages(c1, page), [stored(1)])
      assert.deepStrictEqual((yield* store.list({ userId: alice, limit: 10 })).map(({ id }) => id), [c1.id])
    })
  )

  test(
    "what is not there is not found",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      const attempts = [
        store.get(c1),
        store.messages(c1, page),
        store.append(c1.id, [stored(1)]),
        store.setTitle(c1.id, "Trees")
      ]
      for (const attempt of attempts) {
        assert.deepInclude(yield* Effect.flip(attempt), { _tag: "ConversationNotFound", conversationId: c1.id })
      }
    })
  )
}

const messages = (test: Test): void => {
  test(
    "messages are read as they were given, oldest first",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      const added: ReadonlyArray<StoredMessage> = [
        { ...stored(1), metadata: { from: "mobile", nested: [1, null] } },
        {
          ...stored(5, {
            role: "assistant",
            content: [
              { type: "reasoning", text: "hm", providerData: { signature: "s" } },
              { type: "text", text: "zero \u0000, surrogate \uD800, 🌲" },
              { type: "tool_call", toolCallId: "call", tool: "t", args: { a: [1] } }
            ]
          }),
          status: "partial",
          usage: { ...zero, requests: 1, outputTokens: 7 }
        },
        stored(6, {
          role: "tool",
          content: [{ type: "tool_result", toolCallId: "call", tool: "t", result: { ok: true }, status: "interrupted" }]
        })
      ]
      yield* store.append(c1.id, added)
      assert.deepStrictEqual(yield* store.messages(c1, page), added)
    })
  )

  test(
    "P10: appending again changes nothing: what is there stays where and as it is",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.append(c1.id, [stored(1), stored(2)])
      yield* store.append(c1.id, [stored(3), stored(1, userText("changed")), stored(4), stored(4)])
      yield* store.append(c1.id, [])
      assert.deepStrictEqual(yield* store.messages(c1, page), [1, 2, 3, 4].map((seq) => stored(seq)))
    })
  )

  test(
    "the same message id in another conversation is another message",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.create(key("c2"))
      yield* store.append(c1.id, [stored(1)])
      yield* store.append(key("c2").id, [stored(1, userText("other"))])
      assert.deepStrictEqual(yield* store.messages(key("c2"), page), [stored(1, userText("other"))])
    })
  )

  test(
    "concurrent appends keep every message once",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* Effect.forEach(Array.range(1, 20), (n) => store.append(c1.id, [stored(n), stored(n + 1)]), {
        concurrency: "unbounded"
      })
      const ids = (yield* store.messages(c1, page)).map((message) => message.id)
      assert.sameMembers(ids, Array.range(1, 21).map((seq) => messageId(taskId, seq)))
    })
  )

  test(
    "P12: of many operations at once each has its own answer",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      const own = Array.range(1, 10).map((n) => key(`own ${n}`))
      yield* store.create(key("bobs", bob))
      const together = <A, E>(effects: ReadonlyArray<Effect.Effect<A, E>>) =>
        Effect.forEach(effects, Effect.result, { concurrency: "unbounded" })
      const created = yield* together([...own, key("bobs"), ...own].map(store.create))
      assert.deepStrictEqual(
        created.map((one) => one._tag === "Success" ? one.success.id : one.failure._tag),
        [...own.map(({ id }) => id), "ConversationNotFound", ...own.map(({ id }) => id)]
      )
      const appended = yield* together([
        ...own.map(({ id }, i) => store.append(id, Array.range(1, i + 1).map((seq) => stored(seq)))),
        store.append(key("none").id, [stored(1)]),
        store.append(key("own 1").id, []),
        ...own.map(({ id }, i) => store.append(id, [stored(i + 1), stored(i + 2)]))
      ])
      assert.deepStrictEqual(appended.map((one) => one._tag), [
        ...Array.makeBy(10, () => "Success" as const),
        "Failure",
        ...Array.makeBy(11, () => "Success" as const)
      ])
      const read = yield* together([
        ...own.map((one) => store.messages(one, page)),
        store.messages({ ...key("own 1"), userId: bob }, page),
        store.messages(key("own 9"), { limit: 2, after: messageId(taskId, 3) })
      ])
      const seqs = read.map((one) => one._tag === "Success" ? one.success.map(({ id }) => id) : one.failure._tag)
      const ids = (first: number, last: number) => Array.range(first, last).map((seq) => messageId(taskId, seq))
      assert.deepStrictEqual(seqs, [...own.map((_, i) => ids(1, i + 2)), "ConversationNotFound", ids(4, 5)])
    })
  )

  test(
    "pages of messages join without gap or repetition; an unknown `after` yields nothing",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      const added = Array.range(1, 7).map((seq) => stored(seq))
      yield* store.append(c1.id, added)
      const first = yield* store.messages(c1, { limit: 3 })
      const second = yield* store.messages(c1, { limit: 3, after: messageId(taskId, 3) })
      const third = yield* store.messages(c1, { limit: 3, after: messageId(taskId, 6) })
      assert.deepStrictEqual([...first, ...second, ...third], added)
      assert.deepStrictEqual(yield* store.messages(c1, { limit: 3, after: messageId(taskId, 7) }), [])
      assert.deepStrictEqual(yield* store.messages(c1, { limit: 3, after: messageId(taskId, 99) }), [])
    })
  )
}

const replacing = (test: Test): void => {
  const first = { replaces: messageId(taskId, 1) }

  test(
    "a message is replaced together with all that came after it",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.append(c1.id, [1, 2, 3, 4].map((seq) => stored(seq)))
      yield* store.append(c1.id, [stored(5), stored(6)], { replaces: messageId(taskId, 3) })
      assert.deepStrictEqual(yield* store.messages(c1, page), [1, 2, 5, 6].map((seq) => stored(seq)))
      yield* store.append(c1.id, [stored(7)])
      assert.deepStrictEqual(
        yield* store.messages(c1, { limit: 10, after: messageId(taskId, 2) }),
        [5, 6, 7].map((seq) => stored(seq))
      )
      assert.deepStrictEqual(yield* store.messages(c1, { limit: 10, after: messageId(taskId, 3) }), [])
    })
  )

  test(
    "P10: what was replaced does not come back; replacing it again, or what was never there, removes nothing",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.append(c1.id, [stored(1), stored(2)])
      yield* store.append(c1.id, [stored(3)], first)
      yield* store.append(c1.id, [stored(1), stored(4), stored(2)])
      assert.deepStrictEqual(yield* store.messages(c1, page), [stored(3), stored(4)])
      yield* store.append(c1.id, [stored(3)], first)
      yield* store.append(c1.id, [stored(5)], { replaces: messageId(taskId, 99) })
      assert.deepStrictEqual(yield* store.messages(c1, page), [stored(3), stored(4), stored(5)])
      yield* store.append(c1.id, [], { replaces: messageId(taskId, 3) })
      assert.deepStrictEqual(yield* store.messages(c1, page), [])
    })
  )

  test(
    "20 who replace a message at the same time replace it once",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.append(c1.id, [stored(1), stored(2)])
      yield* Effect.forEach(Array.range(3, 22), (seq) => store.append(c1.id, [stored(seq)], first), {
        concurrency: "unbounded"
      })
      const ids = (yield* store.messages(c1, page)).map((message) => message.id)
      assert.sameMembers(ids, Array.range(3, 22).map((seq) => messageId(taskId, seq)))
    })
  )

  test(
    "other conversations keep their messages; a deleted one leaves no trace of what was replaced",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      for (const one of [c1, key("c2")]) {
        yield* store.create(one)
        yield* store.append(one.id, [stored(1), stored(2)])
      }
      yield* store.append(c1.id, [stored(3)], first)
      assert.deepStrictEqual(yield* store.messages(key("c2"), page), [stored(1), stored(2)])
      yield* store.delete(c1)
      yield* store.create(c1)
      yield* store.append(c1.id, [stored(1)])
      assert.deepStrictEqual(yield* store.messages(c1, page), [stored(1)])
    })
  )
}

/**
 * Defines the tests. The layer is built once for each test and gives an empty store every time.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E>(name: string, layer: Layer.Layer<ConversationStore, E>): void => {
  const test: Test = (name, body) => it.effect(name, () => Effect.provide(body, layer))
  describe(name, () => {
    conversations(test)
    messages(test)
    replacing(test)
  })
}
