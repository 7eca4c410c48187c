/**
 * Databases that the SQL stores refuse. They refuse them before they change anything.
 */
import { assert, describe, it } from "@effect/vitest"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import type { UnusableStore } from "@perennial/backends/UnusableStore"
import { Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { type Migrator, SqlClient, type SqlError, Statement } from "effect/sql"
import { layerEmpty } from "./sqliteFile.ts"
import { layerEmpty as postgresEmpty, withPostgres } from "./support/postgres.ts"

type Refusal = UnusableStore | Migrator.MigrationError | SqlError.SqlError

const stores: Readonly<Record<string, Layer.Layer<never, Refusal, SqlClient.SqlClient>>> = {
  SqlTaskBackend: SqlTaskBackend.layer,
  SqlConversationStore: SqlConversationStore.layer
}

/** A client of a dialect. A statement or transaction that uses it dies. */
const clientOf = (dialect: Statement.Dialect) =>
  Layer.effect(
    SqlClient.SqlClient,
    SqlClient.make({
      acquirer: Effect.die("The store used a database that it does not know"),
      compiler: Statement.makeCompiler({
        dialect,
        placeholder: () => "?",
        onIdentifier: (name) => name,
        onRecordUpdate: () => ["", []],
        onCustom: () => ["", []]
      }),
      driver: dialect,
      spanAttributes: []
    })
  ).pipe(Layer.provide(Reactivity.layer))

/** The message of the error with which a store refuses a client. */
const refusal = (
  store: Layer.Layer<never, Refusal, SqlClient.SqlClient>,
  client: Layer.Layer<SqlClient.SqlClient>
) => Effect.map(Effect.flip(Layer.build(Layer.provide(store, client))), String)

describe("a client of another database is refused with a one-line message", () => {
  for (const dialect of ["mysql", "mssql", "clickhouse"] as const) {
    for (const [name, store] of Object.entries(stores)) {
      it.effect(`${name}, ${dialect}`, () =>
        Effect.gen(function*() {
          const line = yield* refusal(store, clientOf(dialect))
          assert.strictEqual(line, `UnusableStore: ${name} knows SQLite and PostgreSQL, not ${dialect}.`)
        }))
    }
  }
})

/** A newer version has migrated the tables. The stores of this version refuse them, and write nothing. */
const refusesNewer = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const client = Layer.succeed(SqlClient.SqlClient, sql)
  for (const store of Object.values(stores)) yield* Layer.build(Layer.provide(Layer.fresh(store), client))
  const versions = sql<{ readonly migration_id: number }>`SELECT migration_id FROM perennial_migrations ORDER BY 1 DESC`
  const [{ migration_id: known } = { migration_id: 0 }] = yield* versions
  yield* sql`INSERT INTO perennial_migrations (migration_id, name) VALUES (${known + 2}, 'future')`
  yield* sql`INSERT INTO perennial_runners (id, expires_at) VALUES ('runner', 0)`
  for (const store of Object.values(stores)) {
    const line = yield* refusal(Layer.fresh(store), client)
    assert.strictEqual(
      line,
      `UnusableStore: The tables of the database have version ${
        known + 2
      }, and this version of Perennial knows ${known} at `
        + "most. Start the newer version of Perennial."
    )
  }
  assert.lengthOf(yield* sql`SELECT id FROM perennial_runners`, 1)
})

it.effect("SQLite: tables of a newer version are refused with a one-line message that names both versions", () =>
  refusesNewer.pipe(Effect.provide(layerEmpty), Effect.scoped))

withPostgres("PostgreSQL", (url) => {
  it.live("tables of a newer version are refused with a one-line message that names both versions", () =>
    refusesNewer.pipe(Effect.provide(postgresEmpty(url)), Effect.scoped))
})
