/**
 * A proxy that cuts event streams after a number of frames: hard, in the middle of the body, or orderly, as a proxy with a time
 * limit does.
 */
import { Effect } from "effect"
import * as Http from "node:http"
import type * as Net from "node:net"

export type Cut = "hard" | "orderly"

export interface Options {
  readonly cut: Cut | ((stream: number) => Cut)
  /** How many frames of the n-th event stream, from 0, may pass. */
  readonly frames: (stream: number) => number
}

/** The number of characters up to the end of the `frames`-th frame with data; all of them if there are fewer. */
const allowed = (text: string, frames: number): number => {
  let end = 0
  for (let seen = 0; seen < frames;) {
    const next = text.indexOf("\n\n", end)
    if (next < 0) return Number.POSITIVE_INFINITY
    if (/^data:/m.test(text.slice(end, next))) seen++
    end = next + 2
  }
  return end
}

export const make = Effect.fnUntraced(function*(port: number | (() => number), { cut, frames }: Options) {
  let streams = 0
  let cuts = 0
  const requests: Array<string> = []
  const server = Http.createServer((request, response) => {
    const { headers, method, url } = request
    requests.push(`${method} ${url}`)
    const upstream = Http.request({
      port: typeof port === "number" ? port : port(),
      method,
      path: url,
      headers: { ...headers, host: "localhost" }
    })
    request.pipe(upstream)
    upstream.on("error", () => response.destroy())
    response.on("close", () => upstream.destroy())
    upstream.on("response", (reply) => {
      response.writeHead(reply.statusCode ?? 502, reply.headers)
      const isStream = reply.headers["content-type"] === "text/event-stream"
      const stream = isStream ? streams++ : 0
      const limit = isStream ? frames(stream) : Number.POSITIVE_INFINITY
      let text = ""
      reply.on("data", (chunk: Buffer) => {
        const passed = text.length
        text += chunk.toString("latin1")
        const end = Number.isFinite(limit) ? allowed(text, limit) : limit
        if (passed >= end) return
        response.write(Buffer.from(text.slice(passed, end), "latin1"), () => {
          if (text.length < end) return
          cuts++
          upstream.destroy()
          if ((typeof cut === "string" ? cut : cut(stream)) === "hard") response.destroy()
          else response.end()
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
  const address = server.address() as Net.AddressInfo
  return { address: `http://127.0.0.1:${address.port}`, requests: () => [...requests], cuts: () => cuts }
})

/** Reads a whole stream, and counts its frames. */
export const read = (url: string) =>
  Effect.promise(async () => {
    const text = await (await fetch(url)).text()
    return { text, frames: text.match(/^data: (?!\[DONE\])/gm)?.length ?? 0 }
  })
