/**
 * Databases of PostgreSQL that the stores refuse at their start. Otherwise every request would find out by itself, after its
 * model has answered.
 */
import { Effect, Schedule, Schema } from "effect"
import type { SqlClient, SqlError } from "effect/sql"
import { UnusableStore } from "../UnusableStore.ts"
import { closeReadOnly, isStarting } from "./sqlRetry.ts"
import { readRows } from "./sqlRows.ts"

/** How many connections a process needs: one for its statements, one that listens, and one for its lease. */
const connections = 3

/** How often a start asks a server again that starts, recovers or is a replica: a fail-over may be on its way. */
const tries = Schedule.max([Schedule.spaced("1 second"), Schedule.recurs(30)])

const readServer = readRows(Schema.Struct({
  encoding: Schema.String,
  recovering: Schema.String,
  read_only: Schema.String,
  connections: Schema.NullOr(Schema.Int)
}))

const refuse = (problem: string) => new UnusableStore({ problem })

/** The database may only be read. */
class ReadOnly extends Schema.TaggedError<ReadOnly>()("ReadOnly", { isReplica: Schema.Boolean }) {
  override get message() {
    return this.isReplica
      ? "The database is a replica, which accepts no writes. Connect to the primary."
      : "The database accepts no writes: `default_transaction_read_only` is on for it, or for its user."
  }
}

const check = Effect.fnUntraced(function*(sql: SqlClient.SqlClient) {
  const [server] = yield* readServer(sql`SELECT current_setting('server_encoding') AS encoding,
      pg_is_in_recovery()::text AS recovering, current_setting('transaction_read_only') AS read_only,
      (SELECT LEAST(NULLIF(r.rolconnlimit, -1), NULLIF(d.datconnlimit, -1)) FROM pg_roles r, pg_database d
        WHERE r.rolname = session_user AND NOT r.rolsuper AND d.datname = current_database()) AS connections`).pipe(
    // The statement names the types of its columns.
    Effect.catchTag("CodecError", Effect.die)
  )
  if (server === undefined) return
  if (server.encoding !== "UTF8") {
    return yield* refuse(
      `The encoding of the database is ${server.encoding}, and texts of users need UTF8. `
        + "Create the database with `ENCODING 'UTF8'`."
    )
  }
  if (server.connections !== null && server.connections < connections) {
    return yield* refuse(
      `The user of the database may have ${server.connections} connections, and a process needs ${connections}. `
        + "Raise `CONNECTION LIMIT` of the user and of the database."
    )
  }
  if (server.read_only === "on") return yield* new ReadOnly({ isReplica: server.recovering === "true" })
})

type Passing = ReadOnly | SqlError.SqlError

const isPassing = (error: Passing | UnusableStore): error is Passing =>
  error._tag === "ReadOnly" || (error._tag === "SqlError" && isStarting(error))

/**
 * Refuses a database that the stores cannot use. Waits up to 30 seconds for a server that starts, recovers or is a replica:
 * after a fail-over it may accept writes.
 */
export const refuseUnusable = (sql: SqlClient.SqlClient): Effect.Effect<void, SqlError.SqlError | UnusableStore> => {
  const again = Effect.andThen(closeReadOnly(sql), check(sql))
  return check(sql).pipe(
    Effect.catchIf(isPassing, (error) =>
      Effect.andThen(
        Effect.logWarning(`${error.message} The start waits up to 30 seconds.`),
        Effect.retry(again, { while: isPassing, schedule: tries })
      )),
    Effect.catchTag("ReadOnly", (error) => Effect.fail(refuse(error.message)))
  )
}
