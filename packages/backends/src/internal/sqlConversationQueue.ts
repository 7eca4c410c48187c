/**
 * The queue of a conversation: the locked steps that accept, end and promote its tasks.
 *
 * Each step runs inside a transaction that has locked the row of the conversation, in a statement of its own: the
 * transaction then reads what every earlier transaction left (P2, P4).
 */
import * as EventPayload from "@perennial/domain/EventPayload"
import type { ConversationId, TaskId, UserId } from "@perennial/domain/Ids"
import type { Intent } from "@perennial/domain/Intent"
import type { Head } from "@perennial/domain/TaskBackend"
import { Effect, Option, Schema } from "effect"
import type { Statement } from "effect/sql"
import type { Dialect } from "./sqlDialect.ts"
import { unowned } from "./sqlOwnership.ts"
import { nextRound } from "./sqlRounds.ts"
import { headColumns, readHeads, readRows, readTasks, taskColumns, type TaskRow, whereTask } from "./sqlRows.ts"
import { toHead } from "./taskRow.ts"

const readValues = readRows(Schema.Struct({ value: Schema.String }))

const toHeadOption = ([row]: ReadonlyArray<Parameters<typeof toHead>[0]>): Option.Option<Head> =>
  Option.map(Option.fromUndefinedOr(row), toHead)

export const make = ({ boundTransaction, lockRows, sql }: Dialect) => {
  const columns = taskColumns(sql)

  const insertEvent = (id: TaskId, seq: number, now: Statement.Fragment, payload: string, input?: string) =>
    sql`INSERT INTO perennial_task_events (task_id, seq, at, payload, input)
      VALUES (${id}, ${seq}, ${now}, ${payload}, ${input ?? null})`

  return {
    insertEvent,

    /** Locks the conversation of a task. */
    lockOf: (id: TaskId, userId?: UserId) =>
      sql`SELECT conversation_id, last_position, ${boundTransaction} FROM perennial_task_queues WHERE conversation_id =
        (SELECT conversation_id FROM perennial_tasks WHERE ${whereTask(sql, id, userId)}) ${lockRows}`,

    /** Makes the first active task of the conversation its head, unless it is the head already. */
    promote: (conversationId: ConversationId, now: Statement.Fragment) =>
      Effect.map(
        readHeads(sql`UPDATE perennial_tasks AS t SET head = 1,
          round = ${nextRound(sql, sql`t.user_id`, 1)}, updated_at = ${now}
          WHERE head = 0 AND id = (SELECT id FROM perennial_tasks
            WHERE conversation_id = ${conversationId} AND finished_at IS NULL ORDER BY position LIMIT 1)
          RETURNING ${headColumns(sql)}`),
        toHeadOption
      ),

    /** The head that an earlier try promoted, if it has no owner yet. */
    promoted: (conversationId: ConversationId, now: Statement.Fragment) =>
      Effect.map(
        readHeads(sql`SELECT ${headColumns(sql)} FROM perennial_tasks t
          WHERE conversation_id = ${conversationId} AND ${unowned(sql, now)}`),
        toHeadOption
      ),

    /** Cancels a task that was never claimed: no owner writes to its log. */
    cancelWaiting: Effect.fnUntraced(function*(row: TaskRow, reason: string | undefined, now: Statement.Fragment) {
      const event = {
        type: "cancelled" as const,
        taskId: row.id,
        conversationId: row.conversation_id,
        ...(reason === undefined ? undefined : { reason })
      }
      yield* insertEvent(row.id, row.last_seq + 1, now, EventPayload.encode(event))
      return yield* readTasks(sql`UPDATE perennial_tasks SET status = 'cancelled', head = 0, last_seq = last_seq + 1,
        finished_at = ${now}, updated_at = ${now} WHERE id = ${row.id} RETURNING ${columns}`)
    }),

    recordIntent: Effect.fnUntraced(function*(row: TaskRow, intent: Intent, now: Statement.Fragment) {
      yield* sql`INSERT INTO perennial_task_intents (task_id, key, ordinal, value)
        VALUES (${row.id}, ${intent.key}, ${row.intents + 1}, ${JSON.stringify(intent.value)})`
      return yield* readTasks(sql`UPDATE perennial_tasks SET intents = intents + 1, updated_at = ${now}
        WHERE id = ${row.id} RETURNING ${columns}`)
    }),

    /** The text of a recorded intent. */
    intentOf: (id: TaskId, key: string) =>
      Effect.map(
        readValues(sql`SELECT value FROM perennial_task_intents WHERE task_id = ${id} AND key = ${key}`),
        ([row]) => row?.value
      )
  }
}
