/**
 * Content that would break later turns of a conversation. Each piece is repaired or refused where it enters, and the
 * conversation goes on.
 */
import { assert, describe, it } from "@effect/vitest"
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { LlmAgent, ScriptedModel } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import { Effect, Fiber, Layer, Redacted } from "effect"
import { startAgent } from "./support/agentTask.ts"
import { Effects, half, Tools, toolsLayer } from "./support/agentToolkit.ts"
import { env, eventOf, runInput, runWith, summary } from "./support/overAnthropic.ts"

const { FakeAnthropic } = Fake

const fine: Fake.Reply = { actions: [{ text: ["fine"] }] }

/** An answer with raw text deltas, so that an emoji can be cut between two deltas. */
const rawText = (...deltas: ReadonlyArray<string>): Fake.Reply => {
  const event = (type: string, data: string) => `event: ${type}\ndata: {"type":"${type}","index":0,${data}}\n\n`
  return {
    actions: [{
      raw: [
        event("content_block_start", "\"content_block\":{\"type\":\"text\",\"text\":\"\"}"),
        ...deltas.map((text) => event("content_block_delta", `"delta":{"type":"text_delta","text":"${text}"}`)),
        event("content_block_stop", "\"x\":0")
      ].join("")
    }]
  }
}

const call = (name: string, json: string, id = "toolu_1"): Fake.Reply => ({
  actions: [{ cutToolUse: { id, name, json } }],
  stopReason: "tool_use"
})

const isClean = (value: unknown): boolean => !/\\ud[89a-f]/i.test(JSON.stringify(value))

/** Runs a task and a second task of the same conversation. The API must accept the second request. */
const twoTurns = Effect.fnUntraced(function*(...replies: ReadonlyArray<Fake.Reply>) {
  const fake = yield* FakeAnthropic
  yield* fake.push(...replies, fine)
  const first = yield* runInput({ message: "hi", conversationId: "c1" })
  const second = yield* runInput({ message: "and now?", conversationId: "c1" })
  assert.deepStrictEqual(summary(second), { messages: ["fine"], retries: [], end: "done" })
  assert.isTrue(isClean(first), "the log is well-formed")
  return first
})

const results = (log: ReadonlyArray<StoredEvent>) => eventOf(log, "tool_result").map(({ result }) => result)

describe("D24: half of a surrogate pair", () => {
  it.live("in a model's text becomes U+FFFD", () =>
    Effect.gen(function*() {
      const log = yield* twoTurns(rawText("half \\ud83d", " and \\ude00 half"))
      assert.deepStrictEqual(summary(log).messages, ["half \ufffd and \ufffd half"])
      assert.strictEqual(eventOf(log, "text").map(({ content }) => content).join(""), "half \ufffd and \ufffd half")
    }).pipe(Effect.provide(env)))

  it.live("at the end of a model's text becomes U+FFFD", () =>
    Effect.gen(function*() {
      const log = yield* twoTurns(rawText("half \\ud83d"))
      assert.deepStrictEqual(summary(log).messages, ["half \ufffd"])
      assert.strictEqual(eventOf(log, "text").map(({ content }) => content).join(""), "half \ufffd")
    }).pipe(Effect.provide(env)))

  it.live("a pair that is divided between two chunks arrives whole", () =>
    Effect.gen(function*() {
      const log = yield* twoTurns(rawText("a smile \\ud83d", "\\ude00!"))
      assert.deepStrictEqual(summary(log).messages, ["a smile 😀!"])
      assert.strictEqual(eventOf(log, "text").map(({ content }) => content).join(""), "a smile 😀!")
    }).pipe(Effect.provide(env)))

  it.live("in the arguments of a call, and in the name of a tool", () =>
    Effect.gen(function*() {
      const log = yield* twoTurns(
        call("weather", "{\"city\":\"Os\\ud83d\"}"),
        { actions: [{ toolUse: { id: "toolu_2", name: half, input: {} } }] },
        fine
      )
      assert.deepStrictEqual(yield* Effects.all, ["weather Os\ufffd"])
      assert.deepStrictEqual(eventOf(log, "tool_result").map(({ tool }) => tool), ["weather", "\ufffd"])
    }).pipe(Effect.provide(env)))

  it.live("in the result of a tool, also in its keys", () =>
    Effect.gen(function*() {
      const log = yield* twoTurns(call("odd", "{\"what\":\"half\"}"), fine)
      assert.deepStrictEqual(results(log), [{ "\ufffd": "\ufffd!" }])
    }).pipe(Effect.provide(env)))

  it.live("in a user's text and the name of a file", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(fine, fine)
      const file = { type: "file", mediaType: "application/pdf", url: "https://example.com/a.pdf", name: half } as const
      const content = [{ type: "text", text: `half ${half}` }, file] as const
      for (const message of [`half ${half}`, { role: "user", content } as const]) {
        assert.deepStrictEqual(summary(yield* runInput({ message, conversationId: "c1" })).end, "done")
      }
      const [, request] = yield* fake.requests
      assert.include(JSON.stringify(request?.body.messages), "half \ufffd")
    }).pipe(Effect.provide(env)))

  it.live("in the system prompt, and in the message that `userMessage` returns", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      yield* fake.push(fine)
      const agent = LlmAgent.layer({
        agentId: "agent-1",
        systemPrompt: `Be ${half}`,
        userMessage: (message) => ({ role: "user", content: [...message.content, { type: "text", text: half }] }),
        model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url })
      })
      assert.strictEqual(summary(yield* runWith(agent, { message: "hi", userMetadata: { a: 1 } })).end, "done")
    }).pipe(Effect.provide(FakeAnthropic.layer)))
})

describe("D22: JSON that is nested too deep", () => {
  const deep = `{"city":${"[".repeat(12_000)}${"]".repeat(12_000)}}`

  it.live("in the arguments of a call is an error for the model", () =>
    Effect.gen(function*() {
      const log = yield* twoTurns(call("weather", deep), fine)
      assert.deepStrictEqual(results(log), [{
        error: "The call was not executed: the JSON of its arguments is nested deeper than 64 levels."
      }])
      assert.deepStrictEqual(yield* Effects.all, [])
    }).pipe(Effect.provide(env)))

  it.live("in the result of a tool is an error for the model", () =>
    Effect.gen(function*() {
      const log = yield* twoTurns(call("odd", "{\"what\":\"deep\"}"), fine)
      assert.deepStrictEqual(results(log), [{
        error: "The result cannot be written as JSON. It is nested too deep."
      }])
    }).pipe(Effect.provide(env)))

  it.live(`${ContentBounds.maxDepth} levels are accepted`, () =>
    Effect.gen(function*() {
      const levels = ContentBounds.maxDepth - 1
      const log = yield* twoTurns(
        call("weather", `{"x":${"[".repeat(levels)}${"]".repeat(levels)},"city":"Oslo"}`),
        fine
      )
      assert.deepStrictEqual(results(log), [{ degrees: 4 }])
    }).pipe(Effect.provide(env)))
})

describe("D31: arguments that JSON or a tool cannot represent", () => {
  it.live("a number that is too large is an error for the model", () =>
    Effect.gen(function*() {
      const log = yield* twoTurns(call("weather", "{\"city\":[1,{\"n\":1e400}]}"), fine)
      assert.deepStrictEqual(results(log), [{
        error: "The call was not executed: the JSON of its arguments has a number that is too large."
      }])
    }).pipe(Effect.provide(env)))

  it.effect("`args: null` in an approval does not change the arguments", () =>
    Effect.gen(function*() {
      yield* (yield* ScriptedModel.Script).push([{ tool: "delete", params: { id: 11 } }], ["ok"])
      const task = yield* startAgent(yield* LlmAgent.make({ agentId: "agent-1", systemPrompt: "", tools: Tools }))
      yield* task.decide("call_1", { approved: true, args: null })
      yield* Fiber.join(task.fiber)
      assert.deepStrictEqual(yield* Effects.all, ["delete 11"])
    }).pipe(Effect.provide(Layer.provideMerge(toolsLayer, ScriptedModel.layer()))))
})

describe("D30: the id of a tool call", () => {
  const ids = ["", " ", ".", "..", "a/b", "ä", "a\nb", "?", "x".repeat(2_000), half, "%2F"]

  it.live.each(ids.map((id) => [JSON.stringify(id).slice(0, 20), id] as const))(
    "%s is replaced by a new id that a URL path can contain",
    ([, id]) =>
      Effect.gen(function*() {
        const log = yield* twoTurns(call("weather", "{\"city\":\"Oslo\"}", id), fine)
        assert.deepStrictEqual(results(log), [{ degrees: 4 }])
        assert.deepStrictEqual(eventOf(log, "tool_result").map(({ toolCallId }) => toolCallId), ["call_1"])
      }).pipe(Effect.provide(env))
  )

  it.live("ids of the forms that models use are kept: `toolu_01`, `call_a-B`, `functions.get:0`", () =>
    Effect.gen(function*() {
      const known = ["toolu_01", "call_a-B", "functions.get:0"]
      const weather = (id: string) => ({ toolUse: { id, name: "weather", input: { city: id } } })
      const log = yield* twoTurns({ actions: known.map(weather) }, fine)
      assert.sameMembers(eventOf(log, "tool_result").map(({ toolCallId }) => toolCallId), known)
    }).pipe(Effect.provide(env)))

  it.live("several ill-formed ids of one answer, and of a later answer, stay different", () =>
    Effect.gen(function*() {
      const weather = { toolUse: { id: "", name: "weather", input: { city: "Oslo" } } }
      const log = yield* twoTurns({ actions: [weather, weather] }, { actions: [weather] }, fine)
      const given = eventOf(log, "tool_call").map(({ toolCallId }) => toolCallId)
      assert.sameMembers(given, ["call_1", "call_2", "call_3"])
    }).pipe(Effect.provide(env)))
})
