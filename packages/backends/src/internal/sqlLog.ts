/**
 * Writes, reads and removes the event logs.
 */
import { TaskId } from "@perennial/domain/Ids"
import { isTerminal } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { CursorAhead, EventsExpired, TaskNotFound } from "@perennial/domain/TaskError"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Effect, Schema } from "effect"
import { toTaskBackendError } from "./backendError.ts"
import { progress, summaryText, waitingFlag } from "./eventPayload.ts"
import { decodePageEvents, decodePageTasks, toEventRows, toStoredEvents } from "./eventRow.ts"
import type { Dialect } from "./sqlDialect.ts"
import { readRows } from "./sqlRows.ts"
import { toMillis, tryCodec } from "./storeRetry.ts"
import { byClaim, type TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]
type Entry = Parameters<Service["append"]>[0][number]

const toAppending = ({ claim, events, summary }: Entry) => ({
  claim,
  rows: toEventRows(claim, events),
  first: events[0].seq,
  last: events[0].seq + events.length - 1,
  progress: progress(events),
  summary: summaryText(summary),
  waiting: waitingFlag(summary)
})

const readLogEnds = readRows(Schema.Struct({
  id: TaskId,
  token: Schema.Int,
  intents: Schema.Int,
  last_seq: Schema.Int
}))

const readIds = readRows(Schema.Struct({ id: TaskId }))
const readSpecs = readRows(Schema.Struct({ id: TaskId, spec: Schema.String }))

export const make = (
  { boundTransaction, rowsOf, sql, time, withRetries, withTransaction }: Dialect,
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
          const entries = yield* tryCodec(() => batch.map(toAppending))
          const appended = byClaim(yield* statements.append(entries, yield* time))
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
          const rows = yield* statements.page({ id, ...options })
          const [task] = yield* decodePageTasks(rows.slice(0, 1))
          if (task === undefined) return yield* new TaskNotFound({ taskId: id })
          if (task.pruned === 1) return yield* new EventsExpired({ taskId: id })
          const lastSeq = task.last_seq
          if (after > lastSeq) return yield* new CursorAhead({ taskId: id, after, lastSeq })
          const ids = { taskId: id, conversationId: task.conversation_id }
          const found = yield* decodePageEvents(rows)
          return { events: toStoredEvents(found, ids), lastSeq, ended: isTerminal(task.status) }
        }), toTaskBackendError("events")),

    lastSeqs: (ids) =>
      ids.length === 0 ? Effect.succeed([]) : withRetries(() =>
        Effect.map(
          logEnds(ids),
          (rows) => rows.map((row) => ({ taskId: row.id, lastSeq: row.last_seq }))
        ), toTaskBackendError("lastSeqs")),

    prune: ({ finishedFor, limit }) =>
      withRetries(() =>
        withTransaction(Effect.gen(function*() {
          const now = yield* time
          yield* sql`SELECT ${boundTransaction}`
          // A query of its own computes the time once: PostgreSQL searches no index for a time that changes from row to row.
          const last = sql`(SELECT ${now} - ${toMillis(finishedFor)})`
          const found = yield* readSpecs(sql`SELECT id, spec FROM perennial_tasks
            WHERE finished_at <= ${last} AND pruned = 0 ORDER BY finished_at, id LIMIT ${limit}`)
          if (found.length === 0) return 0
          const specs = rowsOf(found, {
            task: ["text", ({ id }) => id],
            kept: ["text", ({ spec }) => TaskSpec.pruneText(spec)]
          })
          // Another process may prune the same tasks.
          const pruned = yield* readIds(sql`UPDATE perennial_tasks AS t SET pruned = 1, spec = i.kept FROM ${specs}
            WHERE t.id = i.task AND t.pruned = 0 RETURNING id`)
          if (pruned.length === 0) return 0
          const ids = pruned.map((row) => row.id)
          // The body of the message goes with its log: the conversation has it, too.
          yield* sql`DELETE FROM perennial_task_events WHERE ${sql.in("task_id", ids)}`
          yield* sql`DELETE FROM perennial_task_intents WHERE ${sql.in("task_id", ids)}`
          return ids.length
        })), toTaskBackendError("prune"))
  }
}
