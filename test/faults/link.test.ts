import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { once } from "node:events"
import { type AddressInfo, connect, createServer, type Socket } from "node:net"
import * as Link from "./link.ts"

/** Sends back what it gets. */
const echo = Effect.map(
  Effect.acquireRelease(
    Effect.promise(async () => {
      const server = createServer((socket) => void socket.on("error", () => socket.destroy()).pipe(socket))
      await once(server.listen(0, "127.0.0.1"), "listening")
      return server
    }),
    (server) => Effect.sync(() => server.close())
  ),
  (server) => (server.address() as AddressInfo).port
)

/** A link to it, and connections through the link with what they have heard. */
const linked = Effect.gen(function*() {
  const link = yield* Link.make(0, yield* echo)
  const open = Effect.acquireRelease(
    Effect.sync(() => {
      const socket = connect(link.port, "127.0.0.1")
      const heard: Array<string> = []
      socket.on("data", (bytes) => heard.push(bytes.toString()))
      socket.on("error", () => heard.push("error"))
      return { socket, heard }
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )
  return { link, open }
})

/** An error comes before it. */
const closed = (socket: Socket) =>
  Effect.callback<void>((resume) => void socket.once("close", () => resume(Effect.void)))

const say = (socket: Socket, text: string) =>
  Effect.promise(async () => {
    socket.write(text)
    await once(socket, "data")
  })

describe("the link of fault runs", () => {
  it.live("passes bytes on, and resets connections when it is cut", () =>
    Effect.gen(function*() {
      const { link, open } = yield* linked
      const { heard, socket } = yield* open
      yield* say(socket, "one")
      const ended = yield* Effect.forkChild(closed(socket), { startImmediately: true })
      yield* link.enter("cut")
      yield* Fiber.join(ended)
      const late = yield* open
      yield* closed(late.socket)
      yield* link.enter("whole")
      const next = yield* open
      yield* say(next.socket, "two")
      assert.deepStrictEqual([heard, late.heard, next.heard], [["one", "error"], ["error"], ["two"]])
      assert.strictEqual(link.broken(), 2)
    }))

  it.live("keeps connections while it is silent, and passes on afterwards what was sent meanwhile", () =>
    Effect.gen(function*() {
      const { link, open } = yield* linked
      const { heard, socket } = yield* open
      yield* say(socket, "one")
      yield* link.enter("silent")
      const late = yield* open
      socket.write("two")
      late.socket.write("three")
      // Another link shows that bytes had time to pass.
      const other = yield* linked
      yield* say((yield* other.open).socket, "four")
      assert.deepStrictEqual([heard, late.heard], [["one"], []])
      const answers = Promise.all([once(socket, "data"), once(late.socket, "data")])
      yield* link.enter("whole")
      yield* Effect.promise(() => answers)
      assert.deepStrictEqual([heard, late.heard], [["one", "two"], ["three"]])
    }))
})
