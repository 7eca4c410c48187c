import { Context, Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, Statement } from "effect/sql"

/** What a database was asked, and what it answered. */
export interface Recorded {
  readonly sql: string
  readonly params: ReadonlyArray<unknown>
  readonly rows: ReadonlyArray<Readonly<Record<string, unknown>>>
}

/** The statements since the list was last emptied. */
export class Statements extends Context.Service<Statements, Array<Recorded>>()(
  "@perennial/backends/test/support/recordedSql/Statements"
) {}

/** A client over the same SQLite database, for one statement or transaction at a time, that writes down all it does. */
export const layerRecording = Layer.effect(
  SqlClient.SqlClient,
  Effect.gen(function*() {
    const statements = yield* Statements
    const connection = yield* (yield* SqlClient.SqlClient).reserve
    return yield* SqlClient.make({
      acquirer: Effect.succeed({
        ...connection,
        execute: (sql, params, transform) =>
          Effect.tap(
            connection.execute(sql, params, transform),
            (rows) => Effect.sync(() => statements.push({ sql, params, rows }))
          )
      }),
      compiler: Statement.makeCompilerSqlite(),
      driver: "sqlite-node",
      spanAttributes: []
    })
  })
).pipe(Layer.provide(Reactivity.layer))

/** How SQLite goes about the first statement of an operation, step by step. */
export const explain = Effect.fnUntraced(function*<E, R>(operation: Effect.Effect<unknown, E, R>) {
  const sql = yield* SqlClient.SqlClient
  const statements = yield* Statements
  statements.length = 0
  yield* operation
  const [first] = statements
  const steps = yield* sql.unsafe<{ readonly detail: string }>(`EXPLAIN QUERY PLAN ${first?.sql}`, first?.params)
  return steps.map(({ detail }) => detail)
})
