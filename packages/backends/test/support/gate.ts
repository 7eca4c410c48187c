/**
 * A proxy in front of a server. Its connections can go dead: they stay open, but forward no data. A frozen process, or a
 * machine that lost its network, looks like this from the other side.
 */
import { Deferred, Effect } from "effect"
import { once } from "node:events"
import { connect, createServer, type Socket } from "node:net"

/** When a connection goes dead, and how. */
interface Fault {
  readonly text: string
  /** Whether the server still gets the text. Then only its answer is lost. */
  readonly arrives: boolean
  /** Whether all connections go dead, or only the one that sent the text. */
  readonly all: boolean
  readonly done: Deferred.Deferred<void>
}

/** Starts the proxy on a free port, in front of the server on `port`. */
export const gate = Effect.fnUntraced(function*(port: number) {
  let fault: Fault | undefined
  let target = port
  let allDead = false
  const sockets = new Set<Socket>()

  const pass = (near: Socket) => {
    let dead = false
    const isDead = () => dead || allDead
    const far = connect({ host: "127.0.0.1", port: target })
    for (const socket of [near, far]) {
      sockets.add(socket)
      socket.on("error", () => {})
    }
    near.on("data", (chunk) => {
      if (isDead()) return
      const met = fault !== undefined && chunk.includes(fault.text) ? fault : undefined
      if (met === undefined || met.arrives) far.write(chunk)
      if (met === undefined) return
      fault = undefined
      dead = true
      allDead = met.all
      Deferred.doneUnsafe(met.done, Effect.void)
    })
    far.on("data", (chunk) => {
      if (!isDead()) near.write(chunk)
    })
    near.on("close", () => !isDead() && far.destroy())
    far.on("close", () => !isDead() && near.destroy())
  }

  const server = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer(pass).listen(0, "127.0.0.1")
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
    /** Connects new connections to another port. Existing connections stay as they are. */
    leadTo: (port: number) => {
      target = port
    },
    /** The next connection that sends the text goes dead. Returns an effect that waits until this has happened. */
    cut: (text: string, options: { readonly arrives?: boolean; readonly all?: boolean } = {}) =>
      Effect.map(Deferred.make<void>(), (done) => {
        fault = { text, arrives: options.arrives === true, all: options.all === true, done }
        return Deferred.await(done)
      })
  }
})
