/**
 * The statements of SQLite on tasks and their logs. Values come as one JSON parameter, so that statements stay prepared.
 */
import { Effect } from "effect"
import type { SqlClient } from "effect/sql"
import type { EventRow } from "./eventRow.ts"
import { readTasks, taskColumns, whereTask } from "./sqlRows.ts"
import { byClaim, readAppended, type TaskStatements } from "./taskStatements.ts"

export const make = (sql: SqlClient.SqlClient): TaskStatements => {
  const insertEvents = (rows: ReadonlyArray<EventRow>) =>
    sql`INSERT INTO perennial_task_events (task_id, seq, at, payload)
      SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3
      FROM json_each(${JSON.stringify(rows.map((row) => [row.taskId, row.seq, row.at, row.payload]))})`
  return {
    // SQLite has one writer at a time, and no round trips: nothing is faster than the general way.
    acceptIdle: () => Effect.succeed([]),
    claimFirst: () => Effect.succeed([]),
    finishNewest: () => Effect.succeed(false),
    find: ({ id, userId }) =>
      readTasks(sql`SELECT ${taskColumns(sql)} FROM perennial_tasks WHERE ${whereTask(sql, id, userId)}`),
    page: ({ after, id, limit, maxBytes }) =>
      sql`SELECT t.last_seq, t.status, t.pruned, e.seq, e.at, e.payload FROM perennial_tasks t
        LEFT JOIN (
          SELECT seq, at, payload, SUM(octet_length(payload)) OVER (ORDER BY seq) AS bytes FROM (
            SELECT seq, at, payload FROM perennial_task_events WHERE task_id = ${id} AND seq > ${after}
            ORDER BY seq LIMIT ${limit}) page
        ) e ON e.bytes <= ${maxBytes} OR e.seq = ${after + 1}
        WHERE t.id = ${id} ORDER BY e.seq`,
    append: (batch, now) => {
      const input = batch.map(({ claim, first, last, progress }) => [claim.taskId, claim.token, first, last, progress])
      return sql.withTransaction(Effect.gen(function*() {
        const appended = yield* readAppended(sql`UPDATE perennial_tasks AS t SET last_seq = i.last, updated_at = ${now},
            failures = CASE WHEN i.progress = 1 THEN 0 ELSE t.failures END
          FROM (SELECT value ->> 0 AS id, value ->> 1 AS token, value ->> 2 AS first, value ->> 3 AS last,
            value ->> 4 AS progress FROM json_each(${JSON.stringify(input)})) AS i
          WHERE t.id = i.id AND t.token = i.token AND t.last_seq = i.first - 1
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
