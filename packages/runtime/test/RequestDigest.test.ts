import { assert, it } from "@effect/vitest"
import { Agents, make } from "@perennial/domain/Agent"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
import { Effect, Layer } from "effect"
import { Digest } from "effect/crypto"

it.effect("the digest of the application compares requests, so that a simulation needs no promise", () => {
  const digested: Array<string> = []
  const digest = Digest.Digest.of({
    digest: () => Effect.succeed(new Uint8Array()),
    digestHex: (algorithm) =>
      Effect.sync(() => {
        digested.push(algorithm.name)
        return "same"
      })
  })
  const layer = TaskRuntime.layerMemory.pipe(Layer.provide(Agents.layer([make("waits", () => Effect.never)])))
  return Effect.gen(function*() {
    const tasks = yield* TaskManager
    const first = yield* tasks.start({ message: "Hi", idempotencyKey: "key" })
    // Another request, which only the digest of the application calls the same.
    const again = yield* tasks.start({ message: "Ho", idempotencyKey: "key" })
    assert.strictEqual(again.id, first.id)
    assert.deepStrictEqual(digested, ["SHA-256", "SHA-256"])
  }).pipe(Effect.provide(layer), Effect.provideService(Digest.Digest, digest))
})
