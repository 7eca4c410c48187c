import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { body, type Fields, json, makeCall, makeEcho, post, problem } from "./support.ts"

const patch = (content: object) => ({ ...post(content), method: "PATCH" })
const ids = (page: Fields) => page.items.map(({ id }) => id)

const makeChat = Effect.gen(function*() {
  const echo = makeEcho()
  const call = yield* makeCall({ echo })
  /** Starts a task, and waits for its end. Returns the id of its message. */
  const say = Effect.fnUntraced(function*(message: string, conversationId: string, more: object = {}) {
    const { id } = yield* json(yield* call("/tasks", post({ message, conversationId, ...more })))
    yield* body(yield* call(`/tasks/${id}/events`))
    return `${id}/1`
  })
  return { call, echo, say }
})

describe("conversations", () => {
  it.effect("are listed by their last change, with a preview and the active task", () =>
    Effect.gen(function*() {
      const { call, echo, say } = yield* makeChat
      for (const id of ["c1", "c2"]) yield* say("a", id)
      const first = yield* json(yield* call("/tasks", post({ message: "Hello\n hold", conversationId: "c1" })))
      const second = yield* json(
        yield* call("/tasks", post({ message: "b", conversationId: "c1", onBusy: "enqueue" }))
      )
      assert.strictEqual(second.preview, "b")
      const busy = yield* json(yield* call("/conversations/c1"))
      assert.strictEqual(busy.activeTaskId, first.id)
      yield* echo.gate.open
      for (const { id } of [first, second]) yield* body(yield* call(`/tasks/${id}/events`))
      const page = yield* json(yield* call("/conversations?order=updatedAt"))
      assert.deepStrictEqual(ids(page), ["c1", "c2"])
      assert.strictEqual(page.items[0]?.preview, "done")
      assert.notProperty(page.items[0], "activeTaskId")
      const { next } = yield* json(yield* call("/conversations?order=updatedAt&limit=1"))
      const rest = yield* json(
        yield* call(`/conversations?order=updatedAt&before=${encodeURIComponent(next)}`)
      )
      assert.deepStrictEqual(ids(rest), ["c2"])
      assert.strictEqual((yield* call("/conversations?order=odd")).status, 400)
    }))

  it.effect("are found by words of their messages and titles, in pages", () =>
    Effect.gen(function*() {
      const { call, say } = yield* makeChat
      for (const id of ["c1", "c2", "c3"]) yield* say(`Trees of ${id}`, id)
      yield* call("/conversations/c3", patch({ title: "Green garden" }))
      const find = (query: string) => Effect.flatMap(call(`/conversations?q=${query}`), json)
      assert.deepStrictEqual(ids(yield* find("TREE%20garden")), ["c3"])
      assert.deepStrictEqual(ids(yield* find("bush")), [])
      const first = yield* find("tree&limit=2")
      const rest = yield* find(`tree&limit=2&before=${encodeURIComponent(first.next)}`)
      assert.sameMembers([...ids(first), ...ids(rest)], ["c1", "c2", "c3"])
      assert.notProperty(rest, "next")
      for (const query of ["", "x".repeat(201)]) {
        assert.deepStrictEqual((yield* problem(yield* call(`/conversations?q=${query}`))).errors[0]?.path, [
          "query",
          "q"
        ])
      }
    }))

  it.effect("can be renamed", () =>
    Effect.gen(function*() {
      const { call, say } = yield* makeChat
      yield* say("a", "c1")
      const renamed = yield* call("/conversations/c1", patch({ title: "  Trees " }))
      assert.strictEqual(renamed.status, 200)
      assert.deepInclude(yield* json(renamed), { id: "c1", title: "Trees" })
      assert.strictEqual((yield* json(yield* call("/conversations/c1"))).title, "Trees")
      for (const title of ["", " ", "x".repeat(201)]) {
        const refused = yield* call("/conversations/c1", patch({ title }))
        assert.deepStrictEqual((yield* problem(refused)).errors[0]?.path, ["payload", "title"])
      }
      assert.strictEqual((yield* call("/conversations/c2", patch({ title: "Trees" }))).status, 404)
    }))

  it.effect("have their messages newest first, too", () =>
    Effect.gen(function*() {
      const { call, say } = yield* makeChat
      for (const message of ["a", "b"]) yield* say(message, "c1")
      const all = ids(yield* json(yield* call("/conversations/c1/messages")))
      const newest = yield* json(yield* call("/conversations/c1/messages?order=newest&limit=3"))
      const rest = yield* json(
        yield* call(`/conversations/c1/messages?order=newest&after=${encodeURIComponent(newest.next)}`)
      )
      assert.deepStrictEqual([...ids(newest), ...ids(rest)], all.toReversed())
      assert.notProperty(rest, "next")
    }))

  it.effect("keep the earlier versions of messages that were replaced", () =>
    Effect.gen(function*() {
      const { call, say } = yield* makeChat
      const first = yield* say("a", "c1")
      const second = yield* say("b", "c1", { replaces: first })
      const third = yield* say("c", "c1", { replaces: second })
      const [current] = (yield* json(yield* call("/conversations/c1/messages"))).items
      assert.deepInclude(current ?? {}, { id: third, replaces: second })
      const { items } = yield* json(yield* call("/conversations/c1/replaced"))
      assert.deepStrictEqual(items.map(({ message }) => message.role), ["user", "assistant", "user", "assistant"])
      assert.deepInclude(items[2] ?? {}, { id: second, replaces: first })
      assert.notProperty(items[0], "replaces")
      assert.strictEqual(items[0]?.id, first)
    }))
})
