import { assert, describe, it } from "@effect/vitest"
import { Effect, Option } from "effect"
import { once } from "node:events"
import { createServer } from "node:http"
import { type AddressInfo, connect } from "node:net"
import * as Proxy from "./proxy.ts"

/** More than the bytes after which some connections are cut. */
const padding = "-".repeat(400)

/** Answers with the `Host` that it was asked by, and the body. */
const echo = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer(async (request, response) => {
        let body = ""
        for await (const text of request.setEncoding("utf8")) body += text
        response.end(`${request.headers.host} ${request.headers.connection} ${body} ${padding}`)
      })
      await once(server.listen(0, "127.0.0.1"), "listening")
      return server
    }),
    (server) => Effect.sync(() => server.close())
  ),
  (server) => `http://127.0.0.1:${(server.address() as AddressInfo).port}`
)

const ask = (address: string) =>
  Effect.tryPromise(async (signal) => {
    const response = await fetch(address, { method: "POST", body: "a body – with an emoji 🌲", signal })
    return await response.text()
  })

describe("the proxy of fault runs", () => {
  it.live("rewrites Host, and passes on a whole request and answer", () =>
    Effect.gen(function*() {
      const server = yield* echo
      const proxy = yield* Proxy.make(() => server)
      const answer = yield* ask(proxy.address)
      assert.strictEqual(answer, `upstream.internal:8080 close a body – with an emoji 🌲 ${padding}`)
      assert.deepStrictEqual(proxy.counts, { connections: 1, cut: 0, halfOpen: 0 })
    }))

  it.live("cuts connections, and leaves others half-open", () =>
    Effect.gen(function*() {
      const proxy = yield* Proxy.make(yield* Effect.map(echo, (server) => () => server))
      const whole = yield* ask(proxy.address)
      // The second connection is accepted, and never answered: not even ended.
      const socket = connect(Number(new URL(proxy.address).port), "127.0.0.1")
      const heard: Array<string> = []
      for (const event of ["data", "end", "error", "close"]) socket.on(event, () => heard.push(event))
      yield* Effect.promise(() => once(socket, "connect"))
      socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
      const others = yield* Effect.forEach([2, 3, 4, 5, 6], () => Effect.option(ask(proxy.address)))
      assert.deepStrictEqual(others.map(Option.getOrUndefined), [whole, undefined, whole, undefined, whole])
      assert.strictEqual(proxy.counts.cut, 2)
      assert.strictEqual(proxy.counts.halfOpen, 1)
      assert.deepStrictEqual(heard, [])
      socket.destroy()
    }))
})
