import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Fiber } from "effect"
import { subscribe, unsubscribe } from "node:diagnostics_channel"
import type { Socket } from "node:net"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import { stores } from "../support/stores.ts"
import * as Talker from "../support/talker.ts"

const [[, memory]] = stores

/** The sockets of the server for all connections from now on. */
const accepted = Effect.gen(function*() {
  const sockets: Array<Socket> = []
  const onSocket = (message: unknown) => {
    // Node.js documents this type of the messages of the channel.
    sockets.push((message as { readonly socket: Socket }).socket)
  }
  yield* Effect.acquireRelease(
    Effect.sync(() => subscribe("net.server.socket", onSocket)),
    () => Effect.sync(() => unsubscribe("net.server.socket", onSocket))
  )
  return sockets
})

/** The texts have 20 MB, more than the buffers of two sockets. The other events are `ack`, `started`, `message`, `done`. */
const long = `${"x".repeat(20_000)} 1 gate 1000`
const total = 1_005

it.live(
  "P6: the server disconnects a stalled reader after four heartbeats; the reader gets all other events when it reconnects",
  () => {
    const { agent, gate } = Talker.makeTalker()
    return Effect.gen(function*() {
      const url = `${yield* Talker.address}/tasks`
      const events = `${url}/${yield* Rest.start(yield* Talker.address, { message: long })}/events`
      const sockets = yield* accepted
      const stalled = yield* Sse.connect(events)
      const [socket] = sockets
      assert(socket !== undefined)
      const gone = yield* Deferred.make<void>()
      socket.once("close", () => Deferred.doneUnsafe(gone, Effect.void))
      yield* stalled.stall
      const reading = yield* Effect.forkChild(Sse.read(events))
      yield* gate.open
      yield* Deferred.await(gone)
      const { end, events: all } = yield* Fiber.join(reading)
      assert.strictEqual(end, "end")
      Sse.assertExact(all, { to: total })
      yield* stalled.resume
      const first = yield* Sse.readAll(stalled)
      assert.strictEqual(first.end, "cut")
      const after = first.events.at(-1)?.id ?? 0
      assert.isBelow(after, total)
      Sse.assertExact([...first.events, ...(yield* Sse.read(events, { after })).events], { to: total })
    }).pipe(
      Effect.scoped,
      Effect.provide(Talker.layer(agent, memory, { heartbeat: "1 second", socketTimeout: "4 seconds" }))
    )
  }
)
