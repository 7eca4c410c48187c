/** The OpenAI face over HTTP: users, refusals, and what its client does not test. */
import { assert, describe, it } from "@effect/vitest"
import * as OpenAi from "@perennial/http/faces/openai/OpenAi"
import { Effect } from "effect"
import { body, type Call, json, layerTokens, makeCall, post } from "../support.ts"

const faces = [OpenAi.face]
const as = (user: string) => ({ authorization: `Bearer ${user}-secret` })
const background = { model: "echo", background: true }

interface ApiError {
  readonly error: { readonly message: string; readonly type: string; readonly param: null; readonly code: string }
}

/** An error as the client reads it. */
const errorOf = Effect.fnUntraced(function*(response: Response) {
  assert.strictEqual(response.headers.get("content-type"), "application/json")
  const { error } = yield* Effect.promise(() => response.json() as Promise<ApiError>)
  assert.isNotEmpty(error.message)
  return { status: response.status, code: error.code, type: error.type, retry: response.headers.get("x-should-retry") }
})

const create = (call: Call, content: object, headers: Record<string, string> = {}) =>
  call("/v1/responses", post(content, headers))

describe("OpenAI Responses", () => {
  it.effect("errors have the form of OpenAI's API", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces }, auth: layerTokens })
      const alice = as("alice")
      const invalid = { type: "invalid_request_error", retry: null }
      const refused = [
        [yield* create(call, { ...background, input: "a" }), { ...invalid, status: 401, code: "unauthorized" }],
        [yield* create(call, { ...background, input: "" }, alice), {
          ...invalid,
          status: 400,
          code: "invalid_request"
        }],
        [yield* create(call, { ...background, input: [] }, alice), {
          ...invalid,
          status: 400,
          code: "invalid_request"
        }],
        [yield* create(call, background, alice), { ...invalid, status: 400, code: "invalid_request" }],
        [
          yield* create(call, { ...background, model: "none", input: "a" }, alice),
          { ...invalid, status: 422, code: "agent_not_found" }
        ],
        [
          yield* create(call, { ...background, input: "a", previous_response_id: "resp_x_0" }, alice),
          { ...invalid, status: 404, code: "task_not_found" }
        ],
        [yield* call("/v1/responses/nothing", { headers: alice }), { ...invalid, status: 404, code: "task_not_found" }],
        [yield* call("/v1/responses/%00", { headers: alice }), { ...invalid, status: 404, code: "task_not_found" }]
      ] as const
      for (const [response, expected] of refused) assert.deepStrictEqual(yield* errorOf(response), expected)
      assert.strictEqual(refused[0][0].headers.get("www-authenticate"), "Bearer")
    }))

  it.effect("P2: a busy conversation is 409, and the client is told not to try again", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const { id } = yield* json(yield* create(call, { ...background, input: "hold", conversation: "c1" }))
      const busy = yield* create(call, { ...background, input: "a", previous_response_id: id })
      assert.deepStrictEqual(yield* errorOf(busy), {
        status: 409,
        code: "conversation_busy",
        type: "invalid_request_error",
        retry: "false"
      })
      assert.strictEqual(
        (yield* json(yield* call(`/v1/responses/${id}/cancel`, { method: "POST" }))).status,
        "cancelled"
      )
    }))

  it.effect("P12: what belongs to another user does not exist", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces }, auth: layerTokens })
      const { id } = yield* json(yield* create(call, { ...background, input: "hold" }, as("alice")))
      const paths = [`/v1/responses/${id}`, `/v1/responses/${id}?stream=true`, `/v1/responses/${id}/input_items`]
      for (const path of paths) {
        assert.strictEqual((yield* errorOf(yield* call(path, { headers: as("bob") }))).status, 404)
      }
      const cancel = yield* call(`/v1/responses/${id}/cancel`, { method: "POST", headers: as("bob") })
      assert.strictEqual((yield* errorOf(cancel)).status, 404)
      const next = yield* create(call, { ...background, input: "a", previous_response_id: id }, as("bob"))
      assert.strictEqual((yield* errorOf(next)).status, 404)
      const mine = yield* json(yield* call(`/v1/responses/${id}`, { headers: as("alice") }))
      assert.include(["queued", "in_progress"], mine.status)
    }))

  it.effect("the same `Idempotency-Key` is the same response", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const twice = () => create(call, { ...background, input: "a" }, { "idempotency-key": "k1" })
      const first = yield* json(yield* twice())
      const second = yield* json(yield* twice())
      assert.strictEqual(first.id, second.id)
      const other = yield* create(call, { ...background, input: "b" }, { "idempotency-key": "k1" })
      assert.strictEqual((yield* errorOf(other)).status, 422)
    }))

  it.effect("images and files in the request, and what the client remembers about a response", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { faces } })
      const content = [
        { type: "input_text", text: "a" },
        { type: "input_image", image_url: "data:image/png;base64,iVBORw0KGgo=" },
        { type: "input_file", filename: "a.pdf", file_data: "data:application/pdf;base64,JVBERi0=" }
      ]
      const response = yield* create(call, {
        ...background,
        input: [{ role: "developer", content: "b" }, { type: "message", role: "user", content }],
        conversation: { id: "c1" },
        metadata: { topic: "trees" }
      })
      const { id, metadata } = yield* json(response)
      assert.deepStrictEqual(metadata, { topic: "trees" })
      yield* body(yield* call(`/v1/responses/${id}?stream=true`))
      const { items } = yield* json(yield* call("/conversations/c1/messages"))
      assert.deepNestedInclude(items[0], {
        "message.content": [
          { type: "text", text: "a" },
          { type: "file", mediaType: "image/png", data: "iVBORw0KGgo=" },
          { type: "file", mediaType: "application/pdf", data: "JVBERi0=", name: "a.pdf" }
        ]
      })
    }))
})
