/** The MCP face over HTTP: users, refusals, and what its clients do not test. */
import { assert, describe, it } from "@effect/vitest"
import * as Mcp from "@perennial/http/faces/mcp/Mcp"
import { Effect } from "effect"
import { body, type Call, discard, json, layerTokens, makeCall, post, problem } from "../support.ts"

const faces = [Mcp.face]
const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })

const send = (call: Call, message: object, headers: Record<string, string> = {}) =>
  call("/mcp", post({ jsonrpc: "2.0", ...message }, headers))

const ask = (text: string, more: { readonly arguments?: object; readonly _meta?: object } = {}) => ({
  id: 1,
  method: "tools/call",
  params: { name: "echo", ...more, arguments: { message: text, ...more.arguments } }
})

const modern = (capabilities: object = {}) => ({
  _meta: {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": capabilities
  }
})

/** The messages of a stream. */
const messages = (text: string): ReadonlyArray<Record<string, unknown>> =>
  [...text.matchAll(/^data: (.+)$/gm)].map(([, data = ""]) => JSON.parse(data))

/** An answer in JSON. */
const answerOf = (response: Response) => Effect.map(json(response), (answer) => Object(answer))

const resultOf = (text: string) => Object(messages(text).at(-1)?.["result"])

describe("MCP", () => {
  it.effect("agrees on a revision, and names a session without keeping it", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const initialize = (protocolVersion: string, capabilities: object) =>
        send(call, { id: 0, method: "initialize", params: { protocolVersion, capabilities } })
      const answer = yield* initialize("2025-06-18", { elicitation: {} })
      assert.match(answer.headers.get("mcp-session-id") ?? "", /^[\w-]+\.form$/)
      assert.strictEqual((yield* answerOf(answer)).result.protocolVersion, "2025-06-18")
      const other = yield* initialize("2024-11-05", { elicitation: { url: {} } })
      assert.match(other.headers.get("mcp-session-id") ?? "", /\.none$/)
      assert.strictEqual((yield* answerOf(other)).result.protocolVersion, "2025-11-25")
      assert.strictEqual((yield* send(call, { method: "notifications/initialized" })).status, 202)
      assert.deepStrictEqual((yield* answerOf(yield* send(call, { id: 1, method: "ping" }))).result, {})
    }))

  it.effect("a call is a stream that begins with an id, and the same key is the same task", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const keyed = ask("a b", { _meta: { "perennial/idempotencyKey": "k1" } })
      const text = yield* body(yield* send(call, keyed))
      assert.match(text, /^: ok\n\nid: [\w-]+\.0\ndata: \n\nid: [\w-]+\.1\ndata: \{/)
      assert.deepStrictEqual(resultOf(text).content, [{ type: "text", text: "done" }])
      const again = resultOf(yield* body(yield* send(call, { ...keyed, id: 2 })))
      assert.deepStrictEqual(again, resultOf(text))
      assert.lengthOf((yield* json(yield* call("/tasks"))).items, 1)
      // An older client does not accept an event without a message.
      const older = yield* send(call, ask("c"), { "mcp-protocol-version": "2025-06-18" })
      assert.notInclude(yield* body(older), "data: \n")
    }))

  it.effect("a stream is resumed after its last event, and its result comes in any case", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const whole = yield* body(yield* send(call, ask("a b", { _meta: { progressToken: "p" } })))
      const ids = [...whole.matchAll(/^id: (.+)$/gm)].map(([, id = ""]) => id)
      assert.isAbove(ids.length, 2)
      for (const [i, id] of ids.entries()) {
        const rest = yield* body(yield* call("/mcp", { headers: { "last-event-id": id } }))
        const expected = messages(whole).slice(Math.min(i, ids.length - 2))
        assert.deepStrictEqual(messages(rest), expected)
      }
      for (const id of ["", "x", "x.1"]) {
        const refused = yield* problem(yield* call("/mcp", { headers: { "last-event-id": id } }))
        assert.deepStrictEqual([refused.status, refused.allow], [405, ["POST"]])
      }
    }))

  it.effect("revision 2026-07-28: each request says who asks, and a question is a result", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const discovered = yield* answerOf(yield* send(call, { id: 1, method: "server/discover", params: modern() }))
      assert.include(discovered.result.supportedVersions, "2026-07-28")
      const asked = yield* body(yield* send(call, ask("approve", modern({ elicitation: { form: {} } }))))
      const { inputRequests, requestState, resultType } = resultOf(asked)
      assert.strictEqual(resultType, "input_required")
      const [toolCallId = ""] = Object.keys(inputRequests)
      const answer = { [toolCallId]: { action: "accept", content: { approve: true } } }
      const { params } = ask("approve", modern({ elicitation: { form: {} } }))
      const retry = { id: 2, method: "tools/call", params: { ...params, requestState, inputResponses: answer } }
      const result = resultOf(yield* body(yield* send(call, retry)))
      assert.deepStrictEqual([result.resultType, result.isError], ["complete", undefined])
      const mismatch = yield* answerOf(yield* send(call, retry, { "mcp-method": "tools/list" }))
      assert.strictEqual(mismatch.error.code, -32_020)
    }))

  it.effect("refuses what it cannot do, with errors of JSON-RPC", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const codeOf = (message: object, headers: Record<string, string> = {}) =>
        Effect.map(Effect.flatMap(send(call, { id: 1, ...message }, headers), answerOf), ({ error }) => error.code)
      assert.strictEqual(yield* codeOf({ method: "prompts/list" }), -32_601)
      assert.strictEqual(yield* codeOf({ method: "tasks/update" }), -32_601)
      assert.strictEqual(yield* codeOf({ method: "tasks/list", params: modern() }), -32_601)
      assert.strictEqual(yield* codeOf({ method: "tools/call", params: { name: "nobody" } }), -32_602)
      assert.strictEqual(yield* codeOf({ method: "tools/call", params: { name: "echo" } }), -32_602)
      assert.strictEqual(yield* codeOf({ method: "tasks/get", params: { taskId: "t0" } }), -32_602)
      assert.strictEqual(yield* codeOf({ method: "ping" }, { "mcp-protocol-version": "1999-01-01" }), -32_600)
      const future = { _meta: { "io.modelcontextprotocol/protocolVersion": "2099-01-01" } }
      assert.strictEqual(yield* codeOf({ method: "tools/list", params: future }), -32_022)
      assert.strictEqual((yield* problem(yield* send(call, {}))).status, 400)
      assert.strictEqual((yield* problem(yield* call("/mcp", post([])))).status, 400)
      // What is gone is not worth an error that nobody reads.
      const gone = { id: "t0/call", result: { action: "accept", content: { approve: true } } }
      assert.strictEqual((yield* send(call, gone)).status, 202)
    }))

  it.effect("P12: what belongs to another user does not exist", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces }, auth: layerTokens })
      assert.strictEqual((yield* problem(yield* send(call, ask("a")))).status, 401)
      const session = { "mcp-session-id": "s1.form" }
      const begun = yield* send(call, ask("hold"), { ...as("alice"), ...session })
      yield* discard(begun)
      const { items: [task] } = yield* json(yield* call("/tasks", { headers: as("alice") }))
      const bob = { ...as("bob"), ...session }
      for (const method of ["tasks/get", "tasks/result", "tasks/cancel"]) {
        const { error } = yield* answerOf(yield* send(call, { id: 1, method, params: { taskId: task?.id } }, bob))
        assert.strictEqual(error.code, -32_602)
      }
      const taken = yield* answerOf(yield* send(call, ask("a", { arguments: { taskId: task?.id } }), bob))
      assert.strictEqual(taken.error.code, -32_602)
      yield* send(call, { method: "notifications/cancelled", params: { requestId: 1 } }, bob)
      const same = yield* answerOf(yield* call(`/tasks/${task?.id}`, { headers: as("alice") }))
      assert.notStrictEqual(same.status, "cancelled")
      // A stream of another user.
      const other = yield* send(call, ask("a"), as("alice"))
      const [, id = ""] = /^id: (.+)$/m.exec(yield* body(other)) ?? []
      const refused = yield* call("/mcp", { headers: { ...as("bob"), "last-event-id": id } })
      assert.strictEqual((yield* problem(refused)).status, 404)
    }))
})
