/** The AI SDK face over HTTP: users, refusals, and what its clients do not test. */
import { assert, describe, it } from "@effect/vitest"
import * as AiSdk from "@perennial/http/faces/ai-sdk/AiSdk"
import { Clock, Effect, Layer } from "effect"
import { body, type Call, discard, json, layerTokens, makeCall, makeEcho, post, problem } from "../support.ts"

const faces = [AiSdk.face]
const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

const message = (text: string, more: object = {}) => ({
  id: "c1",
  messages: [{ id: "m1", role: "user", parts: [{ type: "text", text }] }],
  ...more
})

const chat = (call: Call, content: object, headers: Record<string, string> = {}) =>
  call("/ai-sdk/chat", post(content, headers))

const types = (text: string) => [...text.matchAll(/"type":"([a-z-]+)"/g)].map(([, type]) => type)

describe("AI SDK", () => {
  it.effect("answers with the chunks of the task, whose id is the id of the message and of the run", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const answer = yield* chat(call, message("a b"))
      assert.strictEqual(answer.headers.get("content-type"), "text/event-stream")
      assert.strictEqual(answer.headers.get("x-vercel-ai-ui-message-stream"), "v1")
      const text = yield* body(answer)
      const { items } = yield* json(yield* call("/tasks"))
      assert.include(text, `data: {"type":"start","messageId":"${items[0]?.id}"}\n\n`)
      assert.strictEqual(answer.headers.get("x-workflow-run-id"), `${items[0]?.id}.0`)
      assert.isTrue(text.endsWith("data: {\"type\":\"finish\",\"finishReason\":\"stop\"}\n\ndata: [DONE]\n\n"))
      // The message of this agent is not what it streamed.
      assert.include(types(text), "reset-step")
    }))

  it.live("an answer is replayed for a minute, and named chunks for as long as the log is kept", () =>
    Effect.gen(function*() {
      const real = yield* Clock.Clock
      let ahead = 0
      const now = () => real.currentTimeMillisUnsafe() + ahead
      const changed = { currentTimeMillisUnsafe: now, currentTimeMillis: Effect.sync(now) }
      const clock: Clock.Clock = Object.assign(Object.create(real), changed)
      const call = yield* makeCall({ server: { faces }, guards: Layer.succeed(Clock.Clock, clock) })
      const first = yield* body(yield* chat(call, message("a")))
      assert.strictEqual(yield* body(yield* call("/ai-sdk/chat/c1/stream")), first)
      ahead = 61_000
      assert.strictEqual((yield* call("/ai-sdk/chat/c1/stream")).status, 204)
      assert.strictEqual(yield* body(yield* call("/ai-sdk/chat/c1/stream?startIndex=0")), first)
    }))

  it.effect("takes JSON without its media type, as the transport for workflows sends it", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const { messages } = message("a")
      const plain = yield* call("/ai-sdk/chat", { method: "POST", body: JSON.stringify({ messages }) })
      assert.strictEqual(plain.status, 200)
      yield* discard(plain)
      const form = yield* call("/ai-sdk/chat", {
        method: "POST",
        body: JSON.stringify({ messages }),
        headers: { "content-type": "application/x-www-form-urlencoded" }
      })
      assert.strictEqual((yield* problem(form)).status, 415)
      const foreign = yield* call("/ai-sdk/chat", {
        method: "POST",
        body: JSON.stringify({ messages }),
        headers: { origin: "https://evil.example" }
      })
      assert.strictEqual((yield* problem(foreign)).status, 403)
    }))

  it.effect("a page of another site cannot, and a message without content is refused", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const refused = [
        { id: "c1", messages: [] },
        message(""),
        message("a", { messages: [{ id: "m1", role: "user", parts: [{ type: "step-start" }] }] }),
        message("a", { messages: [{ id: "m1", role: "assistant", parts: [] }] })
      ]
      for (const content of refused) {
        const { type } = yield* problem(yield* chat(call, content))
        assert.strictEqual(type, "urn:perennial:problem:invalid-request")
      }
    }))

  it.effect("P2: a chat with an active task is 409", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      yield* discard(yield* chat(call, message("hold")))
      const busy = yield* chat(call, {
        ...message("a"),
        messages: [{ role: "user", parts: [{ type: "text", text: "a" }] }]
      })
      assert.strictEqual((yield* problem(busy)).type, "urn:perennial:problem:conversation-busy")
      // No response of the task begins there: never an empty stream, which a transport would ask for again and again.
      const { items: [task] } = yield* json(yield* call("/tasks"))
      for (const after of [1, 2, 999_999_999_999_999]) {
        const none = yield* call(`/ai-sdk/chat/${task?.id}.${after}/stream?startIndex=0`)
        assert.strictEqual(none.status, 204)
      }
      assert.strictEqual((yield* call("/ai-sdk/chat/c1/stop", { method: "POST" })).status, 204)
      const { items } = yield* json(yield* call("/tasks?status=cancelled"))
      assert.strictEqual(items.length, 1)
    }))

  it.effect("a message with a file", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const parts = [
        { type: "file", mediaType: "image/png", url: "data:image/png;base64,iVBORw0KGgo=", filename: "a.png" },
        { type: "file", mediaType: "image/png", url: "https://example.com/b.png" },
        { type: "text", text: "a" }
      ]
      yield* body(yield* chat(call, { id: "c1", messages: [{ id: "m1", role: "user", parts }] }))
      const { items } = yield* json(yield* call("/conversations/c1/messages"))
      assert.deepNestedInclude(items[0], {
        "message.content": [
          { type: "file", mediaType: "image/png", data: "iVBORw0KGgo=", name: "a.png" },
          { type: "file", mediaType: "image/png", url: "https://example.com/b.png" },
          { type: "text", text: "a" }
        ],
        metadata: { uiMessageId: "m1" }
      })
    }))

  it.effect("P12: what belongs to another user does not exist", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces }, auth: layerTokens, echo: makeEcho() })
      const mine = yield* chat(call, message("hold"), as("alice"))
      yield* discard(mine)
      const run = mine.headers.get("x-workflow-run-id") ?? ""
      for (const id of ["c1", run]) {
        const stream = yield* call(`/ai-sdk/chat/${id}/stream?startIndex=0`, { headers: as("bob") })
        assert.strictEqual(stream.status, 204)
        const stop = yield* call(`/ai-sdk/chat/${id}/stop`, { method: "POST", headers: as("bob") })
        assert.strictEqual(stop.status, 204)
      }
      assert.strictEqual((yield* problem(yield* chat(call, message("a"), as("bob")))).status, 404)
      const { items } = yield* json(yield* call("/tasks?status=running&status=queued", { headers: as("alice") }))
      assert.strictEqual(items.length, 1)
      for (const path of ["/ai-sdk/chat/c1/stream", `/ai-sdk/chat/${run}/stream`]) {
        assert.strictEqual((yield* problem(yield* call(path))).status, 401)
      }
      assert.strictEqual((yield* problem(yield* chat(call, message("a")))).status, 401)
    }))
})
