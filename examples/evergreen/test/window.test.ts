import { assert, describe, it } from "@effect/vitest"
import { windowAround } from "../web/src/chat/window.ts"

const rows = (count: number) => Array.from({ length: count }, (_, i) => ({ key: `row${i}` }))

const keys = (all: ReturnType<typeof rows>, middle?: string) => {
  const { from, listed } = windowAround(all, middle)
  assert.isTrue(listed.every((row, i) => row === all[from + i]))
  return [listed.length, listed[0]?.key, listed.at(-1)?.key]
}

describe("the rows that the list of a conversation has", () => {
  it("are all of them if they are few", () => {
    assert.deepStrictEqual(keys([]), [0, undefined, undefined])
    assert.deepStrictEqual(keys(rows(300)), [300, "row0", "row299"])
    assert.deepStrictEqual(keys(rows(300), "row7"), [300, "row0", "row299"])
  })

  it("are the last ones at the end, and when the row in the middle is gone", () => {
    assert.deepStrictEqual(keys(rows(40_000)), [300, "row39700", "row39999"])
    assert.deepStrictEqual(keys(rows(40_000), "gone"), [300, "row39700", "row39999"])
  })

  it("are no more around a row of a long conversation, wherever it is", () => {
    assert.deepStrictEqual(keys(rows(40_000), "row20000"), [300, "row19850", "row20149"])
    assert.deepStrictEqual(keys(rows(40_000), "row3"), [300, "row0", "row299"])
    assert.deepStrictEqual(keys(rows(40_000), "row39990"), [300, "row39700", "row39999"])
  })
})
