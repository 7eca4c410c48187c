import { assert, describe, it } from "@effect/vitest"
import {
  type AssistantMessage,
  type Message,
  type ToolMessage,
  ToolResultStatus,
  userText
} from "@perennial/domain/Message"
import { History } from "@perennial/runtime"
import { Schema } from "effect"
import { Prompt } from "effect/ai"
import { problemOfPrompt } from "./support/anthropicPrompt.ts"

const call = (...ids: ReadonlyArray<string>): AssistantMessage => ({
  role: "assistant",
  content: ids.map((toolCallId) => ({ type: "tool_call", toolCallId, tool: "t", args: {} }))
})
const result = (toolCallId: string, value: Schema.Json = 1): ToolMessage => ({
  role: "tool",
  content: [{ type: "tool_result", toolCallId, tool: "t", result: value, status: "completed" }]
})
const say = (text: string): AssistantMessage => ({ role: "assistant", content: [{ type: "text", text }] })

const promptOf = (messages: ReadonlyArray<Message>) => Prompt.fromMessages(messages.map(History.toPromptMessage))
/** The API's error for a request with these messages and a further message of the user, or undefined. */
const problem = (messages: ReadonlyArray<Message>) => problemOfPrompt(promptOf([...messages, userText("next")]))

/** Ids of tool calls. Other providers use other forms than Anthropic. */
const Id = Schema.Literals(["a", "b", "c_d", "c.d", "c:d", ""])
const ToolName = Schema.Literals(["t", "a.b", "a_b", "x".repeat(200), ""])
const Text = Schema.Literals(["", " ", "hello"])
const AnyPart = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text"), text: Text }),
  Schema.Struct({ type: Schema.Literal("reasoning"), text: Text }),
  Schema.Struct({
    type: Schema.Literal("tool_call"),
    toolCallId: Id,
    tool: ToolName,
    // A model may answer with arguments that are not an object, and an interruption may cut them.
    args: Schema.Union([Schema.Null, Schema.Literals(["{\"ci", 1, true]), Schema.Tuple([]), Schema.Struct({})])
  })
])
/** Any history, as it may be after cancels, crashes and imports. */
const AnyHistory = Schema.Array(Schema.Union([
  Schema.Struct({
    role: Schema.Literal("user"),
    content: Schema.Tuple([Schema.Struct({ type: Schema.Literal("text"), text: Text })])
  }),
  Schema.Struct({ role: Schema.Literal("assistant"), content: Schema.Array(AnyPart) }),
  Schema.Struct({
    role: Schema.Literal("tool"),
    content: Schema.Array(Schema.Struct({
      type: Schema.Literal("tool_result"),
      toolCallId: Id,
      tool: ToolName,
      result: Schema.Literals(["r", "", " "]),
      status: ToolResultStatus
    }))
  })
]))

describe("History.repair", () => {
  it.prop(
    "SCENARIO 21: the API accepts any repaired history, also when it is shortened, and a second repair changes nothing",
    [AnyHistory],
    ([history]) => {
      const once = History.repair(history)
      assert.isUndefined(problem(once))
      assert.deepStrictEqual(History.repair(once), once)
      for (const maxTokens of [10, 100, 300]) assert.isUndefined(problem(History.fit(once, { maxTokens })))
    },
    { arbitrary: { runs: 500 } }
  )

  it("does not change a valid history", () => {
    const history = [userText("hi"), call("a"), result("a"), say("ok")]
    assert.deepStrictEqual(History.repair(history), history)
  })

  it("keeps existing results, and adds missing results", () => {
    const repaired = History.repair([userText("hi"), call("a", "b", "c"), result("c"), userText("go on"), result("a")])
    const [, , answers] = repaired
    assert.deepStrictEqual(
      answers?.content.map((part) => part.type === "tool_result" ? [part.toolCallId, part.status] : []),
      [["a", "completed"], ["b", "interrupted"], ["c", "completed"]]
    )
    assert.deepStrictEqual(repaired.map((message) => message.role), ["user", "assistant", "tool", "user"])
  })

  it("drops results without a call, second results, blank text, and thinking without an answer", () => {
    const thinking: AssistantMessage = { role: "assistant", content: [{ type: "reasoning", text: "hm" }] }
    assert.deepStrictEqual(
      History.repair([
        say("leading"),
        userText("hi"),
        result("x"),
        say(" "),
        thinking,
        call("a"),
        result("a"),
        result("a", 2)
      ]),
      [userText("hi"), call("a"), result("a")]
    )
  })
})

describe("History.fit", () => {
  const turn = (i: number): ReadonlyArray<Message> => [
    userText(`question ${i}`),
    call(`c${i}`),
    result(`c${i}`, "x".repeat(1000)),
    say(`answer ${i}`)
  ]
  const turns = (count: number) => Array.from({ length: count }, (_, i) => turn(i)).flat()

  it("does not change a history that fits", () => {
    const history = turns(3)
    assert.strictEqual(History.fit(history, { maxTokens: 10_000 }), history)
  })

  it("empties old results before it drops turns, and keeps the last two turns whole if they fit", () => {
    const fitted = History.fit(turns(10), { maxTokens: 3500 })
    assert.strictEqual(fitted.length, 40)
    assert.include(JSON.stringify(fitted[2]), "old result removed")
    assert.deepStrictEqual(fitted.slice(-8), [...turn(8), ...turn(9)])
    assert.deepStrictEqual(History.fit(turns(10), { maxTokens: 1000 }), [...turn(8), ...turn(9)])
  })

  it("empties results in the last two turns that the model has seen, and then drops the first of the two", () => {
    const seen = result("c9", "[old result removed]")
    const last = [userText("question 9"), call("c9"), seen, say("answer 9")]
    assert.deepStrictEqual(History.fit(turns(10), { maxTokens: 500 }).slice(4), last)
    assert.deepStrictEqual(History.fit(turns(10), { maxTokens: 10 }), last)
  })

  /** The messages of a task that has made many tool calls for one question, and has not answered yet. */
  const longTask = (steps: number): ReadonlyArray<Message> => [
    userText("read everything"),
    ...Array.from({ length: steps }, (_, i) => [call(`c${i}`), result(`c${i}`, "x".repeat(200_000))]).flat()
  ]

  it("empties old results of a long task, but no result that the model has not seen", () => {
    const fitted = History.fit(longTask(20), { maxTokens: 100_000 })
    assert.isAtMost(History.estimateTokens(fitted), 100_000)
    assert.deepStrictEqual(fitted.slice(-2), longTask(20).slice(-2))
    assert.strictEqual(fitted.length, 41)
    assert.isUndefined(problem(fitted))
  })

  it("empties results in blocks, so that the beginning of the prompt stays the same for several steps", () => {
    const fitted = Array.from({ length: 10 }, (_, i) => History.fit(longTask(10 + i), { maxTokens: 300_000 }))
    const beginnings = fitted.map((messages) => JSON.stringify(messages.slice(0, 9)))
    assert.isAtMost(new Set(beginnings).size, 4)
  })

  it("shortens results that the model has not seen, longest first, if nothing else can be removed", () => {
    const results = ["short", "y".repeat(250_000), "字".repeat(100_000)]
    const parallel: ReadonlyArray<Message> = [
      userText("read everything"),
      call("a", "b", "c"),
      { role: "tool", content: ["a", "b", "c"].flatMap((id, i) => result(id, results[i] ?? "").content) }
    ]
    const fitted = History.fit(parallel, { maxTokens: 50_000 })
    assert.isAtMost(History.estimateTokens(fitted), 50_000)
    assert.isAbove(History.estimateTokens(fitted), 40_000)
    const kept = fitted[2]?.role === "tool"
      ? fitted[2].content.map((part) => String("result" in part && part.result))
      : []
    assert.strictEqual(kept[0], "short")
    for (const text of kept.slice(1)) assert.match(text, /more characters do not fit into the context of the model\]$/)
    assert.isUndefined(problem(fitted))
  })

  it("estimates too many tokens rather than too few, in any script", () => {
    assert.approximately(History.estimateTokens([userText("word ".repeat(3_000))]), 5_000, 50)
    assert.approximately(History.estimateTokens([userText("漢字かな".repeat(1_000))]), 4_000, 50)
  })

  it("replaces the oldest files if a request would have more than 20 MiB of files", () => {
    const files = Array.from({ length: 6 }, (_, i): Message => ({
      role: "user",
      content: [
        { type: "file", mediaType: "application/pdf", name: `${i}.pdf`, data: "A".repeat(7 * 1024 * 1024) },
        { type: "text", text: "and this?" }
      ]
    }))
    const limited = History.limitFiles(files)
    assert.deepStrictEqual(limited.slice(4), files.slice(4))
    assert.deepStrictEqual(limited[0]?.content[0], {
      type: "text",
      text: "[A file of type application/pdf, no longer sent: 0.pdf]"
    })
    assert.isBelow(JSON.stringify(limited).length, 20 * 1024 * 1024)
    assert.strictEqual(History.limitFiles(limited), limited)
    assert.deepStrictEqual(History.limitFiles(files, { maxBytes: 1 }).at(-1), files.at(-1))
  })

  it("cuts only between turns, and the API accepts the result", () => {
    for (let maxTokens = 100; maxTokens < 4000; maxTokens += 100) {
      const fitted = History.fit(turns(20), { maxTokens })
      assert.isUndefined(problem(fitted))
      assert.strictEqual(fitted[0]?.role, "user")
      if (maxTokens >= 1000) assert.isAtMost(History.estimateTokens(fitted), maxTokens)
    }
  })

  it("cuts in blocks, so that the beginning of the prompt stays the same for several requests", () => {
    const beginnings = Array.from(
      { length: 20 },
      (_, i) => JSON.stringify(History.fit(turns(20 + i), { maxTokens: 4000 })[0])
    )
    assert.isAtMost(new Set(beginnings).size, 8)
  })
})

describe("prompts", () => {
  it("a message of the model is unchanged after it was mapped to a prompt and back", () => {
    const message: AssistantMessage = {
      role: "assistant",
      content: [
        { type: "reasoning", text: "hm", providerData: { anthropic: { signature: "s" } } },
        { type: "text", text: "hello" },
        { type: "tool_call", toolCallId: "a", tool: "t", args: { city: "Oslo" } }
      ]
    }
    const prompt = History.toPromptMessage(message)
    assert.isTrue(prompt.role === "assistant")
    if (prompt.role === "assistant") assert.deepStrictEqual(History.fromAssistantMessage(prompt), message)
  })

  it("files keep their URL or their data", () => {
    const prompt = History.toPromptMessage({
      role: "user",
      content: [
        { type: "file", mediaType: "image/png", url: "https://example.com/a.png", name: "a.png" },
        { type: "file", mediaType: "image/png", url: "not an address" },
        { type: "file", mediaType: "image/png", data: "aGk=" }
      ]
    })
    assert.deepStrictEqual(
      prompt.role === "user" ? prompt.content.map((part) => part.type === "file" ? `${part.data}` : "") : [],
      ["https://example.com/a.png", "not an address", "aGk="]
    )
  })
})

describe("parts of a type that this version does not know", () => {
  const unknown = { type: "unknown", raw: { type: "audio", data: "x".repeat(300_000) } } as const

  it("do not go to the model, which gets a note of a user's part", () => {
    const messages: ReadonlyArray<Message> = [
      { role: "user", content: [unknown] },
      { role: "assistant", content: [{ type: "text", text: "I hear it." }, unknown] },
      { role: "user", content: [{ type: "text", text: "And this?" }, unknown] },
      { role: "assistant", content: [unknown] },
      { role: "tool", content: [unknown] }
    ]
    const repaired = History.repair(messages)
    assert.isUndefined(problem(repaired))
    assert.deepStrictEqual(
      promptOf(repaired).content.map(({ content, role }) => [
        role,
        typeof content === "string" ? content : content.map((part) => part.type === "text" ? part.text : part.type)
      ]),
      [
        ["user", ["[Content that cannot be read, of type audio]"]],
        ["assistant", ["I hear it."]],
        ["user", ["And this?", "[Content that cannot be read, of type audio]"]]
      ]
    )
    assert.isBelow(History.estimateTokens(messages), 200)
  })
})
