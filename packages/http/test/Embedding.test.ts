/** The API inside an application: under a prefix, beside routes of the application, and in a host that does not use Effect. */
// @effect-diagnostics nodeBuiltinImport:off
import { NodeHttpServer } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { TaskManager } from "@perennial/domain/TaskManager"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import { Context, Effect, Exit, Fiber, Layer, Queue, Scope, Stream } from "effect"
import { HttpRouter, HttpServer, HttpServerResponse } from "effect/http"
import { createServer } from "node:http"
import { body, type Call, json, layerLocal, layerMemory, makeCall, makeEcho, post, problem } from "./support.ts"

const Hello = HttpRouter.add("GET", "/hello", HttpServerResponse.text("Hello"))

/** Starts a server with the API and the route `/hello` of an application. */
const serve = Effect.fnUntraced(
  function*(options?: Server.Options & { readonly host?: Layer.Layer<never, never, HttpRouter.HttpRouter> }) {
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    const context = yield* Layer.buildWithScope(
      Server.serve(Layer.merge(options?.host ?? Hello, Server.layerRoutes(options)), options).pipe(
        Layer.provide([layerMemory(makeEcho()), Tokens.layerLocal]),
        Layer.provideMerge(NodeServer.layer({ port: 0 }))
      ),
      scope
    )
    const address = HttpServer.formatAddress(Context.get(context, HttpServer.HttpServer).address)
    const call: Call = (path, init) => Effect.promise(() => fetch(`${address}${path}`, init))
    return { call, close: Scope.close(scope, Exit.void) }
  }
)

describe("under a prefix", () => {
  it.live("`Location` and the other links have the prefix", () =>
    Effect.gen(function*() {
      const { call } = yield* serve({ prefix: "/agents" })
      const started = yield* call("/agents/tasks", post({ message: "a" }))
      assert.strictEqual(started.status, 201)
      const { id } = yield* json(started)
      const location = started.headers.get("location") ?? ""
      assert.strictEqual(location, `/agents/tasks/${id}`)
      assert.strictEqual((yield* json(yield* call(location))).id, id)
      const chat = yield* call("/agents/chat", post({ message: "a" }))
      assert.match(chat.headers.get("location") ?? "", /^\/agents\/tasks\/[0-9a-f-]{36}$/)
      assert.include(yield* body(chat), "\"type\":\"done\"")
      const api = yield* json(yield* call("/agents/openapi.json"))
      assert.deepStrictEqual(api.servers, [{ url: "/agents" }])
      assert.include(yield* body(yield* call("/agents/docs")), "\"url\":\"/agents\"")
    }))

  it.live("the page `/docs` is compressed if the client accepts gzip", () =>
    Effect.gen(function*() {
      const { call } = yield* serve({ prefix: "/agents" })
      const docs = yield* call("/agents/docs", { headers: { "accept-encoding": "gzip" } })
      assert.strictEqual(docs.headers.get("content-encoding"), "gzip")
      assert.isAbove((yield* body(docs)).length, 1_000_000)
    }))

  it.live("an application may leave out the page `/docs`", () =>
    Effect.gen(function*() {
      const { call } = yield* serve({ prefix: "/agents", docs: false })
      const { detail, status } = yield* problem(yield* call("/agents/docs"))
      assert.strictEqual(status, 404)
      assert.strictEqual(detail, "There is nothing at /agents/docs. GET /agents/openapi.json lists what there is.")
      assert.strictEqual((yield* call("/agents/openapi.json")).status, 200)
    }))

  it.live("links begin with the public URL", () =>
    Effect.gen(function*() {
      const { call } = yield* serve({ prefix: "/agents", publicUrl: "https://example.com/api/agents/" })
      const started = yield* call("/agents/tasks", post({ message: "a" }))
      const { id } = yield* json(started)
      assert.strictEqual(started.headers.get("location"), `https://example.com/api/agents/tasks/${id}`)
    }))

  it.live("404 and 405 are problems that name the path with the prefix", () =>
    Effect.gen(function*() {
      const { call } = yield* serve({ prefix: "/agents" })
      const unknown = yield* problem(yield* call("/agents/nothing?x=1"))
      assert.deepInclude(unknown, {
        type: "urn:perennial:problem:route-not-found",
        path: "/agents/nothing",
        detail: "There is nothing at /agents/nothing. GET /agents/docs lists what there is."
      })
      assert.strictEqual((yield* problem(yield* call("/agents"))).path, "/agents")
      const wrong = yield* call("/agents/tasks", { method: "PUT" })
      assert.strictEqual(wrong.status, 405)
      assert.strictEqual(wrong.headers.get("allow"), "GET, POST")
      assert.strictEqual((yield* problem(wrong)).detail, "/agents/tasks takes GET, POST, not PUT.")
      assert.strictEqual((yield* call("/agents/tasks", { method: "HEAD" })).status, 200)
      assert.strictEqual((yield* call("/agents/tasks/%ed%a0%80")).status, 400)
    }))

  it.live("the host answers all paths outside the prefix, with its own 404", () =>
    Effect.gen(function*() {
      const { call } = yield* serve({ prefix: "/agents" })
      assert.strictEqual(yield* body(yield* call("/hello")), "Hello")
      const foreign: ReadonlyArray<readonly [string, string]> = [
        ["GET", "/nothing"],
        ["GET", "/tasks"],
        ["PUT", "/tasks"],
        ["DELETE", "/hello"],
        ["GET", "/agentsx"],
        ["GET", "/health"],
        ["GET", "/docs"],
        ["GET", "/%ed%a0%80"]
      ]
      for (const [method, path] of foreign) {
        const response = yield* call(path, { method })
        assert.strictEqual(response.status, 404, path)
        assert.strictEqual(yield* body(response), "", path)
      }
    }))

  it.live("a route of the host for all paths does not get the requests under the prefix", () =>
    Effect.gen(function*() {
      const { call } = yield* serve({
        prefix: "/agents",
        host: HttpRouter.add("*", "/*", HttpServerResponse.text("the application", { status: 200 }))
      })
      assert.strictEqual(yield* body(yield* call("/anything", { method: "PUT" })), "the application")
      assert.strictEqual((yield* call("/agents/tasks", { method: "PUT" })).status, 405)
      assert.strictEqual((yield* call("/agents/nothing")).status, 404)
      assert.strictEqual((yield* call("/agents/tasks")).status, 200)
    }))

  it.live("when the application ends, its event streams end first, with a retry hint", () =>
    Effect.gen(function*() {
      const { call, close } = yield* serve({ prefix: "/agents", retry: "2 seconds" })
      const { id } = yield* json(yield* call("/agents/tasks", post({ message: "hold" })))
      const stream = yield* call(`/agents/tasks/${id}/events`)
      const rest = yield* Effect.forkChild(body(stream))
      yield* close
      const text = yield* Fiber.join(rest)
      assert.isTrue(text.endsWith("retry: 2000\n\n"), text)
    }))
})

describe("a web-standard handler", () => {
  it.effect("answers requests under its prefix, and streams events", () =>
    Effect.gen(function*() {
      const call = yield* makeCall({ server: { prefix: "/api/agents" } })
      const started = yield* call("/api/agents/tasks", post({ message: "a b" }))
      const { id } = yield* json(started)
      assert.strictEqual(started.headers.get("location"), `/api/agents/tasks/${id}`)
      const events = yield* call(`/api/agents/tasks/${id}/events`)
      assert.strictEqual(events.headers.get("content-type"), "text/event-stream")
      assert.include(yield* body(events), "\"type\":\"done\"")
      const foreign = yield* call("/elsewhere")
      assert.strictEqual(foreign.status, 404)
      assert.strictEqual(yield* body(foreign), "")
    }))

  /** A handler, and a queue that gets a value whenever an event stream of its manager has ended. */
  const makeWeb = Effect.gen(function*() {
    const ended = yield* Queue.unbounded<void>()
    const manager = Layer.effect(
      TaskManager,
      Effect.map(TaskManager, (inner) =>
        TaskManager.of({
          ...inner,
          open: (id, options) =>
            Effect.map(inner.open(id, options), ({ events, task }) => ({
              task,
              events: Stream.ensuring(events, Queue.offer(ended, undefined))
            }))
        }))
    ).pipe(Layer.provideMerge(layerMemory(makeEcho())))
    const web = Server.toWebHandler(Layer.merge(manager, layerLocal))
    yield* Effect.addFinalizer(() => Effect.promise(() => web.dispose()))
    const call: Call = (path, init) =>
      Effect.promise(() => web.handler(new Request(`http://localhost:3000${path}`, init)))
    return { call, streamEnded: Queue.take(ended), dispose: Effect.promise(() => web.dispose()) }
  })

  /** Starts a task that waits, and opens its event stream. Returns when the stream has sent its first event. */
  const watched = (call: Call, init?: RequestInit) =>
    Effect.gen(function*() {
      const { id } = yield* json(yield* call("/tasks", post({ message: "hold" })))
      const response = yield* call(`/tasks/${id}/events`, init)
      assert(response.body !== null)
      const reader = response.body.getReader()
      let seen = ""
      while (!seen.includes("\"ack\"")) {
        seen += new TextDecoder().decode((yield* Effect.promise(() => reader.read())).value)
      }
      return { id, reader }
    })

  it.live("P6: when the body is cancelled or the request is aborted, the stream ends and the task goes on", () =>
    Effect.gen(function*() {
      const web = yield* makeWeb
      const cancelled = yield* watched(web.call)
      yield* Effect.promise(() => cancelled.reader.cancel())
      yield* web.streamEnded
      const scope = yield* Scope.make()
      const signal = yield* Scope.provide(Effect.abortSignal, scope)
      const aborted = yield* watched(web.call, { signal })
      yield* Scope.close(scope, Exit.void)
      yield* Effect.exit(Effect.tryPromise(() => aborted.reader.closed))
      yield* web.streamEnded
      for (const { id } of [cancelled, aborted]) {
        assert.include(["queued", "running"], (yield* json(yield* web.call(`/tasks/${id}`))).status)
      }
    }))

  it.live("`dispose` ends its streams with a retry hint", () =>
    Effect.gen(function*() {
      const web = yield* makeWeb
      const { reader } = yield* watched(web.call)
      yield* web.dispose
      let rest = ""
      for (;;) {
        const { done, value } = yield* Effect.promise(() => reader.read())
        if (done) break
        rest += new TextDecoder().decode(value)
      }
      assert.isTrue(rest.endsWith("retry: 1000\n\n"), rest)
    }))
})

describe("P12: a server without users", () => {
  const serveLocal = (http: ReturnType<typeof NodeServer.layer>) =>
    Layer.build(
      Server.layer().pipe(
        Layer.provide([layerMemory(makeEcho()), Tokens.layerLocal]),
        Layer.provide(http)
      )
    ).pipe(Effect.scoped)

  it.live("does not start on a non-loopback address, with `NodeServer` and with another `HttpServer`", () =>
    Effect.gen(function*() {
      for (const host of ["0.0.0.0", "::"]) {
        const servers = [
          NodeServer.layer({ host, port: 0 }),
          NodeHttpServer.layer(() => createServer(), { host, port: 0 })
        ]
        for (const http of servers) {
          const error = yield* Effect.flip(serveLocal(http))
          assert(error._tag === "NotLoopback")
          assert.match(
            error.message,
            /^A server without users must listen on a loopback address such as 127\.0\.0\.1, not on http:\/\/\S+\. Use Tokens\.layer to serve others\.$/
          )
        }
      }
    }))

  it.live("starts on a loopback address", () =>
    Effect.forEach(
      ["127.0.0.1", "localhost", "127.0.0.2"],
      (host) => serveLocal(NodeServer.layer({ host, port: 0 }))
    ))
})
