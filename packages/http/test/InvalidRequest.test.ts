/** The answer to a request that does not decode: it says what was expected and what was sent, cut short. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { body, type Call, json, makeCall, post, problem } from "./support.ts"

const start = (value: unknown) => (call: Call) => call("/tasks", post(value))
const get = (path: string) => (call: Call) => call(path)

const cases: ReadonlyArray<readonly [(call: Call) => Effect.Effect<Response>, string]> = [
  [start([]), "payload: Expected a JSON object, got an empty array"],
  [start("hello"), "payload: Expected a JSON object, got \"hello\""],
  [start(null), "payload: Expected a JSON object, got null"],
  [(call) => call("/tasks", { method: "POST" }), "payload: Expected a JSON object, got no body"],
  [(call) => call("/tasks", { ...post({}), body: "{" }), "payload: Expected a valid JSON body"],
  [(call) => call("/tasks/t1/cancel", post([1])), "payload: Expected a JSON object, got an array"],
  [start({}), "payload.message: Missing key"],
  [start({ message: 7 }), "payload.message: Expected a string or a user message, got 7"],
  [start({ message: {} }), "payload.message: Expected a string or a user message, got an object"],
  [start({ message: " " }), "payload.message: Expected a message that is not empty, got \" \""],
  [
    start({ message: "a", onBusy: "queue" }),
    "payload.onBusy: Expected \"reject\" | \"enqueue\" | \"interrupt\", got \"queue\""
  ],
  [
    start({ message: "a", agentId: "x".repeat(300) }),
    `payload.agentId: Expected a value with a length of at most 200, got "${"x".repeat(40)}…" of 300 characters`
  ],
  [
    start({ message: { role: "user", content: [{ type: "text", text: ["secret"] }] } }),
    "payload.message.content.0.text: Expected string, got an array"
  ],
  [get("/tasks?limit=101"), "query.limit: Expected a value between 1 and 100, got \"101\""],
  [
    get("/tasks?status=odd"),
    "query.status.0: Expected \"queued\" | \"running\" | \"completed\" | \"error\" | \"cancelled\", got \"odd\""
  ],
  [
    get("/tasks?status=running&status=odd"),
    "query.status.1: Expected \"queued\" | \"running\" | \"completed\" | \"error\" | \"cancelled\", got \"odd\""
  ],
  [
    get("/tasks/a%0A/events"),
    "params.id: Expected text without control characters and halves of surrogate pairs, got \"a\\n\""
  ],
  [
    (call) => call("/tasks/t1/events", { headers: { "last-event-id": "-5" } }),
    "headers.last-event-id: Expected a value greater than or equal to 0"
  ]
]

describe("a request that does not decode", () => {
  it.effect("is answered with what was expected and what was sent, cut short; for headers only with what was expected", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      for (const [request, detail] of cases) {
        const answer = yield* problem(yield* request(call))
        assert.strictEqual(answer.status, 400)
        assert.strictEqual(answer.detail, detail)
      }
    }))

  it.effect("P11: may be as deep and as long as the body limit allows", () =>
    Effect.gen(function*() {
      const call = yield* makeCall()
      const deep = yield* call("/tasks", { ...post({}), body: `${"[".repeat(1e6)}${"]".repeat(1e6)}` })
      assert.strictEqual((yield* problem(deep)).detail, "payload: Expected a JSON object, got an array")
      const long = yield* problem(yield* call("/tasks", post({ message: "a", onBusy: "x".repeat(2e6) })))
      assert.isBelow(long.detail.length, 200)
    }))
})

it.effect("P12: `providerData` in a message of a client is ignored", () =>
  Effect.gen(function*() {
    const call = yield* makeCall()
    const providerData = { anthropic: { signature: "x".repeat(100_000) } }
    const text = { type: "text", text: "hello" }
    const file = { type: "file", mediaType: "image/png", url: "https://example.com/a.png" }
    const content = [{ ...text, providerData }, { ...file, providerData }]
    const task = yield* json(
      yield* call("/tasks", post({ conversationId: "c1", message: { role: "user", content } }))
    )
    yield* body(yield* call(`/tasks/${task.id}/events`))
    const { items } = yield* json(yield* call("/conversations/c1/messages"))
    assert.deepStrictEqual(items[0]?.message, { role: "user", content: [text, file] } as object)
  }))
