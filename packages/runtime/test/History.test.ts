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
/** What the API says to a request that ends with the user's next message. */
const problem = (messages: ReadonlyArray<Message>) => problemOfPrompt(promptOf([...messages, userText("next")]))

/** Other providers have others than Anthropic's. */
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
    // Models and cuts leave what is not an object.
    args: Schema.Union([Schema.Null, Schema.Literals(["{\"ci", 1, true]), Schema.Tuple([]), Schema.Struct({})])
  })
])
/** Histories as cancels, crashes and imports may leave them. */
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
    "SCENARIO 21: any history is accepted afterwards, and repairing twice is repairing once",
    [AnyHistory],
    ([history]) => {
      const once = History.repair(history)
      assert.isUndefined(problem(once))
      assert.deepStrictEqual(History.repair(once), once)
    },
    { arbitrary: { runs: 500 } }
  )

  it("what needs nothing stays as it is", () => {
    const history = [userText("hi"), call("a"), result("a"), say("ok")]
    assert.deepStrictEqual(History.repair(history), history)
  })

  it("keeps results that are there, adds those that are missing", () => {
    const repaired = History.repair([userText("hi"), call("a", "b", "c"), result("c"), userText("go on"), result("a")])
    const [, , answers] = repaired
    assert.deepStrictEqual(
      answers?.content.map((part) => part.type === "tool_result" ? [part.toolCallId, part.status] : []),
      [["a", "completed"], ["b", "interrupted"], ["c", "completed"]]
    )
    assert.deepStrictEqual(repaired.map((message) => message.role), ["user", "assistant", "tool", "user"])
  })

  it("drops results without a call, second results, blank text and lone thinking", () => {
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

  it("leaves alone what fits", () => {
    const history = turns(3)
    assert.strictEqual(History.fit(history, { maxTokens: 10_000 }), history)
  })

  it("empties old results before it drops turns, and always keeps the last two", () => {
    const fitted = History.fit(turns(10), { maxTokens: 2500 })
    assert.strictEqual(fitted.length, 40)
    assert.include(JSON.stringify(fitted[2]), "old result removed")
    assert.deepStrictEqual(fitted.slice(-8), [...turn(8), ...turn(9)])
    assert.deepStrictEqual(History.fit(turns(10), { maxTokens: 10 }), [...turn(8), ...turn(9)])
  })

  it("cuts only between turns, and stays acceptable", () => {
    for (let maxTokens = 100; maxTokens < 4000; maxTokens += 100) {
      const fitted = History.fit(turns(20), { maxTokens })
      assert.isUndefined(problem(fitted))
      assert.strictEqual(fitted[0]?.role, "user")
      if (maxTokens >= 1000) assert.isAtMost(History.estimateTokens(fitted), maxTokens)
    }
  })

  it("cuts in blocks: the beginning stays the same for several requests", () => {
    const beginnings = Array.from(
      { length: 20 },
      (_, i) => JSON.stringify(History.fit(turns(20 + i), { maxTokens: 3000 })[0])
    )
    assert.isAtMost(new Set(beginnings).size, 8)
  })
})

describe("prompts", () => {
  it("a message of the model survives the way into a prompt and back", () => {
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

  it("files keep their address or their data", () => {
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
