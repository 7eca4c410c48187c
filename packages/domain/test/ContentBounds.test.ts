import { assert, describe, it } from "@effect/vitest"
import * as ContentBounds from "@perennial/domain/ContentBounds"
import * as Decision from "@perennial/domain/Decision"
import * as StartInput from "@perennial/domain/StartInput"
import { Effect, Schema } from "effect"

const nested = (levels: number): Schema.Json => {
  let json: Schema.Json = "\ud83d"
  for (let level = 0; level < levels; level++) json = level % 2 === 0 ? [json] : { "\ud83d": json }
  return json
}

describe("ContentBounds", () => {
  it(`P11: JSON is nested at most ${ContentBounds.maxDepth} levels deep`, () => {
    assert.isUndefined(ContentBounds.jsonProblem(nested(64)))
    for (const levels of [65, 1_000, 100_000]) {
      assert.strictEqual(ContentBounds.jsonProblem(nested(levels)), "is nested deeper than 64 levels")
    }
    const cycle: Array<unknown> = []
    cycle.push(cycle, cycle)
    assert.isTrue(ContentBounds.isTooDeep(cycle))
  })

  it.each([[64], [65], [100_000]])("JSON of %i levels becomes well-formed and bounded", (levels) => {
    const json = ContentBounds.wellFormedJson(nested(levels))
    assert.isUndefined(ContentBounds.jsonProblem(json))
    assert.notMatch(JSON.stringify(json), /\\ud8/)
  })

  it.prop("JSON that is well-formed and in bounds is not changed", [Schema.Json], ([json]) => {
    if (ContentBounds.isTooDeep(json) || /\\ud[89a-f]/.test(JSON.stringify(json))) return
    assert.deepStrictEqual(ContentBounds.wellFormedJson(json), json)
  })

  it.effect("D24: decoded input is well-formed: text, names of files, metadata, a decision", () =>
    Effect.gen(function*() {
      const half = "\ud83d"
      const started = yield* StartInput.decodeStart({
        message: {
          role: "user",
          content: [
            { type: "text", text: half },
            { type: "file", mediaType: "image/png", url: "https://example.com/a.png", name: half }
          ]
        },
        metadata: { [half]: [half] },
        userMetadata: { a: half }
      })
      const text = yield* StartInput.decodeStart({ message: half })
      const decision = yield* Decision.decode({ approved: true, reason: half, args: { a: half } })
      assert.notMatch(JSON.stringify([started, text, decision]), /\\ud83d/)
    }))

  it("a text is cut between characters, never inside a surrogate pair", () => {
    assert.strictEqual(ContentBounds.truncate("a😀b", 2), "a")
    assert.strictEqual(ContentBounds.truncate("a😀b", 3), "a😀")
    assert.strictEqual(ContentBounds.truncate("a😀b", 4), "a😀b")
  })

  it("`byteLength` is the length in UTF-8", () => {
    for (const [text, bytes] of [["", 0], ["a", 1], ["ä", 2], ["€", 3], ["😀", 4], ["\ud83d", 3]] as const) {
      assert.strictEqual(ContentBounds.byteLength(text), bytes)
      assert.isTrue(ContentBounds.fitsBytes(text, bytes))
      assert.isFalse(ContentBounds.fitsBytes(text, bytes - 1))
    }
  })
})
