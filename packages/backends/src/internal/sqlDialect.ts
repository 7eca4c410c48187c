/**
 * The two dialects that the SQL stores know, SQLite and PostgreSQL: every difference between them is named here.
 */
import { Clock, Duration, Effect, Schema, type Scope } from "effect"
import { SqlClient, type SqlError, type Statement } from "effect/sql"
import { UnusableStore } from "../UnusableStore.ts"
import type { ConversationStatements } from "./conversationStatements.ts"
import * as PgConversations from "./pgConversations.ts"
import * as PgInput from "./pgInput.ts"
import * as PgServer from "./pgServer.ts"
import * as PgTaskStatements from "./pgTaskStatements.ts"
import * as PgTransaction from "./pgTransaction.ts"
import type { Columns } from "./sqlInput.ts"
import * as SqliteConversations from "./sqliteConversations.ts"
import * as SqliteTaskStatements from "./sqliteTaskStatements.ts"
import { makeWithRetries, type WithRetries, withRetries } from "./sqlRetry.ts"
import { readRows } from "./sqlRows.ts"
import type { CodecError } from "./storeRetry.ts"
import type { TaskStatements } from "./taskStatements.ts"

type Write = Statement.Statement<object>

export interface Dialect {
  /** A client that leaves the names of columns as they are. */
  readonly sql: SqlClient.SqlClient
  /** Whether several processes may use one database. */
  readonly isShared: boolean
  /** Refuses a database that the stores cannot use. */
  readonly refuseUnusable: Effect.Effect<void, SqlError.SqlError | UnusableStore>
  /** How long a group commit waits for more events. */
  readonly commitWindow: Duration.Duration
  /** The store's time in milliseconds, as an expression: the clock of the database, where several processes share it. */
  readonly time: Effect.Effect<Statement.Fragment>
  readonly withRetries: WithRetries
  readonly withTransaction: SqlClient.SqlClient["withTransaction"]
  /** A column for the statement that takes the first lock of a transaction: it limits how long the lock may be kept. */
  readonly boundTransaction: Statement.Fragment
  /** Notes, in the transaction of a deletion, that the files of the database have deleted texts. */
  readonly noteDeleted: Effect.Effect<void, SqlError.SqlError>
  /** Erases deleted texts from the files of the database, as far as a client can. */
  readonly eraseDeleted: Effect.Effect<void, SqlError.SqlError | CodecError>
  /** The end of a `SELECT` that locks its rows. */
  readonly lockRows: Statement.Fragment
  /** The order of lists of tasks, by the columns of their indexes alone. */
  readonly newestFirst: Statement.Fragment
  readonly oldestFirst: Statement.Fragment
  /** Runs the writes and the read in one commit. The read sees the rows as they were before or after the writes. */
  readonly together: (
    writes: readonly [Write, Write],
    read: Write
  ) => Effect.Effect<ReadonlyArray<object>, SqlError.SqlError>
  /** A table `i` with a row for each item, as the input of a statement. */
  readonly rowsOf: <A>(items: ReadonlyArray<A>, columns: Columns<A>) => Statement.Fragment
  readonly taskStatements: Effect.Effect<TaskStatements, never, Scope.Scope>
  readonly conversationStatements: Effect.Effect<ConversationStatements, never, Scope.Scope>
  /** What differs in the definition of a table. */
  readonly types: {
    /** An id: ids sort by their bytes, whatever the locale of the database is. */
    readonly id: Statement.Fragment
    readonly millis: Statement.Fragment
    /** Of a table whose rows are updated often: leaves room for updates in place. */
    readonly updated: Statement.Fragment
    /** Of a table whose rows are found by their key alone: a smaller file and faster deletes. */
    readonly byKey: Statement.Fragment
    /** A field of a JSON object whose value is a text without escapes. */
    readonly plainField: (json: string, field: string) => Statement.Fragment
    /** The last column of an index that serves `newestFirst`. */
    readonly listedId: Statement.Fragment
  }
}

const readVersions = readRows(Schema.Struct({ user_version: Schema.Int }))

/** One process has the database, which is in the process itself. */
export const sqlite = (sql: SqlClient.SqlClient): Dialect => {
  const time = Effect.map(Clock.currentTimeMillis, (now) => sql`${now}`)
  return {
    sql,
    isShared: false,
    // The client refuses a file that it cannot use.
    refuseUnusable: Effect.void,
    // A commit blocks the process.
    commitWindow: Duration.millis(5),
    time,
    withRetries,
    withTransaction: sql.withTransaction,
    boundTransaction: sql.literal("NULL"),
    noteDeleted: Effect.asVoid(sql`PRAGMA user_version = 1`),
    // Free places of a page keep what was there, even with `secure_delete`: the file is written anew, once for its deletions. The
    // write-ahead log has the pages of before.
    eraseDeleted: Effect.gen(function*() {
      const [row] = yield* readVersions(sql`PRAGMA user_version`)
      if (row?.user_version === 0) return
      yield* sql`VACUUM`
      yield* sql`PRAGMA user_version = 0`
      yield* sql`PRAGMA wal_checkpoint(TRUNCATE)`
    }),
    // A transaction takes the lock of the whole database when it begins.
    lockRows: sql.literal(""),
    newestFirst: sql.literal("id DESC"),
    oldestFirst: sql.literal("id"),
    together: ([first, second], read) => sql.withTransaction(Effect.andThen(Effect.andThen(first, second), read)),
    rowsOf: (items, columns) => SqliteTaskStatements.rowsOf(sql, items, columns),
    taskStatements: Effect.succeed(SqliteTaskStatements.make(sql)),
    conversationStatements: Effect.succeed(SqliteConversations.make(sql, time)),
    types: {
      id: sql.literal("TEXT"),
      millis: sql.literal("INTEGER"),
      updated: sql.literal(""),
      byKey: sql.literal("WITHOUT ROWID"),
      listedId: sql.literal("id"),
      plainField: (json, field) => sql.literal(`${json} ->> '${field}'`)
    }
  }
}

/** A server that any number of processes share. */
export const postgres = (sql: SqlClient.SqlClient): Dialect => {
  const now = sql.literal("(EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint")
  return {
    sql,
    isShared: true,
    refuseUnusable: PgServer.refuseUnusable(sql),
    // Concurrent commits share their cost.
    commitWindow: Duration.zero,
    time: Effect.succeed(now),
    withRetries: makeWithRetries(sql),
    withTransaction: PgTransaction.makeWithTransaction(sql),
    boundTransaction: PgTransaction.boundTransaction(sql),
    // Autovacuum frees deleted rows; a client cannot erase them from files and backups.
    noteDeleted: Effect.void,
    eraseDeleted: Effect.void,
    lockRows: sql.literal("FOR UPDATE"),
    // The primary key, read backwards, has NULLS FIRST. If it had the order of a list, PostgreSQL could choose it, and read
    // the tasks of all users until it has found enough of one user.
    newestFirst: sql.literal("id DESC NULLS LAST"),
    oldestFirst: sql.literal("id NULLS FIRST"),
    // A statement can be given up at once, which the beginning and the end of a transaction cannot.
    together: ([first, second], read) => sql`WITH first AS (${first}), second AS (${second}) ${read}`,
    rowsOf: (items, columns) => PgInput.rowsOf(sql, items, columns),
    taskStatements: PgTaskStatements.make(sql, now),
    conversationStatements: PgConversations.make(sql, now),
    types: {
      id: sql.literal(`TEXT COLLATE "C"`),
      millis: sql.literal("BIGINT"),
      updated: sql.literal("WITH (fillfactor = 80)"),
      byKey: sql.literal(""),
      listedId: sql.literal("id NULLS FIRST"),
      // Not as JSON: PostgreSQL refuses some escapes that the object may have elsewhere.
      plainField: (json, field) => sql.literal(`substring(${json} from '"${field}":"([^"\\\\]*)"')`)
    }
  }
}

/** The dialect of the provided client. Refuses a client of any other dialect, in the name of a store. */
export const forStore = (store: string): Effect.Effect<Dialect, UnusableStore, SqlClient.SqlClient> =>
  Effect.flatMap(SqlClient.SqlClient, (client) => {
    const sql = client.withoutTransforms()
    const refuse = (dialect: string) => () =>
      Effect.fail(new UnusableStore({ problem: `${store} knows SQLite and PostgreSQL, not ${dialect}.` }))
    return sql.onDialect({
      sqlite: () => Effect.succeed(sqlite(sql)),
      pg: () => Effect.succeed(postgres(sql)),
      mysql: refuse("mysql"),
      mssql: refuse("mssql"),
      clickhouse: refuse("clickhouse")
    })
  })
