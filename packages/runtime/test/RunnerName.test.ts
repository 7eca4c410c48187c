/** The owner of a task in the store names the process that executes it. */
import { assert, it } from "@effect/vitest"
import * as Agent from "@perennial/domain/Agent"
import { RunnerName } from "@perennial/domain/RunnerName"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskManager } from "@perennial/domain/TaskManager"
import { TaskOwners } from "@perennial/domain/TaskOwners"
import * as Usage from "@perennial/domain/Usage"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Deferred, Effect, Layer } from "effect"

it.effect.each(
  [
    ["web-2-4711", /^web-2-4711-[\w-]{36}$/],
    ["", /^[\w-]{36}$/],
    [`a host: ü ${"x".repeat(300)}`, /^a-host----x{90}-[\w-]{36}$/]
  ] as const
)("of the name %j", ([name, expected]) =>
  Effect.gen(function*() {
    const begun = yield* Deferred.make<void>()
    const agent = Agent.make("agent", () =>
      Effect.as(Effect.andThen(Deferred.succeed(begun, undefined), Effect.never), { usage: Usage.zero }))
    yield* Effect.gen(function*() {
      const manager = yield* TaskManager
      const { id } = yield* manager.start({ message: "a" })
      yield* Deferred.await(begun)
      const [owner] = yield* (yield* TaskBackend).owners([id])
      assert.match(owner?.runnerId ?? "", expected)
      assert.deepStrictEqual([...yield* (yield* TaskOwners)([id])], [[id, owner?.runnerId]])
      yield* manager.cancel(id)
    }).pipe(Effect.provide(
      TaskRuntime.layerMemory.pipe(
        Layer.provide(Agent.Agents.layer([agent])),
        Layer.provide(Layer.succeed(RunnerName, name))
      )
    ))
  }))
