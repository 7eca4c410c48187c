import { assert, describe, it } from "@effect/vitest"
import { Agents, make } from "@perennial/domain/Agent"
import { zero } from "@perennial/domain/Usage"
import { Cause, Effect, Exit, Layer } from "effect"

const agent = (id: string) => make(id, () => Effect.succeed({ usage: zero }))

describe("the agents of a process", () => {
  it.effect.each(
    [
      ["layer", Agents.layer([agent("writer"), agent("critic"), agent("writer")])],
      ["layerEffect", Agents.layerEffect([Effect.succeed(agent("writer")), Effect.succeed(agent("writer"))])]
    ] as const
  )("two agents with the same id are refused when the layer is built: %s", ([, agents]) =>
    Effect.gen(function*() {
      const exit = yield* Effect.exit(Layer.build(agents))
      assert.isTrue(Exit.isFailure(exit) && Cause.hasDies(exit.cause))
      const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
      assert.strictEqual(
        error instanceof Error ? error.message : error,
        "Two agents have the id \"writer\": give each its own."
      )
    }))

  it.effect("`get` without an id returns the first agent", () =>
    Effect.gen(function*() {
      const agents = yield* Agents
      const first = yield* agents.get()
      const critic = yield* agents.get(agent("critic").agentId)
      assert.deepStrictEqual([first.agentId, critic.agentId], ["writer", "critic"])
    }).pipe(Effect.provide(Agents.layer([agent("writer"), agent("critic")]))))
})
