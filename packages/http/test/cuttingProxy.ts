import { Effect } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"

/**
 * The number of bytes of a response that may pass. `connection` counts responses from 0, and `text` is the response so far.
 * The proxy cuts the connection when the response reaches this number.
 */
export type Limit = (connection: number, text: string) => number

/** A proxy that cuts connections in the middle of their responses. */
export const makeCuttingProxy = Effect.fnUntraced(function*(target: number, limit: Limit) {
  let connections = 0
  const server = Http.createServer((request, response) => {
    const { headers, method, url } = request
    const upstream = Http.request({ port: target, method, path: url, headers: { ...headers, host: "localhost" } })
    request.pipe(upstream)
    upstream.on("error", () => response.destroy())
    response.on("close", () => upstream.destroy())
    upstream.on("response", (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers)
      const connection = connections++
      let text = ""
      reply.on("data", (chunk: Buffer) => {
        const passed = text.length
        text += chunk.toString("latin1")
        const allowed = limit(connection, text)
        if (passed >= allowed) return
        response.write(Buffer.from(text.slice(passed, allowed), "latin1"), () => {
          if (text.length < allowed) return
          upstream.destroy()
          response.destroy()
        })
      })
      reply.on("error", () => response.destroy())
      reply.on("end", () => response.end())
    })
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => {
      server.listen(0, "127.0.0.1", () => resume(Effect.void))
    }),
    () =>
      Effect.sync(() => {
        server.close()
        server.closeAllConnections()
      })
  )
  return { port: (server.address() as Net.AddressInfo).port, connections: () => connections }
})
