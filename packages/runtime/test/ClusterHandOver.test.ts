/** Hand-overs in a cluster whose processes get hints of each other. */
import { assert, it } from "@effect/vitest"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import * as Testing from "@perennial/runtime/Testing"
import { Effect, type Layer, type Scope } from "effect"
import * as HintedStore from "../../../test/support/hintedStore.ts"
import { walking } from "./support/agents.ts"
import { engineOf, network, startRunner, untilAllEnded } from "./support/clusterRunners.ts"

const test = <E>(
  name: string,
  body: Effect.Effect<void, E, Scope.Scope | Layer.Success<typeof MemoryStore.layer>>
) => it.effect(name, () => Effect.provide(Effect.scoped(body), HintedStore.layer(MemoryStore.layer)))

test(
  "P8: when a runner leaves, the other takes its tasks at once, before the cluster has moved the shards",
  Effect.gen(function*() {
    const shared = yield* network
    const backend = yield* TaskBackend
    const { agent, made } = walking(10)
    const first = yield* startRunner([agent], engineOf(shared, 1))
    const second = yield* startRunner([agent], engineOf(shared, 2))
    yield* Testing.adjust("3 seconds")
    for (let i = 0; i < 20; i++) yield* first.manager.start({ message: "x", conversationId: `c${i}` })
    yield* Testing.adjust("2500 millis")
    const ids = (yield* backend.list({ userId: "local" as never, limit: 100 })).map(({ id }) => id)
    const runners = Effect.map(backend.owners(ids), (owners) => owners.map(({ runnerId }) => runnerId))
    assert.include(yield* runners, first.runnerId)
    yield* first.terminate
    yield* Testing.settle
    assert.deepStrictEqual(yield* runners, ids.map(() => second.runnerId))
    yield* untilAllEnded
    assert.strictEqual(new Set(made).size, made.length)
  })
)

test(
  "a runner that joins gets the tasks of its shards: no other runner takes them, and none moves between the others",
  Effect.gen(function*() {
    const shared = yield* network
    const backend = yield* TaskBackend
    const { agent } = walking(30)
    const first = yield* startRunner([agent], engineOf(shared, 1))
    yield* startRunner([agent], engineOf(shared, 2))
    yield* Testing.adjust("3 seconds")
    for (let i = 0; i < 40; i++) yield* first.manager.start({ message: "x", conversationId: `c${i}` })
    yield* Testing.adjust("3 seconds")
    const ids = (yield* backend.list({ userId: "local" as never, limit: 100 })).map(({ id }) => id)
    const owners = Effect.map(
      backend.owners(ids),
      (owners) => new Map(owners.map(({ runnerId, taskId }) => [taskId, runnerId]))
    )
    const before = yield* owners
    const third = yield* startRunner([agent], engineOf(shared, 3))
    yield* Testing.adjust("6 seconds")
    const moved = [...yield* owners].filter(([id, runner]) => before.get(id) !== runner)
    assert.isAbove(moved.length, 3)
    assert.deepStrictEqual([...new Set(moved.map(([, runner]) => runner))], [third.runnerId])
  })
)
