/** A server ends while clients of all faces read: each client ends with the whole answer, from another process. */
import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import * as Process from "../support/server.ts"
import * as Proxy from "./proxy.ts"
import * as Readers from "./readers.ts"

/** Two processes on one database, and a proxy in front of the one or the other. The first has all tasks, and ends none of them. */
const begin = Effect.fnUntraced(function*(url: string) {
  const start = (env: object) => Process.start({ module: "test/faces/process.ts", env: { STORE: url, ...env } })
  const [owner, other] = yield* Effect.all([start({ HOLDS: "yes" }), start({})], { concurrency: 2 })
  yield* other.freeze
  let target = owner
  const { address, requests } = yield* Proxy.make(() => target.port, { cut: "hard", frames: () => Infinity })
  const readers = yield* Readers.begin(address)
  target = other
  yield* other.thaw
  return { owner, requests, end: readers.end }
})

withPostgres("the end of a server", (postgres) => {
  it.live("P8: kill -9: every client ends with the whole answer, and nobody asks in a loop", () =>
    Effect.gen(function*() {
      const { end, owner, requests } = yield* begin((yield* makeDatabase(postgres)).url)
      yield* owner.kill
      const { compare } = yield* end("error")
      assert.isAtMost(requests().length, Readers.fewRequests)
      yield* compare
    }).pipe(Effect.provide(NodeServices.layer)))

  it.live("P8: SIGTERM: streams end after a goodbye, and every client reads on once", () =>
    Effect.gen(function*() {
      const { end, owner, requests } = yield* begin((yield* makeDatabase(postgres)).url)
      yield* owner.terminate
      const { compare } = yield* end("ready")
      assert.isAtMost(requests().length, Readers.fewRequests)
      yield* compare
    }).pipe(Effect.provide(NodeServices.layer)))
})
