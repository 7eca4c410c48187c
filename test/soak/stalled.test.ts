import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, type Scope } from "effect"
import { join } from "node:path"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { sayIsSkipped } from "../../packages/backends/test/support/redis.ts"
import * as RedisServer from "../../packages/backends/test/support/redisServer.ts"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"
import { directory } from "../support/stores.ts"

/** The message asks for 100,000 events of about 750 bytes. */
const long = `${"x".repeat(600)} 100000`

/** The number of events: the texts, and `ack`, `started`, `message`, `done`. */
const total = 100_004

const mebibytes = (bytes: number) => Math.round(bytes / 1_048_576)

const suite = (database: Effect.Effect<string, never, Scope.Scope>) =>
  it.live(
    "P6, SCENARIO 14: with 100,000 events memory stays bounded, other readers get all events, and the reader resumes",
    (context) =>
      Effect.gen(function*() {
        const server = yield* Server.start({ module: "test/support/pourer.ts", env: { STORE: yield* database } })
        const held = Effect.map(Rest.get(`${server.address}/memory`), ({ body }): number => body)
        // The memory of the server is compared with the memory after the same task without a stalled reader.
        const warm = yield* Rest.start(server.address, { message: long })
        yield* Sse.read(`${server.address}/tasks/${warm}/events`)
        const before = yield* held

        const id = yield* Rest.start(server.address, { message: long })
        const url = `${server.address}/tasks/${id}/events`
        const stalled = yield* Effect.forEach(Array.from({ length: 5 }), () => Sse.connect(url))
        yield* Effect.forEach(stalled, (reader) => reader.stall)
        const fast = yield* Effect.forkChild(Sse.read(url))
        const { end, events } = yield* Fiber.join(fast)
        assert.strictEqual(end, "end")
        Sse.assertExact(events, { to: total })

        const grown = (yield* held) - before
        yield* Effect.promise(() =>
          context.annotate(`the memory of the server grew from ${mebibytes(before)} MiB by ${mebibytes(grown)} MiB`)
        )
        // The log has more than 70 MiB. A buffer for a stalled reader would hold it.
        assert.isBelow(mebibytes(grown), 16)

        for (const reader of stalled) {
          yield* reader.resume
          const first = yield* Sse.readAll(reader)
          const after = first.events.at(-1)?.id ?? 0
          const rest = after === total ? [] : (yield* Sse.read(url, { after })).events
          Sse.assertExact([...first.events, ...rest], { to: total })
        }
      }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)),
    600_000
  )

describe("a reader that never reads, SQLite", () => {
  suite(Effect.map(directory, (path) => join(path, "test.db")))
})

withPostgres("a reader that never reads, PostgreSQL", (server) => {
  suite(Effect.map(makeDatabase(server), ({ url }) => url))
})

if (!RedisServer.isInstalled) sayIsSkipped("a reader that never reads, Redis")
describe.skipIf(!RedisServer.isInstalled)("a reader that never reads, Redis", () => {
  suite(Effect.map(RedisServer.ownServer, ({ url }) => url))
})
