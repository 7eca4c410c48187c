import { assert, describe, it } from "@effect/vitest"
import { FakeAnthropic, overloaded, problemOf } from "@perennial/runtime/FakeAnthropic"
import { Effect } from "effect"
import { FetchHttpClient, HttpBody, HttpClient, type HttpClientResponse } from "effect/http"
import { cutPdf, cutPng, pdf, png, pngOf } from "./support/files.ts"

const body = { model: "m", max_tokens: 4_096, messages: [{ role: "user", content: "hi" }] }
const use = { type: "tool_use", id: "t1", name: "look", input: {} }
const result = { type: "tool_result", tool_use_id: "t1", content: "seen" }

const withTurns = (...contents: ReadonlyArray<unknown>) => ({
  ...body,
  messages: contents.map((content, at) => ({ role: at % 2 === 0 ? "user" : "assistant", content }))
})
const tool = { name: "look", input_schema: { type: "object" } }
const withSchema = (schema: object) => ({ ...body, tools: [{ ...tool, input_schema: { type: "object", ...schema } }] })
const withImage = (data: string, mediaType = "image/png") =>
  withTurns([{ type: "image", source: { type: "base64", media_type: mediaType, data } }])
const marked = { type: "text", text: "hi", cache_control: { type: "ephemeral" } }

const refused: ReadonlyArray<readonly [name: string, body: unknown, problem: RegExp]> = [
  ["no messages", { ...body, messages: [] }, /Field required/],
  ["a prefilled answer", withTurns("hi", "I"), /prefill/],
  ["an empty turn", withTurns([]), /must not be empty/],
  ["blank text", withTurns(" "), /non-whitespace text/],
  ["a temperature", { ...body, temperature: 1 }, /temperature/],
  ["a call without its result", withTurns("hi", [use], "and now?"), /without `tool_result`/],
  ["a result without its call", withTurns([result]), /unexpected `tool_use_id`/],
  ["two calls with one id", withTurns("hi", [use, use], [result]), /must be unique/],
  ["two results of a call", withTurns("hi", [use], [result, result]), /single result/],
  ["a result after text", withTurns("hi", [use], [{ type: "text", text: "x" }, result]), /must come first/],
  ["arguments that are not an object", withTurns("hi", [{ ...use, input: "{\"ci" }], [result]), /valid dictionary/],
  ["arguments in an array", withTurns("hi", [{ ...use, input: [] }], [result]), /valid dictionary/],
  ["an id with a dot", withTurns("hi", [{ ...use, id: "a.b" }], [{ ...result, tool_use_id: "a.b" }]), /tool_use.id/],
  ["a name with a dot", withTurns("hi", [{ ...use, name: "a.b" }], [result]), /tool_use.name/],
  ["an empty error", withTurns("hi", [use], [{ ...result, is_error: true, content: "" }]), /cannot be empty/],
  ["thinking without a signature", withTurns("hi", [{ type: "thinking", thinking: "" }], "x"), /signature/],
  [
    "a turn with tools that does not begin with thinking",
    { ...withTurns("hi", [use], [result]), thinking: { type: "enabled", budget_tokens: 1_024 } },
    /Expected `thinking`/
  ],
  ["a budget that is too small", { ...body, thinking: { type: "enabled", budget_tokens: 1 } }, /budget_tokens/],
  ["two tools with one name", { ...body, tools: [tool, tool] }, /must be unique/],
  ["a tool whose name has a dot", { ...body, tools: [{ ...tool, name: "a.b" }] }, /tools.0.name/],
  ["a tool with alternatives", { ...body, tools: [{ ...tool, input_schema: { anyOf: [] } }] }, /top level/],
  ["five cache breakpoints", withTurns([marked, marked, marked, marked, marked]), /maximum of 4 blocks/],
  ["a file that is not base64", withImage("?"), /base64/],
  ["a truncated image", withImage(cutPng), /^Could not process image$/],
  ["an image of another type", withImage(png, "image/jpeg"), /does not match the provided media type/],
  ["an image of more than 5 MiB of base64", withImage(pngOf(4 * 1024 * 1024)), /exceeds 5 MB maximum/],
  [
    "a truncated document",
    withTurns([{ type: "document", source: { type: "base64", media_type: "application/pdf", data: cutPdf } }]),
    /^messages.0.content.0.document.source.base64.data: The PDF specified was not valid/
  ],
  ["half of a surrogate pair", withTurns("half \ud83d"), /no low surrogate/],
  ["half of a surrogate pair in a key", withTurns("hi", [{ ...use, input: { "\udc00": 1 } }], [result]), /surrogate/],
  [
    "a property name with brackets",
    withSchema({ properties: { "filter[id]": {} } }),
    /tools.0.custom.input_schema.properties: Property/
  ],
  ["a long property name", withSchema({ properties: { ["x".repeat(65)]: {} } }), /Property keys/],
  ["draft-04", withSchema({ properties: { n: { exclusiveMinimum: true } } }), /draft 2020-12/],
  ["an empty enum", withSchema({ properties: { n: { items: { enum: [] } } } }), /draft 2020-12/],
  ["a dangling reference", withSchema({ properties: { n: { $ref: "#/$defs/Gone" } } }), /cannot be resolved/]
]

const accepted: ReadonlyArray<readonly [name: string, body: unknown]> = [
  ["a question", body],
  ["a call and its result", withTurns("hi", [use], [result])],
  ["an empty result", withTurns("hi", [use], [{ ...result, content: "" }])],
  [
    "an image and a document",
    withTurns([
      { type: "image", source: { type: "base64", media_type: "image/png", data: png } },
      { type: "document", source: { type: "base64", media_type: "application/pdf", data: pdf } }
    ])
  ],
  [
    "a tool with references",
    withSchema({ $defs: { Id: { type: "string" } }, properties: { id: { $ref: "#/$defs/Id" } } })
  ],
  ["four cache breakpoints", withTurns([marked, marked, marked, marked])],
  ["a turn with tools that begins with thinking", {
    ...withTurns("hi", [{ type: "thinking", thinking: "", signature: "s" }, use], [result], [{ ...use, id: "t2" }], [
      { ...result, tool_use_id: "t2" }
    ]),
    thinking: { type: "enabled", budget_tokens: 1_024 }
  }]
]

const key = { "x-api-key": "k" }
const version = { "anthropic-version": "2026-10-21" }

describe("FakeAnthropic", () => {
  it.each(refused)("refuses %s", (_, body, problem) => {
    assert.match(problemOf(body) ?? "accepted", problem)
  })

  it.each(accepted)("accepts %s", (_, body) => {
    assert.isUndefined(problemOf(body))
  })

  it.live("answers invalid requests like the API, and uses its script only for valid requests", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const http = yield* HttpClient.HttpClient
      yield* fake.push(overloaded)
      const post = (path: string, headers: Readonly<Record<string, string>>, body: string) =>
        http.post(`${fake.url}${path}`, { headers, body: HttpBody.text(body, "application/json") })
      const status = (response: HttpClientResponse.HttpClientResponse) => response.status
      const answers = yield* Effect.forEach([
        post("/v1/models", { ...key, ...version }, "{}"),
        post("/v1/messages", version, JSON.stringify(body)),
        post("/v1/messages", key, JSON.stringify(body)),
        post("/v1/messages", { ...key, ...version }, "{"),
        post("/v1/messages", { ...key, ...version }, "{}"),
        post("/v1/messages", { ...key, ...version }, JSON.stringify(body)),
        post("/v1/messages", { ...key, ...version }, JSON.stringify(body))
      ], Effect.map(status))
      assert.deepStrictEqual(answers, [404, 401, 400, 400, 400, 529, 500])
      assert.deepStrictEqual((yield* fake.requests).map(({ id }) => id), ["req_5", "req_6", "req_7"])
    }).pipe(Effect.provide([FakeAnthropic.layer, FetchHttpClient.layer])))

  it.live("fails with a clear error if it cannot listen", () =>
    Effect.gen(function*() {
      const { url } = yield* FakeAnthropic
      const port = Number(new URL(url).port)
      const error = yield* Effect.flip(Effect.provide(FakeAnthropic, FakeAnthropic.layerWith({ port })))
      assert.include(error.message, `cannot listen on port ${port}: `)
    }).pipe(Effect.provide(FakeAnthropic.layer)))
})
