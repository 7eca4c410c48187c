/** What `perennial doctor` finds when something is wrong. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Clock, DateTime, Duration, Effect, FileSystem, Logger } from "effect"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { DatabaseSync } from "node:sqlite"
import { freePort } from "../../backends/test/support/freePort.ts"
import { hurried } from "../../backends/test/support/hurried.ts"
import { makeDatabase, readOnly, withPostgres } from "../../backends/test/support/postgres.ts"
import { type Options, perennial } from "./cli.ts"
import { makeManager, serve } from "./nodeServer.ts"
import { makeEcho } from "./support.ts"

interface Check {
  readonly name: string
  readonly state: string
  readonly detail: string
}

/** The exit code, and the check with a name. */
const examine = Effect.fnUntraced(function*(name: string, args: ReadonlyArray<string>, options?: Options) {
  const { code, out } = yield* perennial(["doctor", "--json", ...args], options)
  const answer: { readonly ok: boolean; readonly checks: ReadonlyArray<Check> } = JSON.parse(out)
  assert.strictEqual(answer.ok, code === 0)
  const { detail = "", state } = answer.checks.find((check) => check.name === name) ?? {}
  return { code, state, detail }
})

/** A server that says only what a test wants it to say. */
const pretender = Effect.fnUntraced(function*(answers: Readonly<Record<string, unknown>>, date: DateTime.Utc) {
  const server = createServer((request, response) => {
    const answer = answers[request.url ?? ""]
    response.writeHead(answer === undefined ? 404 : 200, {
      date: DateTime.toDateUtc(date).toUTCString(),
      "content-type": "application/json"
    })
    response.end(JSON.stringify(answer))
  })
  yield* Effect.acquireRelease(
    Effect.callback<void>((resume) => void server.listen(0, "127.0.0.1", () => resume(Effect.void))),
    () =>
      Effect.sync(() => {
        server.closeAllConnections()
        server.close()
      })
  )
  const { port } = server.address() as AddressInfo
  return ["--server", `http://127.0.0.1:${port}`]
})

const hour = Duration.toMillis("1 hour")

/** The clock of this machine is an hour slow. */
const slow = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.flatMap(Clock.Clock, (clock) => {
    const time = () => clock.currentTimeMillisUnsafe() - hour
    return Effect.provideService(
      effect,
      Clock.Clock,
      Object.assign(Object.create(clock), { currentTimeMillisUnsafe: time, currentTimeMillis: Effect.sync(time) })
    )
  })

const directory = Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped())

describe("perennial doctor", () => {
  it.live("says that nothing is wrong with a server", () =>
    Effect.gen(function*() {
      const { port } = yield* serve(yield* makeManager(makeEcho()))
      const { code, out } = yield* perennial(["doctor", "--server", `http://127.0.0.1:${port}`])
      assert.strictEqual(code, 0)
      assert.deepStrictEqual(
        out.trim().split("\n").map((line) => line.split(/ {2,}/).slice(0, 2).join(" ")),
        ["versions", "settings", "server", "ready", "api", "token", "streams", "clock"].map((name) => `ok ${name}`)
      )
    }).pipe(Effect.scoped))

  it.live("a server whose clock is wrong", () =>
    Effect.gen(function*() {
      const at = yield* pretender({ "/health": { ok: true } }, DateTime.add(yield* DateTime.now, { hours: 1 }))
      const { detail, state } = yield* examine("clock", at)
      assert.strictEqual(state, "warning")
      assert.match(detail, /^The clock of the server differs by \d{4} s from this machine's\./)
    }).pipe(Effect.scoped))

  it.live("a server of another version: it lacks endpoints", () =>
    Effect.gen(function*() {
      const at = yield* pretender(
        { "/health": { ok: true }, "/openapi.json": { paths: { "/tasks": {} } } },
        yield* DateTime.now
      )
      const { detail, state } = yield* examine("api", at)
      assert.strictEqual(state, "warning")
      assert.match(detail, /^The server is older or newer than this program: it does not have .*\/tasks\/\{id\}/)
    }).pipe(Effect.scoped))

  it.live("a server that cannot be reached, and an address of something else", () =>
    Effect.gen(function*() {
      const nobody = `http://127.0.0.1:${yield* Effect.promise(freePort)}`
      const away = yield* examine("server", ["--server", nobody])
      assert.deepStrictEqual([away.code, away.state], [1, "wrong"])
      assert.match(away.detail, /ECONNREFUSED/)
      const other = yield* examine("server", yield* pretender({}, yield* DateTime.now))
      assert.deepStrictEqual([other.code, other.state], [1, "wrong"])
      assert.match(other.detail, /\/health answered 404: this is no server of Perennial\./)
    }).pipe(Effect.scoped))

  it.live("settings: a wrong value, and a variable that is none, with the one that is meant", () =>
    Effect.gen(function*() {
      const store = ["--store", "memory"]
      const wrong = yield* examine("settings", store, { env: { PORT: "eighty" } })
      assert.deepStrictEqual([wrong.code, wrong.state], [1, "wrong"])
      assert.match(wrong.detail, /PORT=eighty is not valid\. Accepted: a whole number/)
      const unknown = yield* examine("settings", store, {
        env: {
          PERENNIAL_TOKNES: "alice:hunter2",
          PERENNIAL_SERVER: "http://127.0.0.1",
          PERENNIAL_TEST_REDIS: "x",
          PATH: "/"
        }
      })
      assert.deepStrictEqual([unknown.code, unknown.state], [0, "warning"])
      assert.strictEqual(
        unknown.detail,
        "Variables that are no settings are ignored: PERENNIAL_TOKNES (is PERENNIAL_TOKENS meant?)."
      )
    }))

  it.live("a store of a newer version, one that cannot be opened, and one that is none", () =>
    Effect.gen(function*() {
      const file = join(yield* directory, "test.db")
      assert.strictEqual((yield* examine("store", ["--store", `sqlite:${file}`])).state, "ok")
      const database = new DatabaseSync(file)
      database.exec("INSERT INTO perennial_migrations (migration_id, name) VALUES (9000, 'of_the_future')")
      database.close()
      const newer = yield* examine("store", ["--store", `sqlite:${file}`])
      assert.deepStrictEqual([newer.code, newer.state], [1, "wrong"])
      assert.match(
        newer.detail,
        /The tables of the database have version 9000, and this version of Perennial knows \d+ at most/
      )
      const closed = yield* examine("store", ["--store", "sqlite:/proc/none/test.db"])
      assert.deepStrictEqual([closed.code, closed.state], [1, "wrong"])
      assert.match(closed.detail, /^sqlite:\/proc\/none\/test\.db cannot be used: /)
      const none = yield* examine("store", ["--store", "mysql://eve:hunter2@db/p"])
      assert.deepStrictEqual([none.code, none.state], [1, "wrong"])
      assert.notInclude(none.detail, "hunter2")
    }).pipe(Effect.scoped, Effect.provide(NodeServices.layer)))

  it.live("stores that cannot be reached", () =>
    Effect.gen(function*() {
      const port = yield* Effect.promise(freePort)
      for (const store of [`postgres://eve:hunter2@127.0.0.1:${port}/p`, `redis://:hunter2@127.0.0.1:${port}`]) {
        const { code, detail, state } = yield* hurried(examine("store", ["--store", store]))
        assert.deepStrictEqual([code, state], [1, "wrong"])
        assert.match(detail, /ECONNREFUSED/)
        assert.notInclude(detail, "hunter2")
      }
    }))
})

withPostgres("perennial doctor on PostgreSQL", (url) => {
  it.live("a store that is read-only", () =>
    Effect.gen(function*() {
      const database = yield* makeDatabase(url)
      const store = ["--store", database.url]
      assert.strictEqual((yield* examine("writes", store)).state, "ok")
      yield* readOnly(url, database.name, true)
      const { code, detail, state } = yield* hurried(examine("store", store))
      assert.deepStrictEqual([code, state], [1, "wrong"])
      assert.match(detail, /cannot be used: The database accepts no writes: `default_transaction_read_only` is on/)
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))))

  it.live("a machine whose clock differs from that of the store", () =>
    Effect.gen(function*() {
      const database = yield* makeDatabase(url)
      const { code, detail, state } = yield* slow(examine("clock", ["--store", database.url]))
      assert.deepStrictEqual([code, state], [0, "warning"])
      assert.match(detail, /^The clock of the store differs by \d{4} s from this machine's\. .* set both clocks\.$/)
    }).pipe(Effect.scoped))
})
