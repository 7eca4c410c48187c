import { assert, describe, it } from "@effect/vitest"
import * as Message from "@perennial/domain/Message"

describe("Message.citations", () => {
  it("has each source once, in the order of the texts", () => {
    const [a, b, file] = [{ url: "https://a.no/", title: "A" }, { url: "https://b.no/" }, { title: "a.pdf" }]
    const again = { ...a, title: "Another", citedText: "words" }
    assert.deepStrictEqual(
      Message.citations({
        role: "assistant",
        content: [
          { type: "text", text: "one", citations: [a, file] },
          { type: "reasoning", text: "hm" },
          { type: "text", text: "two", citations: [again, b] },
          { type: "text", text: "three" }
        ]
      }),
      [{ ...a, citedText: "words" }, file, b]
    )
  })
})
