/**
 * PostgreSQL for tests: `PERENNIAL_TEST_POSTGRES` if it is set, else a server that answers on the standard local port,
 * else one of this process's own from installed binaries. Without any of them tests are skipped.
 */
import { PgClient } from "@effect/sql-pg"
import { describe, it } from "@effect/vitest"
import { Effect, Layer, Option, Redacted } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { spawn, spawnSync } from "node:child_process"
import { randomUUID } from "node:crypto"
import { once } from "node:events"
import { globSync, mkdtempSync, rmSync } from "node:fs"
import { createServer } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll } from "vitest"

/** The newest installed binaries. Distributions keep them outside of the search path. */
const binaries: string | undefined = [
  ...(process.env["PATH"] ?? "").split(":").map((directory) => `${directory}/initdb`),
  "/usr/lib/postgresql/*/bin/initdb",
  "/usr/local/pgsql/bin/initdb",
  "/opt/homebrew/opt/postgresql*/bin/initdb"
].flatMap((pattern) => globSync(pattern).toSorted().toReversed()).map((file) => dirname(file))[0]

const isRoot = process.getuid?.() === 0

/** Whether a server can be started here. PostgreSQL refuses root: its own user starts it then. */
export const isInstalled = binaries !== undefined && (!isRoot || spawnSync("id", ["postgres"]).status === 0)

/** Runs a command of PostgreSQL to its end. */
const execute = async (command: string, args: ReadonlyArray<string>): Promise<void> => {
  const line = [`${binaries}/${command}`, ...args].map((word) => `'${word}'`).join(" ")
  const [file, prefix] = isRoot ? ["su", ["postgres", "-s", "/bin/sh", "-c"]] : ["/bin/sh", ["-c"]]
  const child = spawn(file, [...prefix, `cd / && ${line}`], { stdio: "ignore" })
  const [status] = await once(child, "exit")
  if (status !== 0) throw new Error(`${command} failed with ${status}`)
}

const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, "127.0.0.1")
  await once(server, "listening")
  const address = server.address()
  server.close()
  await once(server, "close")
  return typeof address === "object" && address !== null ? address.port : Promise.reject(new Error("no port"))
}

/** A server of its own that keeps its data while it is stopped. `immediate` stops it as a crash would. */
const makeServer = async () => {
  const directory = mkdtempSync(join(tmpdir(), "perennial-postgres-"))
  if (isRoot) spawnSync("chown", ["postgres", directory])
  const data = join(directory, "data")
  await execute("initdb", ["-D", data, "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "--no-sync"])
  const port = await freePort()
  return {
    url: Redacted.make(`postgres://postgres@127.0.0.1:${port}/postgres`),
    start: () => {
      const options = `-p ${port} -c listen_addresses=127.0.0.1 -k ${directory}`
      return execute("pg_ctl", ["-D", data, "-w", "start", "-o", options])
    },
    stop: (mode: "fast" | "immediate") => execute("pg_ctl", ["-D", data, "-w", "-m", mode, "stop"]),
    remove: () => rmSync(directory, { recursive: true, force: true })
  }
}

/** A server that can be stopped and started again. It is gone at the end of the scope. */
export const ownServer = Effect.gen(function*() {
  const server = yield* Effect.acquireRelease(
    Effect.promise(makeServer),
    ({ remove }) => Effect.sync(remove)
  )
  const start = Effect.promise(server.start)
  const stop = (mode: "fast" | "immediate") => Effect.promise(() => server.stop(mode))
  yield* Effect.acquireRelease(start, () => stop("immediate"))
  return { url: server.url, start, stop }
})

/** The first of these that answers. */
const answering = Effect.fnUntraced(function*(urls: ReadonlyArray<string>) {
  for (const text of urls) {
    const url = Redacted.make(text)
    const asked = Effect.flatMap(PgClient.PgClient, (sql) => sql`SELECT 1`)
    const client = PgClient.layer({ url, maxConnections: 1, connectTimeout: "2 seconds" })
    if (Option.isSome(yield* Effect.option(Effect.provide(asked, client)))) return url
  }
  return undefined
})

const local = ["postgres", "root"].flatMap((user) =>
  ["test", "postgres"].map((database) => `postgres://${user}@127.0.0.1:5432/${database}`)
)

const find = async (): Promise<Redacted.Redacted | undefined> => {
  const given = process.env["PERENNIAL_TEST_POSTGRES"] ?? ""
  if (given !== "") return Redacted.make(given)
  const running = await Effect.runPromise(answering(local))
  if (running !== undefined || !isInstalled) return running
  const server = await makeServer()
  await server.start()
  afterAll(async () => {
    await server.stop("immediate")
    server.remove()
  })
  return server.url
}

/** The server that all tests share, or undefined when there is none. */
const url = await find()

/** Says in one line what is skipped and what to do about it. */
export const sayIsSkipped = (tests: string): void => {
  process.stderr.write(
    `Skipped: ${tests}. There is no PostgreSQL; \`apt-get install postgresql\` installs and starts one.\n`
  )
}

/** Tests against the shared server, which others may use, too: each may take a minute. Without one they are skipped. */
export const withPostgres = (tests: string, define: (url: Redacted.Redacted) => void): void => {
  const server = url
  if (server !== undefined) {
    describe(tests, { timeout: 60_000 }, () => define(server))
  } else {
    sayIsSkipped(tests)
    describe.skip(tests, () => it("needs PostgreSQL", () => {}))
  }
}

/** How to connect. */
export type Config = Parameters<typeof PgClient.layer>[0]

const administer = (
  url: Redacted.Redacted,
  statement: (sql: SqlClient.SqlClient) => Effect.Effect<unknown, SqlError.SqlError>
) =>
  Effect.flatMap(SqlClient.SqlClient, statement).pipe(
    Effect.provide(PgClient.layer({ url, maxConnections: 1 })),
    Effect.orDie
  )

/** An empty schema, as a configuration of clients that find only this one. It is dropped at the end of the scope. */
export const makeSchema = (url: Redacted.Redacted) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const schema = `perennial_test_${randomUUID().replaceAll("-", "")}`
      const config: Config = {
        url,
        maxConnections: 3,
        applicationName: schema,
        startupParameters: { search_path: schema }
      }
      return Effect.as(administer(url, (sql) => sql`CREATE SCHEMA ${sql(schema)}`), { ...config, schema })
    }),
    ({ schema }) => administer(url, (sql) => sql`DROP SCHEMA ${sql(schema)} CASCADE`)
  )

/** An empty database. It is dropped at the end of the scope, whoever is still connected. */
export const makeDatabase = (server: Redacted.Redacted) =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const name = `perennial_test_${randomUUID().replaceAll("-", "")}`
      const database = new URL(Redacted.value(server))
      database.pathname = `/${name}`
      return Effect.as(administer(server, (sql) => sql`CREATE DATABASE ${sql(name)}`), { name, url: database.href })
    }),
    ({ name }) => administer(server, (sql) => sql`DROP DATABASE ${sql(name)} WITH (FORCE)`)
  )

/** A client in an empty schema of its own each time it is built. */
export const layerEmpty = (url: Redacted.Redacted) =>
  Layer.unwrap(Effect.map(makeSchema(url), (config) => PgClient.layer(config)))
