import { assert, it } from "@effect/vitest"
import { readFileSync } from "node:fs"
import { canaries } from "./canaries.ts"
import { change } from "./canary.ts"

it("every canary changes the present sources", () => {
  for (const canary of canaries) {
    for (const { file } of canary.edits) {
      const text = readFileSync(new URL(`../../${file}`, import.meta.url), "utf8")
      assert.notStrictEqual(change(text, canary, file), text, canary.name)
    }
  }
  assert.strictEqual(new Set(canaries.map(({ name }) => name)).size, canaries.length)
  assert.isAtLeast(canaries.length, 40)
})
