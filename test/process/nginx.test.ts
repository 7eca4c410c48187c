/** A real nginx with the configuration of deploy/nginx.conf, in front of a server. */
import { assert, describe, it } from "@effect/vitest"
import { read } from "@perennial/http/EventReader"
import { Deferred, Effect, Fiber } from "effect"
import { makeManager, serve } from "../../packages/http/test/nodeServer.ts"
import { makeEcho, post } from "../../packages/http/test/support.ts"
import * as Nginx from "../support/nginx.ts"

if (!Nginx.isInstalled) {
  process.stderr.write("Skipped: nginx. There is no nginx; `apt-get install nginx-light` installs it.\n")
}

/** A server with a proxy in front, and a task that waits for `gate` after its first word. */
const proxied = Effect.fnUntraced(function*(buffering?: string) {
  const echo = makeEcho()
  const server = yield* serve(yield* makeManager(echo))
  const nginx = yield* Nginx.start(server.port, buffering)
  const started = yield* Effect.promise(() => fetch(`${nginx.address}/tasks`, post({ message: "one hold two 20x50" })))
  assert.strictEqual(started.status, 201)
  return { echo, nginx, events: `${nginx.address}${started.headers.get("location")}/events` }
})

/** Reads all events. `first` is done when the first word has arrived. */
const follow = Effect.fnUntraced(function*(events: string) {
  const first = yield* Deferred.make<void>()
  const reader = yield* Effect.forkScoped(Effect.promise(async (signal) => {
    const seqs: Array<number> = []
    for await (const { event, seq } of read(events, { signal })) {
      seqs.push(seq)
      if (event.type === "text" && event.content === "one") Deferred.doneUnsafe(first, Effect.void)
    }
    return seqs
  }))
  return { first: Deferred.await(first), all: Fiber.join(reader) }
})

/** `ack`, `started`, three words, 1,000 words, `message` and `done`. */
const everySeq = Array.from({ length: 1_007 }, (_, i) => i + 1)

describe.skipIf(!Nginx.isInstalled)("behind nginx", () => {
  for (const [name, line] of [["on, as in the file", ""], ["off", "proxy_buffering off;"]]) {
    it.live(`with buffering ${name}, events of a running task arrive at once`, () =>
      Effect.gen(function*() {
        const { echo, events } = yield* proxied(line)
        const reader = yield* follow(events)
        // The task does not go on before the first word has passed the proxy.
        yield* reader.first
        yield* echo.gate.open
        assert.deepStrictEqual(yield* reader.all, everySeq)
      }))
  }

  it.live("P3: a reader resumes after nginx was killed in the middle of a stream: every event once and in order", () =>
    Effect.gen(function*() {
      const { echo, events, nginx } = yield* proxied()
      const reader = yield* follow(events)
      yield* reader.first
      yield* nginx.kill
      yield* echo.gate.open
      yield* nginx.start
      assert.deepStrictEqual(yield* reader.all, everySeq)
    }))

  it.live("accepts the largest files of a message", () =>
    Effect.gen(function*() {
      const { nginx } = yield* proxied()
      const data = Buffer.alloc(5 * 1024 * 1024).toString("base64")
      const message = { role: "user", content: [{ type: "file", mediaType: "image/png", data }] }
      const answer = yield* Effect.promise(() => fetch(`${nginx.address}/tasks`, post({ message })))
      assert.strictEqual(answer.status, 201)
    }))
})
