import { assert, it } from "@effect/vitest"
import { type Plan, planOf } from "./plan.ts"
import { shrink } from "./shrink.ts"

it("a broken plan becomes as small as its cause", () => {
  const kills = ({ faults }: Plan) => faults.some(({ type }) => type === "kill")
  const asks = ({ scripts }: Plan) =>
    scripts.some(({ acts }) =>
      acts.some((act) => act.type === "start" && act.steps.some((step) => step.type === "call"))
    )
  const seed = Array.from({ length: 100 }, (_, i) => i + 1).find((seed) => kills(planOf(seed)) && asks(planOf(seed)))
  assert.isDefined(seed)
  const small = shrink(planOf(seed), (plan) => kills(plan) && asks(plan))
  assert.strictEqual(small.faults.length, 1)
  assert.strictEqual(small.scripts.length, 1)
  const [act, ...others] = small.scripts.flatMap(({ acts }) => acts)
  assert.isEmpty(others)
  assert.strictEqual(act?.type === "start" ? act.steps.length : 0, 1)
  assert.isTrue(Object.values(small.weather).every((rate) => rate === 0))
})
