import { Context, Effect, Layer } from "effect"
import { Reactivity } from "effect/reactivity"
import { SqlClient, Statement } from "effect/sql"

/** A statement, and the rows that it returned. */
export interface Recorded {
  readonly sql: string
  readonly params: ReadonlyArray<unknown>
  readonly rows: ReadonlyArray<Readonly<Record<string, unknown>>>
}

/** The recorded statements. Users of the service empty the list. */
export class Statements extends Context.Service<Statements, Array<Recorded>>()(
  "@perennial/backends/test/support/recordedSql/Statements"
) {}

/** A client of the same database that records its statements. It runs one statement or transaction at a time. */
export const layerRecordingWith = (compiler: Statement.Compiler) =>
  Layer.effect(
    SqlClient.SqlClient,
    Effect.gen(function*() {
      const statements = yield* Statements
      const connection = yield* (yield* SqlClient.SqlClient).reserve
      return yield* SqlClient.make({
        acquirer: Effect.succeed(Object.assign(Object.create(connection), {
          execute: (...args: Parameters<typeof connection.execute>) =>
            Effect.tap(connection.execute(...args), (rows) =>
              Effect.sync(() => statements.push({ sql: args[0], params: args[1], rows })))
        })),
        compiler,
        driver: "recording",
        spanAttributes: []
      })
    })
  ).pipe(Layer.provide(Reactivity.layer))

export const layerRecording = layerRecordingWith(Statement.makeCompilerSqlite())

/** The statements of an operation. */
export const recorded = Effect.fnUntraced(function*<A, E, R>(operation: Effect.Effect<A, E, R>) {
  const statements = yield* Statements
  statements.length = 0
  yield* operation
  return statements.splice(0)
})
