/**
 * The contract of the search for conversations.
 */
import { assert } from "@effect/vitest"
import type { StoredMessage } from "@perennial/domain/Conversation"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { messageId, TaskId } from "@perennial/domain/Ids"
import { type Message, userText } from "@perennial/domain/Message"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import { alice, bob, key, stored, type Test } from "./contractConversation.ts"

const assistant = (text: string): Message => ({ role: "assistant", content: [{ type: "text", text }] })

/** A message of another task. */
const later = (message: Message): StoredMessage => ({
  ...stored(1, message),
  id: messageId(TaskId.make("t2"), 1),
  taskId: TaskId.make("t2")
})

/** Creates a conversation of a user with messages. */
const talk = Effect.fnUntraced(function*(id: string, messages: ReadonlyArray<Message>, userId = alice) {
  const store = yield* ConversationStore
  const conversation = key(id, userId)
  yield* store.create(conversation)
  yield* store.append(conversation.id, messages.map((message, i) => stored(i + 1, message)))
  yield* TestClock.adjust("1 second")
  return conversation
})

const find = Effect.fnUntraced(function*(text: string, userId = alice) {
  const store = yield* ConversationStore
  return (yield* store.list({ userId, text, limit: 10 })).map(({ id }) => String(id))
})

export const define = (test: Test): void => {
  test(
    "P12: a search finds the user's conversations that have all words, or words that begin so, in messages and titles",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      yield* talk("c1", [userText("What is an Oak?"), assistant("A tree, 20m tall: größer als 橡树.")])
      const c2 = yield* talk("c2", [userText("Plant TREES"), { role: "assistant", content: [] }])
      yield* talk("c3", [userText("Nothing of that kind")])
      yield* talk("c4", [userText("an oak tree")], bob)
      yield* store.setTitle(c2.id, "My garden")
      const expected: ReadonlyArray<readonly [string, ReadonlyArray<string>]> = [
        ["tree", ["c2", "c1"]],
        ["trees", ["c2"]],
        ["TREE oak", ["c1"]],
        ["oak, garden", []],
        ["gard plant", ["c2"]],
        ["20M", ["c1"]],
        ["GRÖSSER", []],
        ["gröss größ", []],
        ["größ", ["c1"]],
        ["树", ["c1"]],
        ["ree", []],
        ["%", []],
        ["tr_e", []],
        ["of-c1", []]
      ]
      for (const [text, ids] of expected) assert.deepStrictEqual(yield* find(text), [...ids], text)
      assert.deepStrictEqual(yield* find("oak", bob), ["c4"])
      yield* store.append(c2.id, [later(userText("and an oak"))])
      assert.deepStrictEqual(yield* find("oak"), ["c2", "c1"])
      yield* store.delete(c2)
      assert.deepStrictEqual(yield* find("oak"), ["c1"])
      yield* store.create(c2)
      assert.deepStrictEqual(yield* find("oak"), ["c1"])
    })
  )

  test(
    "a search has the order and the pages of the list",
    Effect.gen(function*() {
      const store = yield* ConversationStore
      for (let i = 10; i < 40; i++) {
        yield* talk(`c${i}`, [userText(i % 3 === 0 ? `tree ${i}` : `bush ${i}`)])
      }
      const listed = yield* store.list({ userId: alice, limit: 100 })
      const wanted = listed.filter(({ preview }) => preview?.startsWith("tree"))
      const all = yield* store.list({ userId: alice, text: "tree", limit: 100 })
      assert.deepStrictEqual(all, wanted)
      for (const order of ["createdAt", "updatedAt"] as const) {
        const seen: Array<string> = []
        for (let page = yield* store.list({ userId: alice, order, text: "tree", limit: 4 }); page.length > 0;) {
          const last = page[page.length - 1]
          for (const { id } of page) seen.push(id)
          if (last === undefined) break
          const before = { at: last[order], id: last.id }
          page = yield* store.list({ userId: alice, order, text: "tree", limit: 4, before })
        }
        assert.deepStrictEqual(seen, wanted.map(({ id }) => String(id)))
      }
    })
  )
}
