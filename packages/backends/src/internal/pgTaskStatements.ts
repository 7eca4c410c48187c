/**
 * The statements of PostgreSQL on tasks and their logs. The statements of every message are batched.
 */
import { Effect, type Scope } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import type { EventRow } from "./eventRow.ts"
import * as PgBatchedStatements from "./pgBatchedStatements.ts"
import { eventValues } from "./pgInput.ts"
import { boundTransaction } from "./pgTransaction.ts"
import { readAppended, readCounted, type TaskStatements } from "./taskStatements.ts"

export const make = Effect.fnUntraced(
  function*(sql: SqlClient.SqlClient, now: Statement.Fragment): Effect.fn.Return<TaskStatements, never, Scope.Scope> {
    return {
      ...yield* PgBatchedStatements.make(sql, now),
      countActive: (userId, most) =>
        Effect.map(
          readCounted(sql`SELECT perennial_active_tasks(${userId}, ${most}) AS active, ${boundTransaction(sql)}`),
          ([row]) => row?.active ?? 0
        ),
      append: (batch, now) =>
        readAppended(sql`WITH input AS (
          SELECT * FROM unnest(${batch.map(({ claim }) => claim.taskId)}::text[],
            ${batch.map(({ claim }) => claim.token)}::int[], ${batch.map(({ first }) => first)}::int[],
            ${batch.map(({ last }) => last)}::int[], ${batch.map(({ progress }) => progress)}::int[],
            ${batch.map(({ summary }) => summary)}::text[], ${batch.map(({ waiting }) => waiting)}::int[]
          ) AS i(id, token, first, last, progress, shown, waits)
        ), fence AS (
          UPDATE perennial_tasks t SET last_seq = i.last, updated_at = ${now},
            failures = CASE WHEN i.progress = 1 THEN 0 ELSE t.failures END,
            summary = CASE WHEN i.shown = '' THEN t.summary ELSE i.shown END,
            waiting = CASE WHEN i.shown = '' THEN t.waiting ELSE i.waits END
          FROM input i WHERE t.id = i.id AND t.token = i.token AND t.last_seq = i.first - 1
            AND t.runner_id IS NOT NULL AND t.finished_at IS NULL
          RETURNING t.id, t.token, t.intents
        ), added AS (
          INSERT INTO perennial_task_events (task_id, seq, at, payload)
          SELECT e.task_id, e.seq, e.at, e.payload FROM ${eventValues(sql, batch.flatMap(({ rows }) => rows))}
          JOIN fence f ON f.id = e.task_id AND f.token = e.token
        ) SELECT id, token, intents FROM fence`),
      insertEvents: (rows: ReadonlyArray<EventRow>) =>
        sql`INSERT INTO perennial_task_events (task_id, seq, at, payload)
          SELECT e.task_id, e.seq, e.at, e.payload FROM ${eventValues(sql, rows)}`
    }
  }
)
