/**
 * The contract of the messages of a conversation: appending, reading, following and replacing.
 */
import { assert, it } from "@effect/vitest"
import type { StoredMessage } from "@perennial/domain/Conversation"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { type ConversationId, type MessageId, messageId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import * as MessagePayload from "@perennial/domain/MessagePayload"
import { zero } from "@perennial/domain/Usage"
import { Array, Effect, type Scope } from "effect"
import { bob, c1, key, page, stored, taskId, type Test } from "./contractConversation.ts"

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
    "parts of a type that this version does not know are kept",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      const part = { type: "unknown", raw: { type: "hologram", depth: [3, null], text: "\uD800" } } as const
      const added = [
        stored(1, { role: "user", content: [part] }),
        stored(2, { role: "assistant", content: [{ type: "text", text: "see" }, part] }),
        stored(3, { role: "tool", content: [part] })
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

  test(
    "pages of messages join newest first, too",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      const newest = (after?: number) =>
        store.messages(c1, { order: "newest", limit: 3, ...(after && { after: messageId(taskId, after) }) })
      assert.deepStrictEqual(yield* newest(), [])
      const added = Array.range(1, 7).map((seq) => stored(seq))
      yield* store.append(c1.id, added)
      const pages = [yield* newest(), yield* newest(5), yield* newest(2)]
      assert.deepStrictEqual(pages.map((one) => one.length), [3, 3, 1])
      assert.deepStrictEqual(pages.flat(), added.toReversed())
      assert.deepStrictEqual(yield* newest(1), [])
      assert.deepStrictEqual(yield* newest(99), [])
      yield* store.append(c1.id, [stored(8), stored(9)], { replaces: messageId(taskId, 4) })
      assert.deepStrictEqual(yield* newest(), [stored(9), stored(8), stored(3)])
      for (const seq of [4, 5, 6, 7]) assert.deepStrictEqual(yield* newest(seq), [stored(3), stored(2), stored(1)])
      assert.deepStrictEqual(yield* newest(8), [stored(3), stored(2), stored(1)])
      const foreign = store.messages({ ...c1, userId: bob }, { order: "newest", limit: 3 })
      assert.strictEqual((yield* Effect.flip(foreign))._tag, "ConversationNotFound")
    })
  )
}

const following = (test: Test): void => {
  const second = { follows: messageId(taskId, 2) }

  test(
    "P10: messages that follow one of a conversation that was deleted are refused, also if there is a new conversation",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.append(c1.id, [stored(1), stored(2)])
      yield* store.append(c1.id, [stored(3)], second)
      assert.deepStrictEqual(yield* store.messages(c1, page), [1, 2, 3].map((seq) => stored(seq)))
      yield* store.delete(c1)
      assert.strictEqual((yield* Effect.flip(store.append(c1.id, [stored(4)], second)))._tag, "ConversationNotFound")
      yield* store.create(c1)
      assert.strictEqual((yield* Effect.flip(store.append(c1.id, [stored(4)], second)))._tag, "ConversationNotFound")
      assert.deepStrictEqual(yield* store.messages(c1, page), [])
      // The message of another conversation does not count.
      yield* store.create(key("c2"))
      yield* store.append(key("c2").id, [stored(2)])
      assert.strictEqual((yield* Effect.flip(store.append(c1.id, [stored(4)], second)))._tag, "ConversationNotFound")
      yield* store.append(c1.id, [1, 2, 3, 4].map((seq) => stored(seq)))
      yield* store.append(c1.id, [stored(5)], second)
      assert.deepStrictEqual(yield* store.messages(c1, page), [1, 2, 3, 4, 5].map((seq) => stored(seq)))
    })
  )

  test(
    "a message that was replaced can be followed",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.append(c1.id, [stored(1), stored(2)])
      yield* store.append(c1.id, [stored(3)], { replaces: messageId(taskId, 1) })
      yield* store.append(c1.id, [stored(4)], second)
      assert.deepStrictEqual(yield* store.messages(c1, page), [stored(3), stored(4)])
    })
  )

  test(
    "of many messages at once only those that follow an unknown message are refused",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      const keys = Array.range(1, 20).map((n) => key(`c${n}`))
      yield* Effect.forEach(keys, store.create, { concurrency: "unbounded" })
      yield* Effect.forEach(keys, ({ id }, i) => store.append(id, [stored(i % 2 === 0 ? 2 : 1)]))
      const results = yield* Effect.forEach(keys, ({ id }) => Effect.exit(store.append(id, [stored(3)], second)), {
        concurrency: "unbounded"
      })
      assert.deepStrictEqual(results.map(({ _tag }) => _tag), keys.map((_, i) => i % 2 === 0 ? "Success" : "Failure"))
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
    })
  )

  test(
    "a page after a message that was replaced begins with the messages that took its place",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      yield* store.append(c1.id, [1, 2, 3, 4].map((seq) => stored(seq)))
      yield* store.append(c1.id, [stored(5), stored(6)], { replaces: messageId(taskId, 3) })
      const after = (seq: number) => store.messages(c1, { limit: 10, after: messageId(taskId, seq) })
      for (const seq of [2, 3, 4]) assert.deepStrictEqual(yield* after(seq), [stored(5), stored(6)])
      yield* store.append(c1.id, [stored(7)], { replaces: messageId(taskId, 6) })
      yield* store.append(c1.id, [stored(8)], { replaces: messageId(taskId, 2) })
      for (const seq of [1, 2, 3, 4, 5, 6, 7]) assert.deepStrictEqual(yield* after(seq), [stored(8)])
      assert.deepStrictEqual(yield* after(8), [])
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
    "what was replaced can be read, in the order in which it was added, in pages",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* store.create(c1)
      const replaced = (after?: number, limit = 10) =>
        store.replaced(c1, { limit, ...(after && { after: messageId(taskId, after) }) })
      yield* store.append(c1.id, [1, 2, 3, 4].map((seq) => stored(seq)))
      assert.deepStrictEqual(yield* replaced(), [])
      yield* store.append(c1.id, [stored(5), stored(6)], { replaces: messageId(taskId, 3) })
      assert.deepStrictEqual(yield* replaced(), [stored(3), stored(4)])
      yield* store.append(c1.id, [stored(7)], { replaces: messageId(taskId, 2) })
      const all = [2, 3, 4, 5, 6].map((seq) => stored(seq))
      assert.deepStrictEqual(yield* replaced(), all)
      assert.deepStrictEqual(
        [...yield* replaced(undefined, 2), ...yield* replaced(3, 2), ...yield* replaced(5, 2)],
        all
      )
      assert.deepStrictEqual(yield* replaced(99), [])
      assert.deepStrictEqual(yield* store.messages(c1, page), [stored(1), stored(7)])
      const foreign = store.replaced({ ...c1, userId: bob }, page)
      assert.strictEqual((yield* Effect.flip(foreign))._tag, "ConversationNotFound")
      yield* store.delete(c1)
      yield* store.create(c1)
      assert.deepStrictEqual(yield* replaced(), [])
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

export const define = (test: Test): void => {
  messages(test)
  following(test)
  replacing(test)
}

/** An empty store, and how to replace the text of a message. */
export interface Spoilable {
  readonly store: ConversationStore["Service"]
  readonly spoil: (conversation: ConversationId, message: MessageId, text: string) => Effect.Effect<void>
}

export const defineSpoilt = <E>(spoilable: Effect.Effect<Spoilable, E, Scope.Scope>): void => {
  it.live("a message that cannot be read keeps its place and its id, and the messages around it are read", () =>
    Effect.gen(function*() {
      const { spoil, store } = yield* spoilable
      yield* store.create(c1)
      yield* store.append(c1.id, [1, 2, 3, 4].map((seq) => stored(seq)))
      const { id } = stored(2)
      for (const text of ["", "{", "null", `{"message":{"role":"user","content":[]}}`]) {
        yield* spoil(c1.id, id, text)
        const read = yield* store.messages(c1, page)
        assert.deepStrictEqual(read, [stored(1), MessagePayload.makeUnreadable(text, id), stored(3), stored(4)])
        assert.deepInclude(read[1], { id, taskId })
        // A page is full although one of its messages cannot be read.
        assert.deepStrictEqual(yield* store.messages(c1, { limit: 2 }), read.slice(0, 2))
        assert.deepStrictEqual(yield* store.messages(c1, { after: id, limit: 2 }), read.slice(2))
      }
      yield* store.append(c1.id, [stored(2), stored(5)], { replaces: id })
      assert.deepStrictEqual(yield* store.messages(c1, page), [stored(1), stored(5)])
    }))

  it.live("a message that a newer version wrote keeps the parts that this version does not know", () =>
    Effect.gen(function*() {
      const { spoil, store } = yield* spoilable
      yield* store.create(c1)
      yield* store.append(c1.id, [stored(1)])
      const raw = { type: "audio", data: "x", rate: { hz: 8000 } }
      yield* spoil(
        c1.id,
        stored(1).id,
        JSON.stringify({
          id: stored(1).id,
          taskId,
          createdAt: "1970-01-01T00:00:01.001Z",
          message: { role: "user", content: [raw] },
          status: "complete"
        })
      )
      const [read] = yield* store.messages(c1, page)
      assert.deepStrictEqual(read, stored(1, { role: "user", content: [{ type: "unknown", raw }] }))
    }))
}
