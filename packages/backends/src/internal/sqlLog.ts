/**
 * Writes and reads the event logs: the hot statements, with a form for each dialect.
 */
import { isTerminal } from "@perennial/domain/Task"
import type { EventPage, Fence, TaskBackend } from "@perennial/domain/TaskBackend"
import { CursorAhead, EventsExpired, TaskNotFound } from "@perennial/domain/TaskError"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { Effect } from "effect"
import type { SqlClient, SqlError, Statement } from "effect/sql"
import { decodeEvent, encodeEvent, progress } from "./eventPayload.ts"
import { read } from "./persistence.ts"
import type { PgTasks } from "./pgTasks.ts"
import type { TaskRow } from "./taskRow.ts"

type Entry = Parameters<TaskBackend["Service"]["append"]>[0][number]

/** What an append needs of the row: the owner's token, and a log that ends right before the first event (P9). */
interface Fenced extends Fence {
  readonly first: number
  readonly last: number
  /** 1 when the task made progress. */
  readonly progress: number
}

/** An event, and the claim it is written with. */
export interface EventRow extends Fence {
  readonly seq: number
  readonly at: number
  readonly payload: string
}

/** A task, and an event of its log if there is one. */
export interface PageRow extends Pick<TaskRow, "last_seq" | "status"> {
  readonly pruned: number
  readonly seq: number | null
  readonly at: number | bigint
  readonly payload: string
}

type AppendedRow = Pick<TaskRow, "id" | "token" | "intents">

export interface SqlLog {
  /** Adds events whose place in the log was secured by the same transaction. */
  readonly insert: (claim: Fence, events: ReadonlyArray<StoredEvent>) => Statement.Statement<object>
  /** Appends to many logs in one commit, and returns the rows of those that were appended to. */
  readonly append: (
    batch: ReadonlyArray<Entry>,
    now: Statement.Fragment
  ) => Effect.Effect<ReadonlyArray<AppendedRow>, SqlError.SqlError>
  readonly page: (
    ...args: Parameters<TaskBackend["Service"]["events"]>
  ) => Effect.Effect<
    EventPage,
    TaskNotFound | EventsExpired | CursorAhead | Effect.Error<ReturnType<typeof read>> | SqlError.SqlError
  >
}

const toFenced = ({ claim, events }: Entry): Fenced => ({
  taskId: claim.taskId,
  token: claim.token,
  first: events[0].seq,
  last: events[0].seq + events.length - 1,
  progress: progress(events)
})

export const toRows = ({ taskId, token }: Fence, events: ReadonlyArray<StoredEvent>): ReadonlyArray<EventRow> =>
  events.map(({ at, event, seq }) => ({ taskId, token, seq, at, payload: encodeEvent(event) }))

/** Finds the row a claim wrote to. By token, too: a batch may hold an owner beside one that lost the same task. */
export const byClaim = <Row extends Pick<TaskRow, "id" | "token">>(rows: ReadonlyArray<Row>) => {
  const byKey = new Map(rows.map((row) => [`${row.token}/${row.id}`, row]))
  return ({ taskId, token }: Fence): Row | undefined => byKey.get(`${token}/${taskId}`)
}

type ReadPage = (
  ...args: Parameters<TaskBackend["Service"]["events"]>
) => Effect.Effect<ReadonlyArray<PageRow>, SqlError.SqlError>

const makePage = (readPage: ReadPage): SqlLog["page"] =>
  Effect.fnUntraced(function*(id, options) {
    const rows = yield* readPage(id, options)
    const [task] = rows
    if (task === undefined) return yield* new TaskNotFound({ taskId: id })
    if (task.pruned === 1) return yield* new EventsExpired({ taskId: id })
    const { after } = options
    const lastSeq = task.last_seq
    if (after > lastSeq) return yield* new CursorAhead({ taskId: id, after, lastSeq })
    const events = yield* read(() =>
      rows.flatMap(({ at, payload, seq }) => seq === null ? [] : [{ seq, at: Number(at), event: decodeEvent(payload) }])
    )
    return { events, lastSeq, ended: isTerminal(task.status) }
  })

/** Rows of events as a table `e`. */
export const eventValues = (sql: SqlClient.SqlClient, rows: ReadonlyArray<EventRow>): Statement.Fragment =>
  sql`unnest(
    ${rows.map((row) => row.taskId)}::text[], ${rows.map((row) => row.token)}::int[],
    ${rows.map((row) => row.seq)}::int[], ${rows.map((row) => BigInt(row.at))}::bigint[],
    ${rows.map((row) => row.payload)}::text[]
  ) AS e(task_id, token, seq, at, payload)`

/** PostgreSQL: one round trip for any number of tasks. */
const makePg = (sql: SqlClient.SqlClient, { page }: Pick<PgTasks, "page">): SqlLog => {
  const values = (rows: ReadonlyArray<EventRow>) => eventValues(sql, rows)
  return {
    insert: (claim, added) =>
      sql`INSERT INTO perennial_task_events (task_id, seq, at, payload)
        SELECT e.task_id, e.seq, e.at, e.payload FROM ${values(toRows(claim, added))}`,
    append: (batch, now) => {
      const fenced = batch.map(toFenced)
      return sql<AppendedRow>`WITH input AS (
          SELECT * FROM unnest(${fenced.map((row) => row.taskId)}::text[], ${fenced.map((row) => row.token)}::int[],
            ${fenced.map((row) => row.first)}::int[], ${fenced.map((row) => row.last)}::int[],
            ${fenced.map((row) => row.progress)}::int[]) AS i(id, token, first, last, progress)
        ), fence AS (
          UPDATE perennial_tasks t SET last_seq = i.last, updated_at = ${now},
            failures = CASE WHEN i.progress = 1 THEN 0 ELSE t.failures END
          FROM input i WHERE t.id = i.id AND t.token = i.token AND t.last_seq = i.first - 1
            AND t.runner_id IS NOT NULL AND t.finished_at IS NULL
          RETURNING t.id, t.token, t.intents
        ), added AS (
          INSERT INTO perennial_task_events (task_id, seq, at, payload)
          SELECT e.task_id, e.seq, e.at, e.payload
          FROM ${values(batch.flatMap(({ claim, events }) => toRows(claim, events)))}
          JOIN fence f ON f.id = e.task_id AND f.token = e.token
        ) SELECT id, token, intents FROM fence`
    },
    page: makePage((id, options) => page({ id, ...options }))
  }
}

/** SQLite: two statements in a transaction; the values come as one JSON parameter, so that the statements stay prepared. */
const makeSqlite = (sql: SqlClient.SqlClient): SqlLog => {
  const insertRows = (rows: ReadonlyArray<EventRow>) =>
    sql`INSERT INTO perennial_task_events (task_id, seq, at, payload)
      SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3
      FROM json_each(${JSON.stringify(rows.map((row) => [row.taskId, row.seq, row.at, row.payload]))})`
  return {
    insert: (claim, events) => insertRows(toRows(claim, events)),
    append: (batch, now) => {
      const input = batch.map(toFenced).map((row) => [row.taskId, row.token, row.first, row.last, row.progress])
      return sql.withTransaction(Effect.gen(function*() {
        const appended = yield* sql<AppendedRow>`UPDATE perennial_tasks AS t SET last_seq = i.last, updated_at = ${now},
            failures = CASE WHEN i.progress = 1 THEN 0 ELSE t.failures END
          FROM (SELECT value ->> 0 AS id, value ->> 1 AS token, value ->> 2 AS first, value ->> 3 AS last,
            value ->> 4 AS progress FROM json_each(${JSON.stringify(input)})) AS i
          WHERE t.id = i.id AND t.token = i.token AND t.last_seq = i.first - 1
            AND t.runner_id IS NOT NULL AND t.finished_at IS NULL
          RETURNING id, token, intents`
        const find = byClaim(appended)
        const rows = batch.flatMap(({ claim, events }) => find(claim) === undefined ? [] : toRows(claim, events))
        if (rows.length > 0) yield* insertRows(rows)
        return appended
      }))
    },
    page: makePage((id, { after, limit, maxBytes }) =>
      // One statement: the task and its log as they were at one moment.
      sql<PageRow>`SELECT t.last_seq, t.status, t.pruned, e.seq, e.at, e.payload FROM perennial_tasks t
        LEFT JOIN (
          SELECT seq, at, payload, SUM(octet_length(payload)) OVER (ORDER BY seq) AS bytes FROM (
            SELECT seq, at, payload FROM perennial_task_events WHERE task_id = ${id} AND seq > ${after}
            ORDER BY seq LIMIT ${limit}) page
        ) e ON e.bytes <= ${maxBytes} OR e.seq = ${after + 1}
        WHERE t.id = ${id} ORDER BY e.seq`
    )
  }
}

/** On PostgreSQL with what callers share there. */
export const make = (sql: SqlClient.SqlClient, shared: Pick<PgTasks, "page"> | undefined): SqlLog =>
  shared === undefined ? makeSqlite(sql) : makePg(sql, shared)
