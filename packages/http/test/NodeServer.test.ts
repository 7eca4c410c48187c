import { NodeHttpServerRequest } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as NodeServer from "@perennial/http/NodeServer"
import { ConfigProvider, Context, Effect, Layer } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { layerMemory, makeEcho } from "./support.ts"

const serve = (environment: Record<string, string>) =>
  Layer.build(NodeServer.layerConfig().pipe(Layer.provide(layerMemory(makeEcho())))).pipe(
    Effect.map(Context.get(HttpServer.HttpServer)),
    Effect.provideService(ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))
  )

/** The status of the answer to `GET /tasks`. */
const ask = Effect.fnUntraced(
  function*(server: HttpServer.HttpServer["Service"], headers: Record<string, string> = {}) {
    const { address } = server
    const port = "port" in address ? address.port : 0
    return yield* Effect.promise(async () => (await fetch(`http://127.0.0.1:${port}/tasks`, { headers })).status)
  }
)

describe("the idle timeout of a socket", () => {
  /** The timeout of the socket of a request, in milliseconds. */
  const socketTimeout = Effect.fnUntraced(function*(options: Omit<NodeServer.Options, "port">) {
    const server = Effect.map(
      HttpServerRequest.HttpServerRequest,
      (request) => HttpServerResponse.text(String(NodeHttpServerRequest.toIncomingMessage(request).socket.timeout))
    )
    const context = yield* Layer.build(
      HttpRouter.serve(HttpRouter.add("GET", "/tasks", server), { disableLogger: true, disableListenLog: true }).pipe(
        Layer.provideMerge(NodeServer.layer({ port: 0, ...options }))
      )
    )
    const { address } = Context.get(context, HttpServer.HttpServer)
    return yield* Effect.promise(async () =>
      Number(await (await fetch(`${HttpServer.formatAddress(address)}/tasks`)).text())
    )
  }, Effect.scoped)

  it.live("is four heartbeats and at least one minute, so that idle streams are not cut", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* socketTimeout({}), 60_000)
      assert.strictEqual(yield* socketTimeout({ heartbeat: "1 second" }), 60_000)
      assert.strictEqual(yield* socketTimeout({ heartbeat: "1 minute" }), 240_000)
      assert.strictEqual(yield* socketTimeout({ heartbeat: "1 minute", socketTimeout: "3 minutes" }), 180_000)
    }))
})

describe("NodeServer.layerConfig", () => {
  it.live("serves one local user on a loopback address, or only users with a token", () =>
    Effect.gen(function*() {
      assert.strictEqual(yield* ask(yield* serve({ PORT: "0", PERENNIAL_TOKENS: " " })), 200)
      const server = yield* serve({ PORT: "0", HOST: "0.0.0.0", PERENNIAL_TOKENS: "alice:secret" })
      assert.strictEqual(yield* ask(server), 401)
      assert.strictEqual(yield* ask(server, { authorization: "Bearer secret" }), 200)
    }).pipe(Effect.scoped))

  it.live("P12: refuses a non-loopback address if there are no tokens", () =>
    Effect.forEach(["0.0.0.0", "::", "example.org", "127.0.0.1.example.org"], (HOST) =>
      Effect.gen(function*() {
        const error = yield* Effect.flip(Effect.scoped(serve({ PORT: "0", HOST })))
        assert.strictEqual(error._tag, "ConfigError")
        assert.strictEqual(
          error._tag === "ConfigError" ? error.cause.message : "",
          `HOST=${HOST} is not valid. Accepted: a loopback address such as 127.0.0.1, unless PERENNIAL_TOKENS is set.`
        )
      })))
})
