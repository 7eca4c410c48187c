/**
 * PostgreSQL for tests: schemas and databases of the server in `sharedServers.ts`. Without a server the tests are skipped.
 */
import { PgClient } from "@effect/sql-pg"
import { describe, it } from "@effect/vitest"
import { Effect, Layer, Redacted } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { randomUUID } from "node:crypto"
import { inject } from "vitest"
import { gate } from "./gate.ts"

/** The server that all tests share, or undefined when there is none. */
const address = inject("postgres") || undefined
const url = address === undefined ? undefined : Redacted.make(address)

/** Prints one line: which tests are skipped, and what to do about it. */
export const sayIsSkipped = (tests: string): void => {
  process.stderr.write(
    `Skipped: ${tests}. There is no PostgreSQL; \`apt-get install postgresql\` installs and starts one.\n`
  )
}

/**
 * Defines tests that use the shared server. Each has four minutes, because other programs may load the server, too. Without
 * a server the tests are skipped.
 */
export const withPostgres = (tests: string, define: (url: Redacted.Redacted) => void): void => {
  const server = url
  if (server !== undefined) {
    describe(tests, { timeout: 240_000 }, () => define(server))
  } else {
    sayIsSkipped(tests)
    describe.skip(tests, () => it("needs PostgreSQL", () => {}))
  }
}

export type Config = Parameters<typeof PgClient.layer>[0]

/** Runs a statement on a connection of its own. */
export const administer = <A>(
  url: Redacted.Redacted,
  statement: (sql: SqlClient.SqlClient) => Effect.Effect<A, SqlError.SqlError>
) =>
  Effect.flatMap(SqlClient.SqlClient, statement).pipe(
    Effect.provide(PgClient.layer({ url, maxConnections: 1 })),
    Effect.orDie
  )

/** Creates an empty schema, and returns a configuration of clients that see only this schema. It is dropped with the scope. */
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

/** A gate in front of the server, and the URL of the gate. */
export const gateTo = Effect.fnUntraced(function*(server: Redacted.Redacted) {
  const address = new URL(Redacted.value(server))
  const line = yield* gate(Number(address.port || "5432"))
  address.port = String(line.port)
  return { cut: line.cut, url: Redacted.make(address.href) }
})

/** An empty database, created with these options. It is dropped at the end of the scope, even if clients are connected. */
export const makeDatabase = (server: Redacted.Redacted, options = "") =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const name = `perennial_test_${randomUUID().replaceAll("-", "")}`
      const database = new URL(Redacted.value(server))
      database.pathname = `/${name}`
      return Effect.as(administer(server, (sql) => sql`CREATE DATABASE ${sql(name)} ${sql.literal(options)}`), {
        name,
        url: database.href
      })
    }),
    ({ name }) => administer(server, (sql) => sql`DROP DATABASE ${sql(name)} WITH (FORCE)`)
  )

/** Whether sessions of a database that begin from now on may only read. */
export const readOnly = (server: Redacted.Redacted, database: string, on: boolean) =>
  administer(
    server,
    (sql) =>
      sql`ALTER DATABASE ${sql(database)} ${
        sql.literal(on ? "SET default_transaction_read_only = on" : "RESET default_transaction_read_only")
      }`
  )

/** Ends all sessions of a database. */
export const endSessions = (server: Redacted.Redacted, database: string) =>
  administer(server, (sql) => sql`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = ${database}`)

/** A client in a new, empty schema each time it is built. */
export const layerEmpty = (url: Redacted.Redacted) =>
  Layer.unwrap(Effect.map(makeSchema(url), (config) => PgClient.layer(config)))
