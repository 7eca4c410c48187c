/**
 * A connection between two processes that can fail: a port that passes all bytes on to another one, until it is cut, or silent
 * as a network that loses every packet.
 */
import { Effect } from "effect"
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/**
 * `whole`: all bytes pass. `cut`: connections are reset, old and new ones. `silent`: connections are accepted and stay, and
 * nothing passes, not even their end; what was sent meanwhile passes when the link is whole again.
 */
export type State = "whole" | "cut" | "silent"

export interface Link {
  readonly port: number
  readonly enter: (state: State) => Effect.Effect<void>
  /** How many connections were reset, or silent for a while. */
  readonly broken: () => number
}

interface Pair {
  readonly client: Socket
  /** Absent until the link is whole. */
  upstream: Socket | undefined
}

const host = "127.0.0.1"

const sockets = ({ client, upstream }: Pair) => upstream === undefined ? [client] : [client, upstream]

/** A link from this port, or a free one if it is 0, to another port, until the end of the scope. */
export const make = Effect.fnUntraced(function*(from: number, to: number) {
  const pairs = new Set<Pair>()
  let state: State = "whole"
  let broken = 0

  /** The end of one side is the end of the other, unless it is lost. */
  const watch = (pair: Pair, socket: Socket) => {
    socket.setNoDelay()
    socket.on("error", () => socket.destroy())
    socket.on("close", () => {
      if (state !== "silent") end(pair)
    })
  }
  const end = (pair: Pair) => {
    pairs.delete(pair)
    for (const socket of sockets(pair)) socket.destroy()
  }
  const join = (pair: Pair) => {
    if (sockets(pair).some(({ destroyed }) => destroyed)) return end(pair)
    if (pair.upstream === undefined) {
      pair.upstream = connect(to, host)
      watch(pair, pair.upstream)
    }
    pair.client.pipe(pair.upstream)
    pair.upstream.pipe(pair.client)
  }
  const part = ({ client, upstream }: Pair) => {
    if (upstream === undefined) return
    client.unpipe(upstream)
    upstream.unpipe(client)
  }
  const cut = (pair: Pair) => {
    pairs.delete(pair)
    for (const socket of sockets(pair)) socket.resetAndDestroy()
  }

  const server = createServer({ pauseOnConnect: true }, (client) => {
    const pair: Pair = { client, upstream: undefined }
    pairs.add(pair)
    watch(pair, client)
    if (state !== "whole") broken++
    if (state === "whole") join(pair)
    if (state === "cut") cut(pair)
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(from, host), "listening")),
    () =>
      Effect.sync(() => {
        server.close()
        for (const pair of pairs) end(pair)
      })
  )
  const { port } = server.address() as AddressInfo
  const link: Link = {
    port,
    broken: () => broken,
    enter: (next) =>
      Effect.sync(() => {
        if (next === state) return
        state = next
        if (next !== "whole") broken += pairs.size
        for (const pair of pairs) ({ whole: join, cut, silent: part })[next](pair)
      })
  }
  return link
})
