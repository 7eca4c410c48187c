/**
 * A proxy before a server, as bad as proxies are: it rewrites `Host`, holds answers back until it has many bytes or some time
 * has passed, cuts connections after any byte, and leaves connections half-open: it accepts them, or passes some bytes on, and
 * then sends nothing more, not even the end of the connection.
 */
// Sockets call back, outside of any fiber.
// @effect-diagnostics globalTimers:off
import { Effect } from "effect"
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"

/** What a proxy does to one connection: after so many bytes of the answer, it cuts it or is silent. */
interface Fate {
  readonly end: "cut" | "silence"
  readonly after: number
}

/** How often what happened. */
export interface ProxyCounts {
  connections: number
  cut: number
  halfOpen: number
}

export interface Proxy {
  readonly address: string
  readonly counts: Readonly<ProxyCounts>
}

/** The name by which proxies address servers. */
const host = "upstream.internal:8080"

/** It passes on what it has when it has so many bytes, or after so many milliseconds. */
const heldBytes = 2_048
const heldMillis = 150

/** Half of the connections are whole, so that clients get on. A prime number of bytes falls on any byte in the end. */
const fateOf = (n: number): Fate => {
  const few = (n * 7_919) % 400
  const many = (n * 7_919) % 20_000
  const round = Math.floor(n / 8)
  // Another order in each round: clients that connect in turn get each of them.
  switch ((n + 3 * round) % 8) {
    case 1:
      return { end: "silence", after: 0 }
    case 3:
      return { end: "cut", after: few }
    case 5:
      return round % 2 === 0 ? { end: "cut", after: 0 } : { end: "silence", after: many }
    case 7:
      return { end: "cut", after: many }
    default:
      return { end: "cut", after: Infinity }
  }
}

/** The head of a request as the server gets it: with another `Host`, and the only one of its connection. */
const rewritten = (head: string): string =>
  head.replace(/^connection:.*\r\n/im, "").replace(/^host:.*$/im, `Host: ${host}\r\nConnection: close`)

/** Calls back with the first request of a connection, rewritten, as far as it has come. */
const onRequest = (client: Socket, resume: (request: Buffer) => void): void => {
  let head = ""
  const collect = (bytes: Buffer) => {
    // Each byte is a character.
    head += bytes.toString("latin1")
    const end = head.indexOf("\r\n\r\n")
    if (end < 0) return
    client.off("data", collect)
    resume(Buffer.from(rewritten(head.slice(0, end)) + head.slice(end), "latin1"))
  }
  client.on("data", collect)
}

/** Passes an answer on to the client, in large pieces, until its fate. */
const deliver = (upstream: Socket, client: Socket, { after, end: fate }: Fate, counts: ProxyCounts): void => {
  let held: Array<Buffer> = []
  let room = after
  let timer: NodeJS.Timeout | undefined
  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    const bytes = Buffer.concat(held)
    held = []
    if (bytes.length < room) {
      room -= bytes.length
      if (bytes.length > 0 && !client.write(bytes)) upstream.pause()
      return
    }
    upstream.destroy()
    if (fate === "silence") counts.halfOpen++
    else counts.cut++
    client.write(bytes.subarray(0, room), () => {
      if (fate === "cut") client.resetAndDestroy()
    })
    room = 0
  }
  upstream.on("data", (bytes: Buffer) => {
    held.push(bytes)
    timer ??= setTimeout(flush, heldMillis)
    if (held.reduce((sum, { length }) => sum + length, 0) >= heldBytes) flush()
  })
  upstream.on("end", () => {
    flush()
    if (room > 0) client.end()
  })
  upstream.on("error", () => client.destroy())
  client.on("drain", () => upstream.resume())
  client.on("close", () => {
    clearTimeout(timer)
    upstream.destroy()
  })
}

/** A proxy on a free port, before the server at an address, until the end of the scope. */
export const make = Effect.fnUntraced(function*(addressOf: () => string) {
  const counts: ProxyCounts = { connections: 0, cut: 0, halfOpen: 0 }
  const clients = new Set<Socket>()
  const server = createServer((client) => {
    clients.add(client)
    client.on("close", () => clients.delete(client))
    // A client that has given up resets it.
    client.on("error", () => client.destroy())
    const fate = fateOf(counts.connections++)
    onRequest(client, (request) => {
      if (fate.end === "silence" && fate.after === 0) {
        counts.halfOpen++
        return
      }
      const upstream = connect(Number(new URL(addressOf()).port), "127.0.0.1")
      deliver(upstream, client, fate, counts)
      upstream.write(request)
      client.pipe(upstream)
    })
  })
  yield* Effect.acquireRelease(
    Effect.promise(() => once(server.listen(0, "127.0.0.1"), "listening")),
    () =>
      Effect.sync(() => {
        server.close()
        for (const client of clients) client.destroy()
      })
  )
  const { port } = server.address() as AddressInfo
  const proxy: Proxy = { address: `http://127.0.0.1:${port}`, counts }
  return proxy
})
