import { assert, describe, it } from "@effect/vitest"
import { median, percentile } from "./common.ts"

describe("figures of fault runs", () => {
  it("the 99th percentile of 50 is the largest", () => {
    assert.strictEqual(percentile(Array.from({ length: 50 }, (_, i) => 50 - i), 99), 50)
    assert.strictEqual(percentile(Array.from({ length: 100 }, (_, i) => i + 1), 99), 99)
  })

  it("a bound that two of three rounds miss is missed, one that one of them misses is not", () => {
    assert.strictEqual(median([400, 100, 300]), 300)
    assert.strictEqual(median([100, 400, 110]), 110)
  })
})
