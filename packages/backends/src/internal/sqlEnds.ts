/**
 * The order in which tasks ended, for readers that must not miss an end.
 *
 * An end gets its number after its commit, from the first reader that sees it without one. Readers number one after the
 * other, under a lock, and commit the numbers before they give up the lock: an end that commits late gets a later number
 * than every number that any reader has seen. Numbers are columns of tables, so that a restored dump keeps them.
 */
import type { EndedTask } from "@perennial/domain/EndedTask"
import { TaskId } from "@perennial/domain/Ids"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Effect, Schema } from "effect"
import { toTaskBackendError } from "./backendError.ts"
import { toStoredEvents } from "./eventRow.ts"
import type { Dialect } from "./sqlDialect.ts"
import { decodeRows, Millis, readRows, taskColumns, TaskRow } from "./sqlRows.ts"
import { tryCodec } from "./storeRetry.ts"
import { toTask } from "./taskRow.ts"

/** Whether ends without a number exist, and the cursor of a row. A page without ends is one row without a cursor. */
const decodePlaces = decodeRows(
  Schema.Struct({ unnumbered: Schema.NullOr(Schema.Int), end_cursor: Schema.NullOr(Millis) })
)

const EndRow = Schema.Struct({
  ...TaskRow.fields,
  end_cursor: Millis,
  at: Schema.NullOr(Millis),
  payload: Schema.NullOr(Schema.String)
})
const decodeEnds = decodeRows(EndRow)

const readIds = readRows(Schema.Struct({ id: TaskId }))
const readCounters = readRows(Schema.Struct({ last_cursor: Millis }))

/** Throws when a column cannot be read. */
const toEnded = (row: typeof EndRow.Type): EndedTask => ({
  cursor: Number(row.end_cursor),
  userId: row.user_id,
  task: toTask(row),
  event: toStoredEvents([{ seq: row.last_seq, at: row.at, payload: row.payload }], {
    taskId: row.id,
    conversationId: row.conversation_id
  })[0],
  traceparent: TaskSpec.decodeTraceparent(row.spec)
})

export const make = (
  { boundTransaction, lockRows, rowsOf, sql, withRetries, withTransaction }: Dialect
): Pick<TaskBackend["Service"], "ended"> => {
  const unnumbered = sql.literal("finished_at IS NOT NULL AND end_cursor IS NULL ORDER BY finished_at, id")

  /** A page, and whether there are ends without a number: both as they were at one moment. */
  const readPage = Effect.fnUntraced(function*(after: number, limit: number) {
    const rows = yield* sql`SELECT o.unnumbered, page.* FROM (
        SELECT (SELECT 1 FROM perennial_tasks WHERE ${unnumbered} LIMIT 1) AS unnumbered
      ) o LEFT JOIN (
        SELECT ${taskColumns(sql)}, end_cursor,
          (SELECT at FROM perennial_task_events WHERE task_id = id AND seq = last_seq) AS at,
          (SELECT payload FROM perennial_task_events WHERE task_id = id AND seq = last_seq) AS payload
        FROM perennial_tasks WHERE end_cursor > ${after} ORDER BY end_cursor LIMIT ${limit}
      ) page ON TRUE ORDER BY page.end_cursor`
    const places = yield* decodePlaces(rows)
    const ends = yield* decodeEnds(rows.filter((_, i) => places[i]?.end_cursor !== null))
    return { ends, isComplete: ends.length === limit || places[0]?.unnumbered === null }
  })

  const number = (limit: number) =>
    withTransaction(Effect.gen(function*() {
      const [counter] = yield* readCounters(
        sql`SELECT last_cursor, ${boundTransaction} FROM perennial_ends ${lockRows}`
      )
      // A statement of its own: it sees the numbers of the reader that had the lock before.
      const found = yield* readIds(sql`SELECT id FROM perennial_tasks WHERE ${unnumbered} LIMIT ${limit}`)
      const last = Number(counter?.last_cursor)
      const numbers = rowsOf(found, { task: ["text", ({ id }) => id], cursor: ["bigint", (_, i) => last + i + 1] })
      yield* sql`UPDATE perennial_tasks AS t SET end_cursor = i.cursor FROM ${numbers} WHERE t.id = i.task`
      yield* sql`UPDATE perennial_ends SET last_cursor = ${last + found.length}`
    }))

  return {
    ended: ({ after, limit }) =>
      withRetries(() =>
        Effect.gen(function*() {
          const page = yield* readPage(after, limit)
          if (page.isComplete) return yield* tryCodec(() => page.ends.map(toEnded))
          yield* number(limit)
          const numbered = yield* readPage(after, limit)
          return yield* tryCodec(() => numbered.ends.map(toEnded))
        }), toTaskBackendError("ended"))
  }
}
