/**
 * A client of PostgreSQL for code that does not expect fail-overs: a connection that may only read ends itself when a statement
 * shows it. After a fail-over only a new connection reaches the server that writes.
 */
import { PgClient } from "@effect/sql-pg"
import { Effect } from "effect"
import { SqlClient, type SqlConnection, type SqlError } from "effect/sql"
import { isReadOnly } from "./sqlRetry.ts"

const guarded = (connection: SqlConnection.Connection): SqlConnection.Connection => {
  const end = Effect.ignore(
    connection.executeUnprepared("SELECT pg_terminate_backend(pg_backend_pid())", [], undefined)
  )
  const guard = <A>(statement: Effect.Effect<A, SqlError.SqlError>) =>
    Effect.tapError(statement, (error) => isReadOnly(error) ? end : Effect.void)
  return {
    execute: (...statement) => guard(connection.execute(...statement)),
    executeRaw: (...statement) => guard(connection.executeRaw(...statement)),
    // Streams only read, and a connection that may only read serves them.
    executeStream: (...statement) => connection.executeStream(...statement),
    executeValues: (...statement) => guard(connection.executeValues(...statement)),
    executeValuesUnprepared: (...statement) => guard(connection.executeValuesUnprepared(...statement)),
    executeUnprepared: (...statement) => guard(connection.executeUnprepared(...statement))
  }
}

/** A client that uses the pool of another one. Each statement, transaction and reservation has a connection for itself. */
export const make = (client: PgClient.PgClient) =>
  SqlClient.make({
    acquirer: Effect.map(client.reserve, guarded),
    compiler: PgClient.makeCompiler(),
    driver: client.driver,
    prepareTransactionControls: true,
    releaseSavepoint: (name) => `RELEASE SAVEPOINT ${name}`,
    spanAttributes: []
  })
