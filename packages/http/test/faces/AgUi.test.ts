/** The AG-UI face over HTTP: users, refusals, and what its client does not test. */
import { assert, describe, it } from "@effect/vitest"
import * as AgUi from "@perennial/http/faces/ag-ui/AgUi"
import { Effect } from "effect"
import { body, type Call, discard, json, layerTokens, makeCall, post, problem } from "../support.ts"

const faces = [AgUi.face]
const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

const input = (content: unknown, more: object = {}) => ({
  threadId: "c1",
  runId: "r1",
  messages: [{ id: "m1", role: "user", content }],
  ...more
})

const run = (call: Call, content: object, headers: Record<string, string> = {}) =>
  call("/ag-ui", post(content, headers))

describe("AG-UI", () => {
  it.effect("the same run again is the same task, and another message with its id is refused", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const first = yield* body(yield* run(call, input("a b")))
      assert.include(
        first,
        "data: {\"type\":\"RUN_STARTED\",\"threadId\":\"c1\",\"runId\":\"r1\",\"protocolVersion\":\"1.0\"}\n\n"
      )
      assert.isTrue(first.endsWith("\"outcome\":{\"type\":\"success\"}}\n\n"))
      assert.strictEqual(yield* body(yield* run(call, input("a b"))), first)
      const inParts = yield* run(call, input([{ type: "text", text: "a b" }]))
      assert.strictEqual(inParts.status, 200)
      yield* discard(inParts)
      assert.lengthOf((yield* json(yield* call("/tasks"))).items, 1)
      assert.strictEqual(
        (yield* problem(yield* run(call, input("c")))).type,
        "urn:perennial:problem:idempotency-conflict"
      )
    }))

  it.effect("what a client shows of a run that was cut is replaced", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const whole = yield* body(yield* run(call, input("a b")))
      const { messages } = input("a b")
      const cut = [{ id: "x", role: "reasoning", content: "Half" }, { id: "y", role: "assistant", content: "a" }]
      const again = yield* body(yield* run(call, input("a b", { messages: [...messages, ...cut] })))
      const snapshot = [...messages, { id: "x", role: "reasoning", content: "" }]
      const [started = "", ...rest] = whole.replace(": ok\n\n", "").split("\n\n")
      const expected = [started, `data: ${JSON.stringify({ type: "MESSAGES_SNAPSHOT", messages: snapshot })}`, ...rest]
      assert.deepStrictEqual(again.replace(": ok\n\n", "").split("\n\n"), expected)
    }))

  it.effect("refuses what it cannot run", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const statusOf = (content: object) =>
        Effect.map(Effect.flatMap(run(call, content), problem), ({ status }) => status)
      assert.strictEqual(yield* statusOf(input("", { messages: [] })), 400)
      assert.strictEqual(yield* statusOf(input("")), 400)
      assert.strictEqual(yield* statusOf(input([{ type: "image", url: "https://example.com/a.png" }])), 400)
      const resume = (interruptId: string) => [{ interruptId, status: "resolved", payload: { approved: true } }]
      for (const id of ["", "x", "x/y", `${"x".repeat(300)}/y`]) {
        assert.strictEqual(yield* statusOf(input("a", { resume: resume(id) })), 404)
      }
      yield* discard(yield* run(call, input("hold")))
      assert.strictEqual(yield* statusOf(input("a", { runId: "r2" })), 409)
    }))

  it.effect("P12: what belongs to another user does not exist", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces }, auth: layerTokens })
      assert.strictEqual((yield* problem(yield* run(call, input("a")))).status, 401)
      yield* discard(yield* run(call, input("approve"), as("alice")))
      assert.strictEqual((yield* problem(yield* run(call, input("a"), as("bob")))).status, 404)
      const { items: [task] } = yield* json(yield* call("/tasks", { headers: as("alice") }))
      const resume = [{ interruptId: `${task?.id}/call/1`, status: "cancelled" }]
      for (const threadId of ["c1", "c2"]) {
        const answer = yield* run(call, { ...input("a"), threadId, resume }, as("bob"))
        assert.strictEqual((yield* problem(answer)).status, 404)
      }
    }))
})
