import { assert, describe, it } from "@effect/vitest"
import * as Message from "@perennial/domain/Message"
import { split } from "@perennial/domain/MessagePieces"
import { Schema } from "effect"

const Text = Schema.Literals(["", "short", "x".repeat(5_000), "\u0001😀\"".repeat(1_000), "漢".repeat(3_000)])
const Part = Schema.Union([
  Schema.Struct({ type: Schema.Literal("text"), text: Text }),
  Schema.Struct({ type: Schema.Literal("reasoning"), text: Schema.Literals(["hm", "h".repeat(1_000)]) }),
  Schema.Struct({
    type: Schema.Literal("tool_call"),
    toolCallId: Schema.Literal("a"),
    tool: Schema.Literal("t"),
    args: Schema.Literals(["{}", "y".repeat(1_500)])
  })
])
const Assistant = Schema.Struct({ role: Schema.Literal("assistant"), content: Schema.Array(Part) })

describe("MessagePieces.split", () => {
  it.prop(
    "no content is lost, no piece is longer than allowed, and no character is cut",
    [Assistant, Schema.Literals([2_000, 3_000, 10_000, 1_000_000])],
    ([message, length]) => {
      const pieces = split(message, length)
      for (const piece of pieces) {
        assert.isAtMost(JSON.stringify(piece).length, length)
        for (const part of piece.content) if (part.type === "text") assert.isTrue(part.text.isWellFormed())
      }
      const parts = pieces.flatMap(({ content }) => content)
      assert.strictEqual(Message.text({ role: "assistant", content: parts }), Message.text(message))
      const others = (content: Message.AssistantMessage["content"]) => content.filter(({ type }) => type !== "text")
      assert.deepStrictEqual(others(parts), others(message.content))
    },
    { arbitrary: { runs: 200 } }
  )

  it("thinking stays in one piece with the text that follows it", () => {
    const message: Message.AssistantMessage = {
      role: "assistant",
      content: [{ type: "reasoning", text: "hm" }, { type: "text", text: "x".repeat(5_000) }]
    }
    const [first] = split(message, 4_000)
    assert.deepStrictEqual(first?.content.map(({ type }) => type), ["reasoning", "text"])
    assert.deepStrictEqual(split(message, 6_000), [message])
  })
})
