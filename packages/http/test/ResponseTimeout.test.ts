/** A handler that does not answer in time. */
import { assert, describe, it } from "@effect/vitest"
import { TaskManager } from "@perennial/domain/TaskManager"
import { type Authorization, layerVerify } from "@perennial/http/Authorization"
import * as Server from "@perennial/http/Server"
import * as Sse from "@perennial/http/Sse"
import { Deferred, Effect, Fiber, Layer, type Scope } from "effect"
import { HttpEffect, HttpRouter, HttpServer, type HttpServerRequest } from "effect/http"
import { TestClock } from "effect/testing"
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
    Effect.sync(() => Server.toWebHandler(Layer.merge(tasks, auth), { responseTimeout: "50 millis" })),
    (web) => Effect.promise(() => web.dispose())
  )
  return yield* Effect.promise(() => web.handler(new Request(`http://localhost:3000${path}`, init)))
})

/** A server like that of `send`, with the clock of the test. */
const timed = Effect.gen(function*() {
  const routes = Server.layerRoutes({ responseTimeout: "1 minute" }).pipe(
    Layer.provide([Sse.layer({ heartbeat: "2 minutes" }), layerMemory(makeEcho()), layerLocal]),
    Layer.provide(HttpServer.layerServices)
  )
  const toHandler = HttpEffect.toWebHandlerWith<Scope.Scope, Scope.Scope | HttpServerRequest.HttpServerRequest>(
    yield* Effect.context<Scope.Scope>()
  )
  return toHandler(yield* HttpRouter.toHttpEffect(routes))
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

  it.effect("is no event stream that has begun: it may take any time", () =>
    Effect.gen(function*() {
      const handler = yield* timed
      const request = new Request("http://localhost:3000/chat", post({ message: "hold" }))
      const response = yield* Effect.promise(() => handler(request))
      assert.strictEqual(response.status, 200)
      const reader = response.body?.getReader()
      assert(reader !== undefined)
      let text = ""
      const readUntil = Effect.fnUntraced(function*(found: RegExp) {
        while (!found.test(text)) {
          const { done, value } = yield* Effect.promise(() => reader.read())
          assert.isFalse(done, text)
          text += new TextDecoder().decode(value)
        }
      })
      yield* readUntil(/"started"/)
      // The first heartbeat comes later than the time limit.
      const ping = yield* Effect.forkChild(readUntil(/^: ?ping/m))
      yield* TestClock.adjust("2 minutes")
      yield* Fiber.join(ping)
      yield* Effect.promise(() => reader.cancel())
    }).pipe(Effect.scoped))
})
