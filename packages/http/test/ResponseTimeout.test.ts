/** A handler that does not answer in time. */
import { assert, describe, it } from "@effect/vitest"
import { TaskManager } from "@perennial/domain/TaskManager"
import { type Authorization, layerVerify } from "@perennial/http/Authorization"
import * as Server from "@perennial/http/Server"
import { Deferred, Effect, Layer } from "effect"
import { layerLocal, layerMemory, makeEcho, post, problem } from "./support.ts"

/** Sends a request to routes over these layers, whose responses must begin within 50 milliseconds. */
const send = Effect.fnUntraced(function*(
  path: string,
  init: RequestInit,
  { auth = layerLocal, manager = (manager) => manager }: {
    readonly auth?: Layer.Layer<Authorization>
    readonly manager?: (manager: TaskManager["Service"]) => TaskManager["Service"]
  }
) {
  const memory = layerMemory(makeEcho())
  const tasks = Layer.effect(TaskManager, Effect.map(TaskManager, manager)).pipe(Layer.provideMerge(memory))
  const web = yield* Effect.acquireRelease(
    Effect.sync(() =>
      Server.toWebHandler(Layer.merge(tasks, auth), { responseTimeout: "50 millis", heartbeat: "100 millis" })
    ),
    (web) => Effect.promise(() => web.dispose())
  )
  return yield* Effect.promise(() => web.handler(new Request(`http://localhost:3000${path}`, init)))
})

describe("a response that does not begin in time", () => {
  it.live("is 503 `unavailable`, and the request is interrupted", () =>
    Effect.gen(function*() {
      const interrupted = yield* Deferred.make<void>()
      const response = yield* send("/tasks", post({ message: "a" }), {
        manager: (manager) => ({
          ...manager,
          start: () => Effect.onInterrupt(Effect.never, () => Deferred.succeed(interrupted, undefined))
        })
      })
      assert.strictEqual(response.status, 503)
      const { detail, type } = yield* problem(response)
      assert.strictEqual(type, "urn:perennial:problem:unavailable")
      assert.include(detail, "no answer within 50ms")
      yield* Deferred.await(interrupted)
    }).pipe(Effect.scoped))

  it.live("is 503 `unavailable` if the check of a credential does not answer", () =>
    Effect.gen(function*() {
      const headers = { authorization: "Bearer a" }
      const response = yield* send("/tasks", { headers }, { auth: layerVerify(() => Effect.never) })
      assert.strictEqual(response.status, 503)
      assert.strictEqual((yield* problem(response)).type, "urn:perennial:problem:unavailable")
    }).pipe(Effect.scoped))

  it.live("is no event stream that has begun: it may take any time", () =>
    Effect.gen(function*() {
      const response = yield* send("/chat", post({ message: "hold" }), {})
      assert.strictEqual(response.status, 200)
      const reader = response.body?.getReader()
      assert(reader !== undefined)
      // The first heartbeat comes later than the time limit.
      let read = ""
      while (!/^: ?ping/m.test(read)) {
        const { done, value } = yield* Effect.promise(() => reader.read())
        assert.isFalse(done, read)
        read += new TextDecoder().decode(value)
      }
      yield* Effect.promise(() => reader.cancel())
    }).pipe(Effect.scoped))
})
