import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { body, type Call, json, makeCall, makeEcho, post } from "./support.ts"

/** Starts a task, and waits for its end. */
const chat = Effect.fnUntraced(function*(call: Call, payload: object) {
  const response = yield* call("/chat", post({ conversationId: "c1", ...payload }))
  yield* body(response)
  return (response.headers.get("location") ?? "").slice("/tasks/".length)
})

const messageIds = (call: Call) =>
  Effect.map(Effect.flatMap(call("/conversations/c1/messages"), json), ({ items }) => items.map(({ id }) => id))

describe("replacing over HTTP", () => {
  it.effect("a message can be edited and sent again: the messages after it are removed from the conversation", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const a = yield* chat(call, { message: "a" })
      yield* chat(call, { message: "b" })
      const edited = yield* chat(call, { message: "A", replaces: `${a}/1` })
      assert.deepStrictEqual(yield* messageIds(call), [`${edited}/1`, `${edited}/4`])
      assert.strictEqual((yield* Effect.flatMap(call(`/tasks/${edited}`), json)).replaces, `${a}/1`)
      assert.strictEqual((yield* call(`/tasks/${a}/events?after=0`)).status, 200)
    }))

  it.effect("`regenerate` starts a task for the last message again: 201 and `Location`, with or without a body", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const a = yield* chat(call, { message: "a" })
      const first = yield* call("/conversations/c1/regenerate", { method: "POST" })
      assert.strictEqual(first.status, 201)
      const { id, status } = yield* json(first)
      assert.deepStrictEqual([first.headers.get("location"), status], [`/tasks/${id}`, "queued"])
      yield* Effect.flatMap(call(`/tasks/${id}/events`), body)
      assert.deepStrictEqual(yield* messageIds(call), [`${id}/1`, `${id}/4`])
      assert.notStrictEqual(id, a)
      const again = post({ metadata: { n: 2 } }, { "idempotency-key": "k" })
      const second = yield* Effect.flatMap(call("/conversations/c1/regenerate", again), json)
      assert.deepStrictEqual([second.replaces, second.metadata], [`${id}/1`, { n: 2 }])
      yield* Effect.flatMap(call(`/tasks/${second.id}/events`), body)
      assert.strictEqual((yield* Effect.flatMap(call("/conversations/c1/regenerate", again), json)).id, second.id)
    }))

  it.effect("a message that cannot be replaced is 404, a busy conversation 409, a message without its conversation 400", () =>
    Effect.gen(function*() {
      const echo = makeEcho()
      const call = yield* makeCall({ echo })
      const problem = (path: string, init: RequestInit) =>
        Effect.map(
          Effect.flatMap(call(path, init), json),
          ({ status, type }) => [status, type.slice("urn:perennial:problem:".length)]
        )
      const regenerate = problem("/conversations/c1/regenerate", { method: "POST" })
      assert.deepStrictEqual(yield* regenerate, [404, "conversation-not-found"])
      const task = yield* Effect.flatMap(call("/tasks", post({ message: "hold", conversationId: "c1" })), json)
      const edit = { message: "x", conversationId: "c1", replaces: `${task.id}/1` }
      assert.deepStrictEqual(yield* problem("/tasks", post(edit)), [409, "conversation-busy"])
      for (const replaces of [`${task.id}/2`, "none/1"]) {
        assert.deepStrictEqual(yield* problem("/tasks", post({ ...edit, replaces })), [404, "message-not-found"])
      }
      const { conversationId: _, ...homeless } = edit
      assert.deepStrictEqual(yield* problem("/tasks", post(homeless)), [400, "invalid-request"])
      yield* echo.gate.open
    }))
})
