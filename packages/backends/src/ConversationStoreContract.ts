/**
 * Every promise that a `ConversationStore` makes, as one suite of tests to run against any implementation.
 *
 * @since 0.1.0
 */
// A test is an entry point.
// @effect-diagnostics strictEffectProvide:off
import { assert, describe, it } from "@effect/vitest"
import type { Conversation } from "@perennial/domain/Conversation"
import { type ConversationPlace, ConversationStore } from "@perennial/domain/ConversationStore"
import { messageId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { Array, Effect, type Layer, Order, type Scope } from "effect"
import { TestClock } from "effect/testing"
import { alice, bob, c1, key, page, stored, taskId, type Test } from "./internal/contractConversation.ts"
import * as messages from "./internal/messagesContract.ts"
import * as search from "./internal/searchContract.ts"

const placeOf = ({ createdAt, id }: Conversation): ConversationPlace => ({ at: createdAt, id })

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
          Effect.asVoid(store.delete(foreign))
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
      // Writes change the order of `updatedAt`, not the order of the list.
      yield* store.append(c1.id, [stored(1)])
      yield* store.setTitle(key("c2").id, "Trees")
      const newestFirst = Order.combine(
        Order.mapInput(Order.Number, (one: Conversation) => -one.createdAt.epochMilliseconds),
        Order.mapInput(Order.flip(Order.String), (one: Conversation) => one.id)
      )
      const sorted = Array.sort(created, newestFirst)
      const all = sorted.map(({ id }) => id)
      const ids = (options: { readonly limit: number; readonly before?: ConversationPlace }) =>
        Effect.map(store.list({ userId: alice, ...options }), Array.map(({ id }) => id))
      assert.deepStrictEqual(yield* ids({ limit: 10 }), all)
      for (const [i, { createdAt: at, id }] of sorted.entries()) {
        assert.deepStrictEqual(yield* ids({ limit: 2, before: { at, id } }), all.slice(i + 1, i + 3))
      }
    })
  )

  test(
    "lists the conversations of child tasks only where they are asked for",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      const child = key("~t1.001")
      for (const one of [c1, child, key("~t1.002"), key("c2")]) {
        yield* store.create(one)
        yield* TestClock.adjust("1 second")
      }
      yield* store.append(child.id, [stored(1)])
      for (const order of ["createdAt", "updatedAt"] as const) {
        const ids = (options: { readonly limit: number; readonly children?: boolean; readonly text?: string }) =>
          Effect.map(store.list({ userId: alice, order, ...options }), Array.map(({ id }) => String(id)))
        assert.deepStrictEqual(yield* ids({ limit: 10 }), ["c2", "c1"])
        assert.deepStrictEqual(yield* ids({ limit: 2 }), ["c2", "c1"])
        assert.deepStrictEqual(yield* ids({ limit: 1 }), ["c2"])
        assert.sameMembers(yield* ids({ limit: 10, children: true }), ["c2", "c1", "~t1.001", "~t1.002"])
      }
      assert.strictEqual((yield* store.get(child)).id, child.id)
    })
  )

  test(
    "lists a user's conversations by their last change, in pages",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      for (const id of ["c1", "c2", "c3", "c4"]) {
        yield* store.create(key(id))
        yield* TestClock.adjust("1 second")
      }
      yield* store.create(key("c5", bob))
      yield* store.setTitle(key("c3").id, "Trees")
      yield* TestClock.adjust("1 second")
      yield* store.append(c1.id, [stored(1)])
      const newestFirst = Order.combine(
        Order.mapInput(Order.Number, (one: Conversation) => -one.updatedAt.epochMilliseconds),
        Order.mapInput(Order.flip(Order.String), (one: Conversation) => one.id)
      )
      const order = "updatedAt"
      const listed = yield* store.list({ userId: alice, order, limit: 10 })
      assert.deepStrictEqual(listed, Array.sort(yield* store.list({ userId: alice, limit: 10 }), newestFirst))
      assert.strictEqual(listed.length, 4)
      for (const [i, { id, updatedAt: at }] of listed.entries()) {
        const next = yield* store.list({ userId: alice, order, before: { at, id }, limit: 2 })
        assert.deepStrictEqual(next, listed.slice(i + 1, i + 3))
      }
      yield* store.delete(c1)
      const rest = yield* store.list({ userId: alice, order, limit: 10 })
      assert.deepStrictEqual(rest, listed.filter(({ id }) => id !== c1.id))
    })
  )

  test(
    "a title that a person has chosen is changed only by a person; a deletion forgets the choice",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.setTitle(c1.id, "made")
      yield* store.setTitle(c1.id, "chosen", { chosen: true })
      yield* TestClock.adjust("1 second")
      const before = yield* store.get(c1)
      assert.strictEqual(before.title, "chosen")
      // A title that was still being made, or that a recovery stores again.
      yield* store.setTitle(c1.id, "made")
      assert.deepStrictEqual(yield* store.get(c1), before)
      yield* store.append(c1.id, [stored(1)])
      yield* store.setTitle(c1.id, "made again")
      assert.strictEqual((yield* store.get(c1)).title, "chosen")
      yield* store.setTitle(c1.id, "chosen again", { chosen: true })
      assert.strictEqual((yield* store.get(c1)).title, "chosen again")
      yield* store.delete(c1)
      yield* store.create(c1)
      yield* store.setTitle(c1.id, "made")
      assert.strictEqual((yield* store.get(c1)).title, "made")
    })
  )

  test(
    "a conversation shows the beginning of its newest message that has text",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      const preview = Effect.map(store.get(c1), (one) => one.preview)
      assert.strictEqual(yield* preview, undefined)
      yield* store.append(c1.id, [stored(1, userText("What  is\na tree?"))])
      assert.strictEqual(yield* preview, "What is a tree?")
      const call = { type: "tool_call", toolCallId: "call", tool: "t", args: {} } as const
      yield* store.append(c1.id, [
        stored(2, { role: "assistant", content: [{ type: "text", text: "A \u0000 plant. 🌲" }] }),
        stored(3, { role: "assistant", content: [call] })
      ])
      assert.include(yield* preview, " plant. 🌲")
      yield* store.append(c1.id, [])
      yield* store.append(c1.id, [stored(4, userText("And a bush?"))], { replaces: messageId(taskId, 1) })
      assert.strictEqual(yield* preview, "And a bush?")
      assert.strictEqual((yield* store.list({ userId: alice, limit: 1 }))[0]?.preview, "And a bush?")
    })
  )

  test(
    "a page begins at its place also when the conversation there was deleted, and made again",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      for (const id of ["c2", "c1", "c5", "c4", "c3"]) yield* store.create(key(id))
      yield* TestClock.adjust("1 second")
      for (const id of ["c7", "c6"]) yield* store.create(key(id))
      yield* TestClock.adjust("1 second")
      const listed = yield* store.list({ userId: alice, limit: 10 })
      for (const [i, before] of listed.entries()) {
        const next = Effect.map(
          store.list({ userId: alice, limit: 2, before: placeOf(before) }),
          Array.map(({ id }) => id)
        )
        const expected = listed.slice(i + 1, i + 3).map(({ id }) => id)
        yield* store.delete(key(before.id))
        assert.deepStrictEqual(yield* next, expected)
        yield* store.create(key(before.id))
        assert.deepStrictEqual(yield* next, expected)
      }
    })
  )

  test(
    "conversations of one moment are listed by id, and no conversation of another user",
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
      const [before] = yield* store.list({ userId: bob, limit: 10 })
      const own = yield* store.list({ userId: alice, limit: 10, ...(before && { before: placeOf(before) }) })
      for (const one of own) assert.deepInclude(listed, one)
    })
  )

  test(
    "a conversation is deleted with its messages, which are counted, and its id is free again",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.append(c1.id, [stored(1), stored(2), stored(3)])
      yield* store.append(c1.id, [stored(4)], { replaces: stored(2).id })
      assert.strictEqual(yield* store.delete(c1), 4)
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
      assert.strictEqual(yield* store.delete(key("c2"), onlyEmpty), 0)
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

/**
 * @since 0.1.0
 * @category models
 */
export interface Options<E = never> {
  /**
   * For a store that keeps texts, which may be damaged or of a newer version: a service over an empty store, and how to
   * replace the text of a message that the store keeps.
   */
  readonly spoilable?: Effect.Effect<Spoilable, E, Scope.Scope> | undefined
}

/**
 * A store whose stored texts can be replaced.
 *
 * @since 0.1.0
 * @category models
 */
export type Spoilable = messages.Spoilable

/**
 * Defines the tests. The layer is built once for each test and gives an empty store every time.
 *
 * @since 0.1.0
 * @category suites
 */
export const suite = <E, E2 = never>(
  name: string,
  layer: Layer.Layer<ConversationStore, E>,
  { spoilable }: Options<E2> = {}
): void => {
  const test: Test = (name, body) => it.effect(name, () => Effect.provide(body, layer))
  describe(name, () => {
    conversations(test)
    messages.define(test)
    search.define(test)
    if (spoilable !== undefined) messages.defineSpoilt(spoilable)
  })
}
