import { NodeServices } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { FakeAnthropic } from "@perennial/runtime/FakeAnthropic"
import { Effect, Latch, Layer, Redacted } from "effect"
import { ChildProcessSpawner } from "effect/process"
import { withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { isInstalled, ownServer } from "../../packages/backends/test/support/postgresServer.ts"
import { refused } from "../evergreen/server.ts"
import * as Rest from "../support/rest.ts"
import * as Sse from "../support/sse.ts"
import * as TwoServers from "../support/twoServers.ts"

const layer = Layer.merge(FakeAnthropic.layer, NodeServices.layer)

withPostgres("servers on a PostgreSQL that fails", () => {
  it.live.skipIf(!isInstalled)(
    "P3, P5, SCENARIO 11: a streaming task goes on after a restart of PostgreSQL; readers on both servers get all events",
    () =>
      Effect.gen(function*() {
        const database = yield* ownServer
        const { a, b, fake } = yield* TwoServers.start(Redacted.value(database.url))
        const words = Array.from({ length: 150 }, (_, i) => `word${i} `)
        for (const mode of ["fast", "immediate"] as const) {
          const isDown = yield* Latch.make()
          yield* fake.push({
            actions: [
              { text: words.slice(0, 20) },
              { run: isDown.await },
              { drip: 10 },
              { text: words.slice(20) }
            ]
          })
          const id = yield* Rest.start(a.address, { message: "Talk.", conversationId: mode })
          const readers = yield* Effect.forEach([a, b], ({ address }) => Sse.connect(`${address}/tasks/${id}/events`))
          const seen = yield* Effect.forEach(readers, (reader) =>
            Sse.readUntil(reader, ({ data }) => data.type === "text"))
          yield* database.stop(mode)
          yield* isDown.open
          yield* database.start
          for (const [i, reader] of readers.entries()) {
            const { end, events } = yield* Sse.readAll(reader)
            const watched = [...seen[i] ?? [], ...events]
            Sse.assertExact(watched)
            assert.deepStrictEqual([end, watched.at(-1)?.data.type], ["end", "done"])
            const text = watched.flatMap(({ data }) =>
              data.type === "text" ? [data["content"]] : []
            )
            assert.strictEqual(text.join(""), words.join(""))
          }
          assert.deepInclude((yield* Rest.get(`${b.address}/tasks/${id}`)).body, { status: "completed", attempt: 1 })
        }
      }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.live("a database that cannot be reached is refused with one line", () =>
    Effect.gen(function*() {
      const { code, lines } = yield* refused({ PERENNIAL_STORE: "postgres://eve:secret@127.0.0.1:1/perennial" })
      assert.strictEqual(code, ChildProcessSpawner.ExitCode(1))
      assert.strictEqual(lines.length, 1)
      const refusal = "PERENNIAL_STORE=postgres://<hidden>@127.0.0.1:1/perennial cannot be used: connect ECONNREFUSED"
      assert.isTrue(lines[0]?.startsWith(refusal), lines[0])
    }).pipe(Effect.provide(NodeServices.layer)))
})
