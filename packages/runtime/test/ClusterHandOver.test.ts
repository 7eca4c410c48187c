/** Hand-overs in a cluster whose processes get hints of each other. */
import { assert } from "@effect/vitest"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import * as Testing from "@perennial/runtime/Testing"
import { Effect } from "effect"
import * as HintedStore from "../../../test/support/hintedStore.ts"
import { walking } from "./support/agents.ts"
import { testOver, twoRunners, untilAllEnded } from "./support/clusterRunners.ts"

const test = testOver(HintedStore.layer(MemoryStore.layer))

test(
  "P8: when a runner leaves, the other takes its tasks at once, before the cluster has moved the shards",
  Effect.gen(function*() {
    const { agent, made } = walking(10)
    const { first, ids, owners, second } = yield* twoRunners(agent, 20)
    assert.include([...(yield* owners).values()], first.runnerId)
    yield* first.terminate
    yield* Testing.settle
    assert.deepStrictEqual(yield* owners, new Map(ids.map((id) => [id, second.runnerId])))
    yield* untilAllEnded
    assert.strictEqual(new Set(made).size, made.length)
  })
)

for (const stepPatience of ["2 seconds", "0 seconds"] as const) {
  test(
    `a runner that joins gets the tasks of its shards (patience: ${stepPatience}): no other runner takes them, and none moves between the others`,
    Effect.gen(function*() {
      const { owners, start } = yield* twoRunners(walking(30).agent, 40, { stepPatience })
      const before = yield* owners
      const third = yield* start(3)
      yield* Testing.adjust("6 seconds")
      const moved = [...yield* owners].filter(([id, runner]) => before.get(id) !== runner)
      assert.isAbove(moved.length, 3)
      assert.deepStrictEqual([...new Set(moved.map(([, runner]) => runner))], [third.runnerId])
    })
  )
}
