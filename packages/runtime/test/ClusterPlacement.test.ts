import { assert, it } from "@effect/vitest"
import * as Testing from "@perennial/runtime/Testing"
import { Context, Effect, Exit, Layer, Scope } from "effect"
import { Sharding } from "effect/cluster"
import { clusterOf, network } from "./support/clusterRunners.ts"

const conversations = Array.from({ length: 10_000 }, (_, i) => `conversation-${i}`)

it.effect("10,000 conversations are placed evenly on 8 runners; a runner that joins or leaves moves only what must move", () =>
  Effect.gen(function*() {
    const shared = yield* network
    const start = (port: number) =>
      Effect.gen(function*() {
        const scope = yield* Scope.fork(yield* Effect.scope)
        const context = yield* Layer.buildWithScope(clusterOf(shared, port), scope)
        return { port, sharding: Context.get(context, Sharding.Sharding), leave: Scope.close(scope, Exit.void) }
      })
    const runners = yield* Effect.forEach([1, 2, 3, 4, 5, 6, 7, 8], start)
    const settled = Testing.adjust("5 seconds")
    const placed = (of: typeof runners) =>
      Effect.andThen(
        settled,
        Effect.sync(() =>
          conversations.map((id) => {
            const owners = of.filter(({ sharding }) => sharding.hasShardId(sharding.getShardId(id as never, "default")))
            assert.strictEqual(owners.length, 1, `${id} has one runner`)
            return owners[0]?.port
          })
        )
      )
    const counts = (placement: ReadonlyArray<number | undefined>, of: typeof runners) =>
      of.map(({ port }) => placement.filter((owner) => owner === port).length)
    const moved = (before: ReadonlyArray<number | undefined>, after: ReadonlyArray<number | undefined>) =>
      before.filter((owner, i) => owner !== after[i]).length

    const before = yield* placed(runners)
    for (const count of counts(before, runners)) assert.approximately(count, 1_250, 125)
    const ninth = yield* start(9)
    const all = [...runners, ninth]
    const grown = yield* placed(all)
    for (const count of counts(grown, all)) assert.approximately(count, 1_111, 111)
    // A ninth of them must move. The ring moves a few more, from neighbour to neighbour.
    assert.isBelow(moved(before, grown), 1_400)
    yield* ninth.leave
    assert.strictEqual(moved(before, yield* placed(runners)), 0)
  }).pipe(Effect.scoped))
