import { assert, describe, it } from "@effect/vitest"
import { readdirSync, readFileSync } from "node:fs"
import { type Plan, planOf } from "./plan.ts"
import { judge } from "./report.ts"
import { runWorld } from "./runWorld.ts"

/** Plans of worlds that broke a promise once. */
const found = new URL("found/", import.meta.url)

/** `pnpm test:worlds` runs new seeds. These are always the same, in groups so that other tests of the process go on. */
const groups = 20
const seeds = 10

describe("worlds", () => {
  for (let group = 0; group < groups; group++) {
    const first = 1 + group * seeds
    it(`P1-P12: they hold in the worlds ${first} to ${first + seeds - 1}`, () => {
      for (let seed = first; seed < first + seeds; seed++) assert.isUndefined(judge(seed))
    })
  }

  for (const file of readdirSync(found)) {
    it(`P1-P12: they hold in the world that found a bug: ${file}`, () => {
      // The file has the plan of a world.
      const plan = JSON.parse(readFileSync(new URL(file, found), "utf8")) as Plan
      assert.isEmpty(runWorld(plan).violations)
    })
  }

  it("a seed makes the same world again, traced or not", () => {
    const plan = planOf(7)
    const { hash, steps } = runWorld(plan)
    const { hash: again, steps: stepsAgain, trace } = runWorld(plan, { traced: true })
    assert.deepStrictEqual({ hash, steps }, { hash: again, steps: stepsAgain })
    assert.isAbove(trace.length, 0)
    assert.notStrictEqual(runWorld(planOf(8)).hash, hash)
  })
})
