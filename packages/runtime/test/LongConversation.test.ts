import { assert, describe, it } from "@effect/vitest"
import { type AgentInput, make } from "@perennial/domain/Agent"
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, messageId, TaskId, UserId } from "@perennial/domain/Ids"
import { type Message, text, userText } from "@perennial/domain/Message"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import { DateTime, Deferred, Effect } from "effect"
import { message, waiting } from "./support/agents.ts"
import { untilEnded } from "./support/invariants.ts"
import { shared, startProcess, type Store } from "./support/processes.ts"

const conversationId = ConversationId.make("c1")
const key = { id: conversationId, userId: UserId.make("local") }

type Page = { readonly limit: number; readonly messages: number }

/** A store that records the pages of messages that were read. */
const watched = Effect.map(shared, ({ backend, store }) => {
  const pages: Array<Page> = []
  const messages: ConversationStore["Service"]["messages"] = (key, options) =>
    Effect.tap(store.messages(key, options), (page) => {
      pages.push({ limit: options.limit, messages: page.length })
      return Effect.void
    })
  return { both: { backend, store: { ...store, messages } } satisfies Store, pages }
})

/** An agent that answers every message, and records the history of each task. */
const remembering = () => {
  const seen: Array<AgentInput["history"]> = []
  const agent = make("remembering", ({ history }, emit) => {
    seen.push(history)
    return Effect.as(emit([message("an answer")]), { usage: zero })
  })
  return { agent, seen }
}

const say = Effect.fnUntraced(function*(manager: TaskManager["Service"], both: Store, message: string) {
  const task = yield* manager.start({ message, conversationId })
  yield* untilEnded(both, task.id)
  return task
})

/** A conversation whose messages were imported, and not written by a task of this store. */
const imported = Effect.fnUntraced(function*({ store }: Store, messages: ReadonlyArray<Message>) {
  yield* store.create(key)
  const taskId = TaskId.make("imported")
  yield* store.append(
    conversationId,
    messages.map((message, i): StoredMessage => ({
      id: messageId(taskId, i + 1),
      taskId,
      createdAt: DateTime.makeUnsafe(0),
      message,
      status: "complete"
    }))
  )
})

describe("P11: a long conversation", () => {
  it.effect("`regenerate` reads only the last messages", () =>
    Effect.gen(function*() {
      const { both, pages } = yield* watched
      const { agent, begun, release } = waiting()
      const { manager } = yield* startProcess(both, [remembering().agent, agent])
      for (let turn = 1; turn <= 40; turn++) yield* say(manager, both, `question ${turn}`)
      const last = yield* manager.start({ message: "the last", conversationId, agentId: agent.agentId })
      yield* Deferred.await(begun)
      pages.length = 0
      const again = yield* manager.regenerate(conversationId, { onBusy: "enqueue" })
      assert.isAtMost(pages.reduce((sum, page) => sum + page.messages, 0), 5)
      assert.strictEqual(again.replaces, messageId(last.id, 1))
      yield* release.open
      yield* untilEnded(both, again.id)
      const kept = yield* both.store.messages(key, { limit: 1_000 })
      assert.deepStrictEqual(kept.slice(-3).map(({ message }) => text(message)), [
        "an answer",
        "the last",
        "done waiting"
      ])
    }))

  it.effect("`regenerate` works also for an imported conversation", () =>
    Effect.gen(function*() {
      const { both } = yield* watched
      const { agent, seen } = remembering()
      const { manager } = yield* startProcess(both, [agent])
      yield* imported(both, [userText("one"), userText("two")])
      const again = yield* manager.regenerate(conversationId)
      yield* untilEnded(both, again.id)
      assert.deepStrictEqual(seen, [[userText("one"), userText("two")]])
    }))

  it.effect("is read in pages that grow, and shrink if messages are large", () =>
    Effect.gen(function*() {
      const { both, pages } = yield* watched
      const { agent, seen } = remembering()
      const { manager } = yield* startProcess(both, [agent])
      const data = "A".repeat(512 * 1024)
      const large: Message = { role: "user", content: [{ type: "file", mediaType: "image/png", data }] }
      const small = Array.from({ length: 100 }, (_, i) => userText(`${i}`))
      yield* imported(both, [...small, ...Array.from({ length: 60 }, () => large)])
      yield* say(manager, both, "x")
      assert.strictEqual(seen[0]?.length, 161)
      const limits = pages.map(({ limit }) => limit)
      assert.deepStrictEqual(limits.slice(0, 3), [32, 64, 128])
      assert.isBelow(Math.max(...limits.slice(3)), 64)
      assert.isAtLeast(Math.min(...limits), 1)
    }))

  it.effect("beyond historyBytes loses its oldest turns, and the next cut comes only several turns later", () =>
    Effect.gen(function*() {
      const { both } = yield* watched
      const { agent, seen } = remembering()
      const { manager } = yield* startProcess(both, [agent], { historyBytes: 20_000 })
      const question = (turn: number) => `${turn} ${"x".repeat(900)}`
      for (let turn = 1; turn <= 60; turn++) yield* say(manager, both, question(turn))
      const firsts = seen.map(([first]) => first === undefined ? "" : text(first).split(" ")[0])
      for (const [i, history] of seen.entries()) {
        assert.isAtMost(JSON.stringify(history).length, 21_000)
        assert.strictEqual(history[0]?.role, "user")
        assert.deepStrictEqual(history.at(-1), userText(question(i + 1)))
      }
      assert.deepStrictEqual(firsts.slice(0, 10), Array.from({ length: 10 }, () => "1"))
      // A cut removes many turns at once, so that prompts keep their beginning between two cuts.
      const cuts = new Set(firsts).size - 1
      assert.isAtLeast(cuts, 2)
      assert.isAtMost(cuts, 8)
      assert.isAtLeast(seen.at(-1)?.length ?? 0, 12)
    }))

  it.effect("keeps the last turn whole, also if it is larger than historyBytes", () =>
    Effect.gen(function*() {
      const { both } = yield* watched
      const { agent, seen } = remembering()
      const { manager } = yield* startProcess(both, [agent], { historyBytes: 1_000 })
      yield* say(manager, both, "before")
      yield* say(manager, both, "x".repeat(5_000))
      assert.deepStrictEqual(seen[1], [userText("x".repeat(5_000))])
    }))
})
