import { Effect } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"

/**
 * The number of bytes of a response that may pass. `connection` counts responses from 0, and `text` is the response so far.
 * The proxy cuts the connection when the response reaches this number.
 */
export type Limit = (connection: number, text: string) => number

export interface Options {
  /** Whether a response is limited, and counts. By default every response is and does. */
  readonly isLimited?: (headers: Http.IncomingHttpHeaders) => boolean
  /** Whether a response that reached its limit ends orderly, as by a proxy with a time limit. By default it is cut. */
  readonly endsOrderly?: (connection: number) => boolean
  readonly onRequest?: (line: string) => void
  readonly onCut?: () => void
}

/** A proxy that cuts connections in the middle of their responses. */
export const makeCuttingProxy = Effect.fnUntraced(function*(
  target: number | (() => number),
  limit: Limit,
  { endsOrderly = () => false, isLimited = () => true, onCut, onRequest }: Options = {}
) {
  let connections = 0
  const server = Http.createServer((request, response) => {
    const { headers, method, url } = request
    onRequest?.(`${method} ${url}`)
    const port = typeof target === "number" ? target : target()
    const upstream = Http.request({ port, method, path: url, headers: { ...headers, host: "localhost" } })
    request.pipe(upstream)
    upstream.on("error", () => response.destroy())
    response.on("close", () => upstream.destroy())
    upstream.on("response", (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers)
      const limited = isLimited(reply.headers)
      const connection = limited ? connections++ : 0
      let text = ""
      reply.on("data", (chunk: Buffer) => {
        const passed = text.length
        text += chunk.toString("latin1")
        const allowed = limited ? limit(connection, text) : Infinity
        if (passed >= allowed) return
        response.write(Buffer.from(text.slice(passed, allowed), "latin1"), () => {
          if (text.length < allowed) return
          onCut?.()
          upstream.destroy()
          if (endsOrderly(connection)) response.end()
          else response.destroy()
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
