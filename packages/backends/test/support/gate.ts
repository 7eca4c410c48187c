/**
 * A line to a server that can go dead without being cut: a process that is frozen, or gone without a word, looks like this
 * from the other side.
 */
import { Deferred, Effect } from "effect"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"

/** Listens for connections to a port and passes them on, until one sends the text: it and everything after it is lost. */
export const gate = Effect.fnUntraced(function*(port: number, text: string) {
  const dead = yield* Deferred.make<void>()
  const sockets = new Set<Socket>()
  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((near) => {
        const far = connect({ host: "127.0.0.1", port })
        for (const socket of [near, far]) {
          sockets.add(socket)
          socket.on("error", () => {})
        }
        near.on("data", (chunk) => {
          if (chunk.includes(text)) Deferred.doneUnsafe(dead, Effect.void)
          if (!Deferred.isDoneUnsafe(dead)) far.write(chunk)
        })
        far.on("data", (chunk) => {
          if (!Deferred.isDoneUnsafe(dead)) near.write(chunk)
        })
      }).listen(0, "127.0.0.1")
      await once(server, "listening")
      return server
    }),
    (server) =>
      Effect.sync(() => {
        for (const socket of sockets) socket.destroy()
        server.close()
      })
  )
  const address = server.address()
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    dead: Deferred.await(dead)
  }
})
