import { NodeHttpServerRequest } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as Faces from "@perennial/http/Faces"
import * as NodeServer from "@perennial/http/NodeServer"
import { ConfigProvider, Context, Effect, Exit, Fiber, Latch, Layer, Scope } from "effect"
import { HttpRouter, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { connect, type Socket } from "node:net"
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

/** The OpenAPI document of a server. */
const documentOf = ({ address }: HttpServer.HttpServer["Service"]) =>
  Effect.promise(async () => (await fetch(`${HttpServer.formatAddress(address)}/openapi.json`)).text())

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

describe("the shutdown", () => {
  const emitted = (socket: Socket, event: "readable" | "close") =>
    Effect.callback<void>((resume) => void socket.once(event, () => resume(Effect.void)))

  /** How many bytes arrive until the server closes the connection. */
  const received = (socket: Socket) =>
    Effect.callback<number>((resume) => {
      let bytes = 0
      socket.on("data", (data) => bytes += data.length)
      socket.on("close", () => resume(Effect.succeed(bytes)))
    })

  it.live("does not cut a response that is on its way when another response ends", () =>
    Effect.gen(function*() {
      // More than the buffers of two sockets hold.
      const large = new Uint8Array(64 * 1024 * 1024)
      const scope = yield* Scope.make()
      const path = (name: "large" | "small", response: HttpServerResponse.HttpServerResponse) => {
        const arrived = Latch.makeUnsafe()
        const answer = Latch.makeUnsafe()
        const handler = Effect.as(Effect.andThen(arrived.open, answer.await), response)
        return { name, arrived, answer, route: HttpRouter.add("GET", `/${name}`, handler) }
      }
      const paths = [
        path("large", HttpServerResponse.uint8Array(large)),
        path("small", HttpServerResponse.text("small"))
      ] as const
      const context = yield* Layer.buildWithScope(
        HttpRouter.serve(Layer.merge(paths[0].route, paths[1].route), { disableLogger: true, disableListenLog: true })
          .pipe(Layer.provideMerge(NodeServer.layer({ port: 0 }))),
        scope
      )
      const { address } = Context.get(context, HttpServer.HttpServer)
      const port = Number(new URL(HttpServer.formatAddress(address)).port)
      const ask = ({ arrived, name }: typeof paths[number]) => {
        const socket = connect(
          port,
          "127.0.0.1",
          () => socket.write(`GET /${name} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
        )
        socket.on("error", () => {})
        return Effect.as(arrived.await, socket)
      }
      const [slow, quick] = yield* Effect.all([ask(paths[0]), ask(paths[1])])
      const closed = yield* Effect.forkChild(Scope.close(scope, Exit.void), { startImmediately: true })
      yield* paths[0].answer.open
      // The reader of the large response reads no more than its beginning.
      yield* emitted(slow, "readable")
      yield* paths[1].answer.open
      yield* emitted(quick.resume(), "close")
      assert.isAbove(yield* received(slow), large.length)
      yield* Fiber.join(closed)
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

  it.live("mounts the faces of PERENNIAL_FACES, by default all", () =>
    Effect.gen(function*() {
      const all = ["/ai-sdk/chat", "/v1/responses", "/ag-ui", "/a2a/{agentId}", "/threads", "/mcp"]
      const faces = Effect.fnUntraced(function*(settings: Record<string, string>) {
        const document = yield* documentOf(yield* serve({ PORT: "0", ...settings }))
        return all.filter((path) => document.includes(`"${path}"`))
      })
      assert.deepStrictEqual(yield* faces({}), all)
      assert.deepStrictEqual(yield* faces({ PERENNIAL_FACES: "openai" }), ["/v1/responses"])
      assert.deepStrictEqual(yield* faces({ PERENNIAL_FACES: "none" }), [])
      const error = yield* Effect.flip(serve({ PORT: "0", PERENNIAL_FACES: "gopher" }))
      assert.strictEqual(
        error._tag === "ConfigError" ? error.cause.message : "",
        `PERENNIAL_FACES=gopher is not valid. Accepted: ${Faces.accepted}.`
      )
    }).pipe(Effect.scoped))
})
