import { assert, describe, it } from "@effect/vitest"
import { Agents, make } from "@perennial/domain/Agent"
import { TaskManager } from "@perennial/domain/TaskManager"
import { zero } from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer, Schema } from "effect"

class Forecast extends Schema.Class<Forecast>("Forecast")({ city: Schema.String }) {}
const named = Schema.Struct({ city: Schema.String }).annotate({ identifier: "~ Weather/forecast in °C" })

interface Tree {
  readonly branches: ReadonlyArray<Tree>
}
const Tree: Schema.Codec<Tree> = Schema.Struct({
  branches: Schema.Array(Schema.suspend((): Schema.Codec<Tree> => Tree))
}).annotate({ identifier: "Tree" })

const outputOf = (output: Schema.Codec<unknown, unknown>) => {
  const agent = { ...make("agent", () => Effect.succeed({ usage: zero })), output }
  return Effect.flatMap(TaskManager, ({ agents }) => Effect.map(agents, ([described]) => described?.output)).pipe(
    Effect.provide(TaskRuntime.layerMemory.pipe(Layer.provide(Agents.layer([agent]))))
  )
}

describe("the description of an agent", () => {
  it.effect("has the JSON schema of its outputs, written out at the root whatever the name of the form", () =>
    Effect.gen(function*() {
      for (const form of [Forecast, named, Tree] as const) {
        const output = yield* outputOf(form)
        assert.strictEqual(output?.["type"], "object")
        assert.isObject(output?.["properties"])
      }
      assert.deepStrictEqual(yield* outputOf(Schema.Array(Schema.String)), { type: "array", items: { type: "string" } })
    }))

  it.effect("has the definitions to which a recursive form refers", () =>
    Effect.gen(function*() {
      const output = yield* outputOf(Tree)
      assert.deepStrictEqual(output?.["properties"], { branches: { type: "array", items: { $ref: "#/$defs/Tree" } } })
      assert.hasAllKeys(output?.["$defs"], ["Tree"])
    }))
})
