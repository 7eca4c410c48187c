/** Tools that Anthropic executes itself, and citations: the real SDK against the fake of its API. */
import { assert, describe, it } from "@effect/vitest"
import * as Message from "@perennial/domain/Message"
import { TaskManager } from "@perennial/domain/TaskManager"
import { History, LlmAgent } from "@perennial/runtime"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as Fake from "@perennial/runtime/FakeAnthropic"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Logger, Redacted, Stream } from "effect"
import { Tools, toolsLayer } from "./support/agentToolkit.ts"
import { eventOf, runWith } from "./support/overAnthropic.ts"

const search = { type: "web_search_20250305", name: "web_search", max_uses: 3 } as const

const call = (id: string): Fake.Action => ({ serverToolUse: { id, name: "web_search", input: { query: "Oslo" } } })
const results = [
  { type: "web_search_result", url: "https://a.no/", title: "A", encrypted_content: "EqgfCioIARgB", page_age: null },
  { type: "web_search_result", url: "https://b.no/", title: "B", encrypted_content: "Eo8PCioIAhgB", page_age: "1 day" }
]
const found = (id: string, content: unknown = results): Fake.Action => ({
  serverToolResult: { type: "web_search_tool_result", tool_use_id: id, content }
})
const citation = {
  type: "web_search_result_location",
  cited_text: "It rains in Oslo.",
  encrypted_index: "Eo8BCioIARgB",
  title: "A",
  url: "https://a.no/"
}
const document = {
  type: "page_location",
  cited_text: "Page one.",
  document_index: 0,
  document_title: "report.pdf",
  start_page_number: 1,
  end_page_number: 2,
  file_id: null
}
const answer: ReadonlyArray<Fake.Action> = [
  { text: ["I look. "] },
  call("srvtoolu_1"),
  found("srvtoolu_1"),
  { text: ["It ", "rains"], citations: [citation, document] },
  { text: [", they say."] }
]

interface Sent {
  readonly type: string
}

/** The blocks of the assistant's first message in a request. */
const sentBack = (body: Fake.RecordedRequest["body"] | undefined): ReadonlyArray<Sent> => {
  const content = body?.messages.find(({ role }) => role === "assistant")?.content
  return typeof content === "string" || content === undefined
    ? []
    : content
}

const briefOf = (message: Message.AssistantMessage | undefined) =>
  message?.content.map((part) => part.type === "text" ? part.text : part.type)

/** Runs tasks of one conversation, and returns their logs. */
const converse = Effect.fnUntraced(
  function*(messages: ReadonlyArray<string>, limits: Partial<TaskLimits.TaskLimits> = {}) {
    const { url } = yield* Fake.FakeAnthropic
    const agents = LlmAgent.layer({
      agentId: "agent-1",
      systemPrompt: "Be brief.",
      tools: Tools,
      retry: { times: 0 },
      model: AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: url, serverTools: [search] })
    })
    const run = (message: string) =>
      Effect.gen(function*() {
        const manager = yield* TaskManager
        const { id } = yield* manager.start({ message, conversationId: "c1" })
        return yield* Stream.runCollect(yield* manager.events(id))
      })
    return yield* Effect.provide(
      Effect.forEach(messages, run),
      TaskRuntime.layerMemory.pipe(Layer.provide([agents, Logger.layer([]), TaskLimits.layer(limits)]))
    )
  }
)

const env = Layer.merge(Fake.FakeAnthropic.layer, toolsLayer)

describe("server tools of Claude", () => {
  it.live("a search and its citations are in the message, and come back in the next turn exactly", () =>
    Effect.gen(function*() {
      const fake = yield* Fake.FakeAnthropic
      yield* fake.push({ actions: answer }, { actions: [{ text: ["Bye."] }] })
      const [first, second] = yield* converse(["Does it rain?", "Thanks."])
      const message = eventOf(first ?? [], "message")[0]?.message
      assert.deepStrictEqual(briefOf(message), [
        "I look. ",
        "provider_tool_call",
        "provider_tool_result",
        "It rains",
        ", they say."
      ])
      assert.deepStrictEqual(message === undefined ? [] : Message.citations(message), [
        { url: "https://a.no/", title: "A", citedText: "It rains in Oslo." },
        { title: "report.pdf", citedText: "Page one." }
      ])
      assert.deepStrictEqual(first?.map(({ event }) => event.type).filter((type) => /tool|retry/.test(type)), [])
      assert.strictEqual(second?.at(-1)?.event.type, "done", "the API accepted its own blocks")
      const [asked, next] = yield* fake.requests
      assert.deepStrictEqual(asked?.body.tools?.at(-1), search)
      assert.deepStrictEqual<unknown>(sentBack(next?.body), [
        { type: "text", text: "I look. " },
        {
          type: "server_tool_use",
          id: "srvtoolu_1",
          name: "web_search",
          input: { query: "Oslo" },
          caller: { type: "direct" }
        },
        {
          type: "web_search_tool_result",
          tool_use_id: "srvtoolu_1",
          content: results,
          caller: { type: "direct" }
        },
        { type: "text", text: "It rains", citations: [citation, document] },
        { type: "text", text: ", they say." }
      ])
    }).pipe(Effect.scoped, Effect.provide(env)))

  it.live("the API may search also for an agent without tools of its own", () =>
    Effect.gen(function*() {
      const fake = yield* Fake.FakeAnthropic
      yield* fake.push({ actions: answer })
      const model = AnthropicModel.layer({ apiKey: Redacted.make("k"), baseUrl: fake.url, serverTools: [search] })
      yield* runWith(LlmAgent.layer({ agentId: "agent-1", systemPrompt: "", model }))
      const [request] = yield* fake.requests
      assert.deepStrictEqual([request?.body.tools, request?.body.tool_choice], [[search], { type: "auto" }])
    }).pipe(Effect.scoped, Effect.provide(env)))

  it.live("a search before a call of the agent's tool comes back in the next step", () =>
    Effect.gen(function*() {
      const fake = yield* Fake.FakeAnthropic
      yield* fake.push(
        { actions: [...answer, { toolUse: { id: "toolu_1", name: "weather", input: { city: "Oslo" } } }] },
        { actions: [{ text: ["4 degrees."] }] }
      )
      const [log = []] = yield* converse(["How cold is it?"])
      assert.deepStrictEqual(eventOf(log, "tool_result").map(({ status, tool }) => [tool, status]), [
        ["weather", "completed"]
      ])
      assert.strictEqual(log.at(-1)?.event.type, "done")
    }).pipe(Effect.scoped, Effect.provide(env)))

  it.live("an answer that is paused between a call and its result goes on", () =>
    Effect.gen(function*() {
      const fake = yield* Fake.FakeAnthropic
      yield* fake.push(
        { actions: [{ text: ["I look. "] }, call("srvtoolu_1")], stopReason: "pause_turn" },
        { actions: [found("srvtoolu_1"), { text: ["It rains."], citations: [citation] }] },
        { actions: [{ text: ["Bye."] }] }
      )
      const [first = [], second = []] = yield* converse(["Does it rain?", "Thanks."])
      assert.deepStrictEqual(briefOf(eventOf(first, "message")[0]?.message), [
        "I look. ",
        "provider_tool_call",
        "provider_tool_result",
        "It rains."
      ])
      assert.strictEqual(second.at(-1)?.event.type, "done")
      assert.deepStrictEqual<unknown>(sentBack((yield* fake.requests)[1]?.body).map(({ type }) => type), [
        "text",
        "server_tool_use"
      ])
    }).pipe(Effect.scoped, Effect.provide(env)))

  it.live("P11: a result that is too large for an event is left out, with its call and the citations", () =>
    Effect.gen(function*() {
      const fake = yield* Fake.FakeAnthropic
      const large = [{ ...results[0], encrypted_content: "x".repeat(20_000) }]
      yield* fake.push(
        { actions: [call("srvtoolu_1"), found("srvtoolu_1", large), { text: ["It rains."], citations: [citation] }] },
        { actions: [{ text: ["Bye."] }] }
      )
      const [first = [], second = []] = yield* converse(["Does it rain?", "Thanks."], { eventBytes: 16_384 })
      const message = eventOf(first, "message")[0]?.message
      assert.deepStrictEqual(briefOf(message), ["provider_tool_call", "It rains."])
      assert.strictEqual(second.at(-1)?.event.type, "done")
      assert.deepStrictEqual<unknown>(sentBack((yield* fake.requests)[1]?.body), [{ type: "text", text: "It rains." }])
    }).pipe(Effect.scoped, Effect.provide(env)))

  it("a conversation that is too long loses results of searches before its turns", () => {
    const searched: Message.AssistantMessage = {
      role: "assistant",
      content: [
        { type: "provider_tool_call", toolCallId: "s1", tool: "web_search", args: { query: "Oslo" } },
        { type: "provider_tool_result", toolCallId: "s1", tool: "web_search", result: "x".repeat(9_000) },
        { type: "text", text: "It rains.", citations: [{ url: "https://a.no/" }], providerData: { anthropic: {} } }
      ]
    }
    const turns = Array.from({ length: 4 }, (_, n) => [Message.userText(`question ${n}`), searched]).flat()
    const fitted = History.fit([...turns, Message.userText("last")], { maxTokens: 10_000 })
    assert.deepStrictEqual(fitted[1], { role: "assistant", content: [{ type: "text", text: "It rains." }] })
    assert.deepStrictEqual(fitted.at(-2), searched)
  })
})
