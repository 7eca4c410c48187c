/**
 * The statements of SQLite on tasks and their logs.
 */
import { Effect } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import type { EventRow } from "./eventRow.ts"
import type { Columns } from "./sqlInput.ts"
import { readTasks, taskColumns, whereTask } from "./sqlRows.ts"
import { byClaim, readAppended, readCounted, type TaskStatements } from "./taskStatements.ts"

/**
 * A table `i` with a row for each item. The values are one JSON parameter, so that the statement stays prepared for any
 * number of items.
 */
export const rowsOf = <A>(
  sql: SqlClient.SqlClient,
  items: ReadonlyArray<A>,
  columns: Columns<A>
): Statement.Fragment => {
  const names = Object.keys(columns)
  const values = Object.values(columns)
  const json = JSON.stringify(items.map((item, i) => values.map(([, of]) => of(item, i))))
  return sql`(SELECT ${sql.literal(names.map((name, i) => `value ->> ${i} AS ${name}`).join(", "))}
    FROM json_each(${json})) AS i`
}

export const make = (sql: SqlClient.SqlClient): TaskStatements => {
  const insertEvents = (rows: ReadonlyArray<EventRow>) =>
    sql`INSERT INTO perennial_task_events (task_id, seq, at, payload) SELECT task, seq, at, payload FROM ${
      rowsOf(sql, rows, {
        task: ["text", ({ taskId }) => taskId],
        seq: ["int", ({ seq }) => seq],
        at: ["bigint", ({ at }) => at],
        payload: ["text", ({ payload }) => payload]
      })
    }`
  return {
    // SQLite has one writer at a time, and no round trips: nothing is faster than the general way.
    acceptIdle: () => Effect.succeed([]),
    countActive: (userId, most) =>
      Effect.map(
        readCounted(sql`SELECT COUNT(*) AS active FROM (SELECT 1 FROM perennial_tasks
          WHERE user_id = ${userId} AND status IN ('queued', 'running') LIMIT ${most})`),
        ([row]) => row?.active ?? 0
      ),
    claimFirst: () => Effect.succeed([]),
    finishNewest: () => Effect.succeed(false),
    find: ({ id, userId }) =>
      readTasks(sql`SELECT ${taskColumns(sql)} FROM perennial_tasks WHERE ${whereTask(sql, id, userId)}`),
    page: ({ after, id, limit, maxBytes }) =>
      sql`SELECT t.last_seq, t.status, t.pruned, t.conversation_id, e.seq, e.at, e.payload FROM perennial_tasks t
        LEFT JOIN (
          SELECT seq, at, payload, SUM(octet_length(payload)) OVER (ORDER BY seq) AS bytes FROM (
            SELECT seq, at, payload FROM perennial_task_events WHERE task_id = ${id} AND seq > ${after}
            ORDER BY seq LIMIT ${limit}) page
        ) e ON e.bytes <= ${maxBytes} OR e.seq = ${after + 1}
        WHERE t.id = ${id} ORDER BY e.seq`,
    append: (batch, now) => {
      const input = rowsOf(sql, batch, {
        task: ["text", ({ claim }) => claim.taskId],
        fence: ["int", ({ claim }) => claim.token],
        first: ["int", ({ first }) => first],
        last: ["int", ({ last }) => last],
        progress: ["int", ({ progress }) => progress],
        shown: ["text", ({ summary }) => summary],
        waits: ["int", ({ waiting }) => waiting]
      })
      return sql.withTransaction(Effect.gen(function*() {
        const appended = yield* readAppended(sql`UPDATE perennial_tasks AS t SET last_seq = i.last, updated_at = ${now},
            failures = CASE WHEN i.progress = 1 THEN 0 ELSE t.failures END,
            summary = CASE WHEN i.shown = '' THEN t.summary ELSE i.shown END,
            waiting = CASE WHEN i.shown = '' THEN t.waiting ELSE i.waits END
          FROM ${input}
          WHERE t.id = i.task AND t.token = i.fence AND t.last_seq = i.first - 1
            AND t.runner_id IS NOT NULL AND t.finished_at IS NULL
          RETURNING id, token, intents`)
        const find = byClaim(appended)
        const rows = batch.flatMap(({ claim, rows }) => find(claim) === undefined ? [] : rows)
        if (rows.length > 0) yield* insertEvents(rows)
        return appended
      }))
    },
    insertEvents
  }
}
