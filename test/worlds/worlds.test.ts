import { assert, describe, it } from "@effect/vitest"
import { planOf } from "./plan.ts"
import { judge } from "./report.ts"
import { runWorld } from "./runWorld.ts"

/** `pnpm test:worlds` runs new seeds. These are always the same, in groups so that other tests of the process go on. */
const groups = 20
const seeds = 10

describe("worlds", () => {
  for (let group = 0; group < groups; group++) {
    const first = 1 + group * seeds
    it(`P1-P11: they hold in the worlds ${first} to ${first + seeds - 1}`, () => {
      for (let seed = first; seed < first + seeds; seed++) assert.isUndefined(judge(seed))
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
