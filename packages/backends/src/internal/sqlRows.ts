/**
 * The columns of a task in the SQL databases, and the decoders of their rows. Every row is decoded before it is used.
 */
import { AgentId, ConversationId, type RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { TaskStatus } from "@perennial/domain/Task"
import type { Claim } from "@perennial/domain/TaskBackend"
import { type Array as Arr, Effect, Schema } from "effect"
import type { SqlClient, SqlError, Statement } from "effect/sql"
import { type CodecError, tryCodec } from "./storeRetry.ts"
import { toClaim as rowToClaim } from "./taskRow.ts"

/** Milliseconds: a BIGINT of PostgreSQL arrives as a bigint. */
export const Millis = Schema.Union([Schema.Finite, Schema.BigInt])

/** The columns of a task that most operations read. */
export const TaskRow = Schema.Struct({
  id: TaskId,
  conversation_id: ConversationId,
  user_id: UserId,
  agent_id: AgentId,
  status: TaskStatus,
  error_code: Schema.NullOr(Schema.String),
  error: Schema.NullOr(Schema.String),
  spec: Schema.String,
  summary: Schema.NullOr(Schema.String),
  request_hash: Schema.NullOr(Schema.String),
  token: Schema.Int,
  attempt: Schema.Int,
  last_seq: Schema.Int,
  intents: Schema.Int,
  created_at: Millis,
  updated_at: Millis,
  started_at: Schema.NullOr(Millis),
  finished_at: Schema.NullOr(Millis)
})
export type TaskRow = typeof TaskRow.Type

/** The columns of a task that only its owner needs. The body of a message may have megabytes. */
const ownerFields = {
  failures: Schema.Int,
  lost_reason: Schema.NullOr(Schema.Literals(["crash", "handover", "storeFailure"])),
  lost_at: Schema.NullOr(Millis)
}

export const ClaimRow = Schema.Struct({
  ...TaskRow.fields,
  ...ownerFields,
  input: Schema.NullOr(Schema.String),
  now: Millis
})
export type ClaimRow = typeof ClaimRow.Type

/** The columns of a `Head`. */
export const HeadRow = Schema.Struct({
  id: TaskId,
  conversation_id: ConversationId,
  agent_id: AgentId,
  token: Schema.Int
})

const names = (fields: object) => Object.keys(fields).join(", ")

/** The columns of a `TaskRow`. They have no table name: a statement that reads them joins no other table. */
export const taskColumns = (sql: SqlClient.SqlClient): Statement.Fragment => sql.literal(names(TaskRow.fields))

/** The columns of a `ClaimRow`. */
export const claimColumns = (sql: SqlClient.SqlClient, now: Statement.Fragment): Statement.Fragment =>
  sql`${sql.literal(`${names(TaskRow.fields)}, ${names(ownerFields)}`)},
    (SELECT input FROM perennial_task_events WHERE task_id = id AND seq = 1) AS input, ${now} AS now`

/** The columns of a `HeadRow`. */
export const headColumns = (sql: SqlClient.SqlClient): Statement.Fragment => sql.literal(names(HeadRow.fields))

/** The task with an id; of a user, if one is given: for all others the task does not exist (P12). */
export const whereTask = (sql: SqlClient.SqlClient, id: TaskId, userId: UserId | undefined): Statement.Fragment =>
  userId === undefined ? sql`id = ${id}` : sql`(id = ${id} AND user_id = ${userId})`

/**
 * The first rows that any of the filters selects, in an order that an index has for each filter: the database reads no more
 * rows for each filter than the limit, and merges them. No row may match two filters.
 */
export const mergedPage = (
  sql: SqlClient.SqlClient,
  { columns, filters, limit, order }: {
    readonly columns: Statement.Fragment
    readonly filters: Arr.NonEmptyReadonlyArray<Statement.Fragment>
    /** By columns that are selected. */
    readonly order: Statement.Fragment
    readonly limit: number
  }
): Statement.Statement<object> => {
  const pages = filters.map((filter) =>
    sql`SELECT ${columns} FROM perennial_tasks t WHERE ${filter} ORDER BY ${order} LIMIT ${limit}`
  )
  if (pages.length === 1) return sql`${sql.csv(pages)}`
  const merged = sql.join(" UNION ALL ", false)(pages.map((page) => sql`SELECT * FROM (${page}) page`))
  return sql`${merged} ORDER BY ${order} LIMIT ${limit}`
}

/** A text as a text column keeps it: PostgreSQL has no U+0000. JSON escapes that character. */
export const toSqlText = (text: string): string => text.replaceAll("\0", "\uFFFD")

/** Decodes rows. A row that is not as the schema says fails with `CodecError`. */
export const decodeRows = <A>(schema: Schema.ConstraintDecoder<A>) => {
  const decode = Schema.decodeUnknownSync(Schema.Array(schema))
  return (rows: ReadonlyArray<unknown>): Effect.Effect<ReadonlyArray<A>, CodecError> => tryCodec(() => decode(rows))
}

/** Decodes the rows that a statement returns. */
export const readRows = <A>(schema: Schema.ConstraintDecoder<A>) => {
  const decode = decodeRows(schema)
  return (
    statement: Effect.Effect<ReadonlyArray<unknown>, SqlError.SqlError>
  ): Effect.Effect<ReadonlyArray<A>, SqlError.SqlError | CodecError> => Effect.flatMap(statement, decode)
}

/** A claim, by the runner that made it. Throws when a column cannot be read. */
export const toClaim = (row: ClaimRow, runnerId: RunnerId): Claim => rowToClaim(row, runnerId, Number(row.now))

export const readTasks = readRows(TaskRow)
export const readClaims = readRows(ClaimRow)
export const readHeads = readRows(HeadRow)
