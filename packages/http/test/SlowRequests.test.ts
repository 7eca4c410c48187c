/** A request that does not arrive is answered 408, and its connection is closed. */
import { assert, describe, it } from "@effect/vitest"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import { Context, Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { connect } from "node:net"
import { layerLocal, layerMemory, makeEcho } from "./support.ts"

/** Sends a part of a request, and returns all that the server sends until it closes the connection. */
const answerTo = (port: number, part: string) =>
  Effect.callback<string>((resume) => {
    const socket = connect(port, "127.0.0.1", () => socket.write(part))
    let received = ""
    socket.setEncoding("utf8")
    socket.on("data", (text) => received += String(text))
    socket.on("close", () => resume(Effect.succeed(received)))
    socket.on("error", () => {})
    return Effect.sync(() => socket.destroy())
  })

const start = "POST /tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"

const cases = [
  ["headers", { headersTimeout: "100 millis" }, start],
  ["body", { headersTimeout: "100 millis", requestTimeout: "200 millis" }, `${start}Content-Length: 100\r\n\r\n{`]
] as const

describe("a client that stops in the middle of a request", () => {
  for (const [part, timeouts, sent] of cases) {
    it.live(`in its ${part}, is answered 408 and disconnected`, () =>
      Effect.gen(function*() {
        const context = yield* Layer.build(
          Server.layer().pipe(
            Layer.provide([layerMemory(makeEcho()), layerLocal]),
            Layer.provideMerge(NodeServer.layer({ port: 0, ...timeouts }))
          )
        )
        const { address } = Context.get(context, HttpServer.HttpServer)
        const port = Number(new URL(HttpServer.formatAddress(address)).port)
        assert.match(yield* answerTo(port, sent), /^HTTP\/1\.1 408 /)
      }).pipe(Effect.scoped))
  }
})
