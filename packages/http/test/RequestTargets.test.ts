/** A request target that is no URL is answered like any other path that does not exist. */
import { assert, it } from "@effect/vitest"
import * as NodeServer from "@perennial/http/NodeServer"
import * as Server from "@perennial/http/Server"
import { Context, Effect, Layer } from "effect"
import { HttpServer } from "effect/http"
import { connect } from "node:net"
import { layerLocal, layerMemory, makeEcho } from "./support.ts"

const get = (port: number, target: string) =>
  Effect.callback<string>((resume) => {
    const socket = connect(
      port,
      "127.0.0.1",
      () => socket.write(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
    )
    let received = ""
    socket.setEncoding("utf8")
    socket.on("data", (text) => received += String(text))
    socket.on("close", () => resume(Effect.succeed(received)))
    return Effect.sync(() => socket.destroy())
  })

it.live("a target that is no URL is 404, with a ticket or without one", () =>
  Effect.gen(function*() {
    const context = yield* Layer.build(
      Server.layer().pipe(
        Layer.provide([layerMemory(makeEcho()), layerLocal]),
        Layer.provideMerge(NodeServer.layer({ port: 0 }))
      )
    )
    const { address } = Context.get(context, HttpServer.HttpServer)
    const port = Number(new URL(HttpServer.formatAddress(address)).port)
    for (const target of ["http://[", "http://:99999/x", "http://[?ticket=a", "//["]) {
      assert.match(yield* get(port, target), /^HTTP\/1\.1 404 /, target)
    }
  }).pipe(Effect.scoped))
