/**
 * Writes, reads and removes the event logs.
 */
import { TaskId } from "@perennial/domain/Ids"
import { isTerminal } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { CursorAhead, EventsExpired, TaskNotFound } from "@perennial/domain/TaskError"
import { Effect, Schema } from "effect"
import { toTaskBackendError } from "./backendError.ts"
import { decodeEvent, progress } from "./eventPayload.ts"
import { readPage, toEventRows } from "./eventRow.ts"
import { read } from "./persistence.ts"
import type { Dialect } from "./sqlDialect.ts"
import { decodeRows } from "./sqlRows.ts"
import { byClaim, type TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]
type Entry = Parameters<Service["append"]>[0][number]

const toAppending = ({ claim, events }: Entry) => ({
  claim,
  rows: toEventRows(claim, events),
  first: events[0].seq,
  last: events[0].seq + events.length - 1,
  progress: progress(events)
})

const readLogEnds = decodeRows(Schema.Struct({
  id: TaskId,
  token: Schema.Int,
  intents: Schema.Int,
  last_seq: Schema.Int
}))

const readIds = decodeRows(Schema.Struct({ id: TaskId }))

export const make = (
  { boundTransaction, sql, time, withRetries, withTransaction }: Dialect,
  statements: Pick<TaskStatements, "append" | "page">
): Pick<Service, "append" | "events" | "lastSeqs" | "prune"> => {
  const logEnds = (ids: ReadonlyArray<TaskId>) =>
    readLogEnds(sql`SELECT id, token, intents, last_seq FROM perennial_tasks WHERE ${sql.in("id", ids)}`)

  /**
   * The entries that an earlier try appended, though its reply was lost: their logs end with our last event, under our
   * token.
   */
  const appendedBefore = (batch: ReadonlyArray<Entry>) =>
    batch.length === 0 ? Effect.succeed([]) : Effect.map(logEnds(batch.map(({ claim }) => claim.taskId)), (rows) => {
      const find = byClaim(rows)
      return batch.flatMap(({ claim, events }) => {
        const row = find(claim)
        return row?.last_seq === events[0].seq + events.length - 1 ? [row] : []
      })
    })

  return {
    append: (batch) =>
      withRetries((again) =>
        Effect.gen(function*() {
          const appended = byClaim(yield* statements.append(batch.map(toAppending), yield* time))
          const others = again ? batch.filter(({ claim }) => appended(claim) === undefined) : []
          const before = byClaim(yield* appendedBefore(others))
          return batch.map(({ claim }) => {
            const row = appended(claim) ?? before(claim)
            return { ok: row !== undefined, intents: row?.intents ?? 0 }
          })
        }), toTaskBackendError("append")),

    events: (id, options) =>
      withRetries(() =>
        Effect.gen(function*() {
          const { after } = options
          const rows = yield* readPage(statements.page({ id, ...options }))
          const [task] = rows
          if (task === undefined) return yield* new TaskNotFound({ taskId: id })
          if (task.pruned === 1) return yield* new EventsExpired({ taskId: id })
          const lastSeq = task.last_seq
          if (after > lastSeq) return yield* new CursorAhead({ taskId: id, after, lastSeq })
          const events = yield* read(() =>
            rows.flatMap(({ at, payload, seq }) =>
              seq === null || payload === null ? [] : [{ seq, at: Number(at), event: decodeEvent(payload) }]
            )
          )
          return { events, lastSeq, ended: isTerminal(task.status) }
        }), toTaskBackendError("events")),

    lastSeqs: (ids) =>
      ids.length === 0 ? Effect.succeed([]) : withRetries(() =>
        Effect.map(
          logEnds(ids),
          (rows) => rows.map((row) => ({ taskId: row.id, lastSeq: row.last_seq }))
        ), toTaskBackendError("lastSeqs")),

    prune: ({ finishedBefore, limit }) =>
      withRetries(() =>
        withTransaction(Effect.gen(function*() {
          yield* sql`SELECT ${boundTransaction}`
          // The body of the message goes with its log: the conversation has it, too. Only an owner needed the rest.
          const found = yield* readIds(sql`SELECT id FROM perennial_tasks
            WHERE finished_at < ${finishedBefore} AND pruned = 0 ORDER BY finished_at, id LIMIT ${limit}`)
          if (found.length === 0) return 0
          // Another process may prune the same tasks.
          const rows = yield* readIds(sql`UPDATE perennial_tasks
            SET pruned = 1, user_metadata = NULL, log_context = NULL
            WHERE pruned = 0 AND ${sql.in("id", found.map((row) => row.id))} RETURNING id`)
          if (rows.length === 0) return 0
          const ids = rows.map((row) => row.id)
          yield* sql`DELETE FROM perennial_task_events WHERE ${sql.in("task_id", ids)}`
          yield* sql`DELETE FROM perennial_task_intents WHERE ${sql.in("task_id", ids)}`
          return rows.length
        })), toTaskBackendError("prune"))
  }
}
