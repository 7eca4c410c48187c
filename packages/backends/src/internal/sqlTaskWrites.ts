/**
 * Ends tasks, records what is asked of their owners, and deletes conversations.
 *
 * Each is one transaction that locks the row of the conversation first (P2, P4). SQLite has one writer at a time (`BEGIN
 * IMMEDIATE`). On PostgreSQL, the end of the newest task of a conversation is one batched statement instead.
 */
import { TaskId, UserId } from "@perennial/domain/Ids"
import { cancelKey, cancelReason, decodeValue } from "@perennial/domain/Intent"
import { isTerminal as isEnded } from "@perennial/domain/Task"
import type { Fence, TaskBackend } from "@perennial/domain/TaskBackend"
import { ConversationBusy, LeaseLost, TaskNotFound } from "@perennial/domain/TaskError"
import { isTerminal, terminalStatus } from "@perennial/domain/TaskEvent"
import { Effect, Option, Schema } from "effect"
import type { Statement } from "effect/sql"
import { toTaskBackendError } from "./backendError.ts"
import { toEventRows } from "./eventRow.ts"
import * as ConversationQueue from "./sqlConversationQueue.ts"
import type { Dialect } from "./sqlDialect.ts"
import { Millis, readRows, readTasks, taskColumns, toSqlText, whereTask } from "./sqlRows.ts"
import { tryCodec } from "./storeRetry.ts"
import { toTask } from "./taskRow.ts"
import type { Ending, TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]

const readOwners = readRows(Schema.Struct({ user_id: UserId }))
const readIds = readRows(Schema.Struct({ id: TaskId }))
const readCounts = readRows(Schema.Struct({ tasks: Millis, events: Millis, intents: Millis }))

export const make = (
  dialect: Dialect,
  { finishNewest, insertEvents }: Pick<TaskStatements, "finishNewest" | "insertEvents">
): Pick<Service, "finish" | "putIntent" | "deleteConversation" | "forgetUser"> => {
  const { boundTransaction, eraseDeleted, lockRows, noteDeleted, sql, time, withRetries, withTransaction } = dialect
  const { cancelWaiting, intentOf, lockOf, promote, promoted, recordIntent } = ConversationQueue.make(dialect)
  const columns = taskColumns(sql)

  /** Whether an earlier try ended the task, though its reply was lost. */
  const finishedBefore = Effect.fnUntraced(
    function*({ taskId, token }: Fence, lastSeq: number, now: Statement.Fragment) {
      const [row] = yield* readTasks(sql`SELECT ${columns} FROM perennial_tasks WHERE id = ${taskId}`)
      return row?.token === token && row.last_seq === lastSeq && isEnded(row.status)
        ? yield* promoted(row.conversation_id, now)
        : yield* new LeaseLost({ taskId, token })
    }
  )

  /** Ends a task, and makes the next one of its conversation the head. */
  const finishAny = (ending: Ending, again: boolean) =>
    withTransaction(Effect.gen(function*() {
      const now = yield* time
      const { claim, error, first, last, rows, status } = ending
      yield* lockOf(claim.taskId)
      const [row] = yield* readTasks(
        sql`UPDATE perennial_tasks SET status = ${status}, error_code = ${error?.code ?? null},
          error = ${
          error?.detail ?? null
        }, head = 0, runner_id = NULL, last_seq = ${last}, finished_at = ${now}, updated_at = ${now}
        WHERE id = ${claim.taskId} AND token = ${claim.token} AND last_seq = ${first - 1}
          AND runner_id IS NOT NULL AND finished_at IS NULL
        RETURNING ${columns}`
      )
      if (row === undefined) return yield* again ? finishedBefore(claim, last, now) : new LeaseLost(claim)
      yield* insertEvents(rows)
      return yield* promote(row.conversation_id, now)
    }))

  const finish: Service["finish"] = ({ taskId, token }, events) => {
    const terminal = events.at(-1)?.event
    if (terminal === undefined || !isTerminal(terminal)) return Effect.die("The last event of a task is terminal (P4)")
    const [{ seq: first }] = events
    const claim = { taskId, token }
    const toEnding = (): Ending => ({
      claim,
      rows: toEventRows(claim, events),
      first,
      last: first + events.length - 1,
      status: terminalStatus(terminal),
      error: terminal.type === "error"
        ? { code: toSqlText(terminal.error), detail: toSqlText(terminal.detail) }
        : undefined
    })
    return withRetries((again) =>
      Effect.gen(function*() {
        const ending = yield* tryCodec(toEnding)
        return (yield* finishNewest(ending)) ? Option.none() : yield* finishAny(ending, again)
      }), toTaskBackendError("finish"))
  }

  const putIntent: Service["putIntent"] = (id, intent, options) =>
    withRetries((again) =>
      withTransaction(Effect.gen(function*() {
        const now = yield* time
        const userId = options?.userId
        yield* lockOf(id, userId)
        const [row] = yield* readTasks(sql`SELECT ${columns} FROM perennial_tasks
          WHERE ${whereTask(sql, id, userId)} ${lockRows}`)
        if (row === undefined) return yield* new TaskNotFound({ taskId: id })
        const before = yield* intentOf(id, intent.key)
        if (before !== undefined || isEnded(row.status)) {
          return {
            written: again && before === JSON.stringify(intent.value),
            value: before === undefined ? Option.none() : Option.some(decodeValue(before)),
            task: yield* tryCodec(() => toTask(row)),
            promoted: again ? yield* promoted(row.conversation_id, now) : Option.none()
          }
        }
        const [recorded = row] = yield* recordIntent(row, intent, now)
        const ends = intent.key === cancelKey && row.attempt === 0
        const [after = recorded] = ends ? yield* cancelWaiting(recorded, cancelReason(intent.value), now) : []
        return {
          written: true,
          value: Option.some(intent.value),
          task: yield* tryCodec(() => toTask(after)),
          promoted: ends ? yield* promote(row.conversation_id, now) : Option.none()
        }
      })), toTaskBackendError("putIntent"))

  const deleteConversation: Service["deleteConversation"] = ({ conversationId, userId }) =>
    withRetries(() =>
      withTransaction(Effect.gen(function*() {
        const [queue] = yield* readOwners(sql`SELECT user_id, ${boundTransaction} FROM perennial_task_queues
          WHERE conversation_id = ${conversationId} ${lockRows}`)
        if (queue?.user_id !== userId) return { tasks: 0, events: 0, intents: 0 }
        const [active] = yield* readIds(sql`SELECT id FROM perennial_tasks
          WHERE conversation_id = ${conversationId} AND finished_at IS NULL ORDER BY position LIMIT 1`)
        if (active !== undefined) return yield* new ConversationBusy({ conversationId, activeTaskId: active.id })
        const tasks = sql`(SELECT id FROM perennial_tasks WHERE conversation_id = ${conversationId})`
        const [counts] = yield* readCounts(sql`SELECT
          (SELECT COUNT(*) FROM perennial_tasks WHERE conversation_id = ${conversationId}) AS tasks,
          (SELECT COUNT(*) FROM perennial_task_events WHERE task_id IN ${tasks}) AS events,
          (SELECT COUNT(*) FROM perennial_task_intents WHERE task_id IN ${tasks}) AS intents`)
        yield* sql`DELETE FROM perennial_task_events WHERE task_id IN ${tasks}`
        yield* sql`DELETE FROM perennial_task_intents WHERE task_id IN ${tasks}`
        yield* sql`DELETE FROM perennial_tasks WHERE conversation_id = ${conversationId}`
        yield* sql`DELETE FROM perennial_task_queues WHERE conversation_id = ${conversationId}`
        yield* noteDeleted
        return {
          tasks: Number(counts?.tasks),
          events: Number(counts?.events),
          intents: Number(counts?.intents)
        }
      })), toTaskBackendError("deleteConversation"))

  const forgetUser: Service["forgetUser"] = () => withRetries(() => eraseDeleted, toTaskBackendError("forgetUser"))

  return { finish, putIntent, deleteConversation, forgetUser }
}
