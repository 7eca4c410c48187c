/**
 * Reads tasks and what was asked of their owners.
 */
import { decodeValue } from "@perennial/domain/Intent"
import { maxCount, type TaskCounts, TaskStatus } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskNotFound } from "@perennial/domain/TaskError"
import type { TaskFilter } from "@perennial/domain/TaskFilter"
import { type Array as Arr, Effect, Option, Schema } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { toTaskBackendError } from "./backendError.ts"
import type { Dialect } from "./sqlDialect.ts"
import { mergedPage, Millis, readRows, readTasks, taskColumns } from "./sqlRows.ts"
import { tryCodec } from "./storeRetry.ts"
import { toTask } from "./taskRow.ts"
import type { TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]

const readIntents = readRows(Schema.Struct({ key: Schema.String, value: Schema.String }))

const readPositions = readRows(Schema.Struct({ position: Schema.Int }))

const readCounts = readRows(Schema.Struct({ name: Schema.String, number: Millis }))

const noTasks: TaskCounts = { queued: 0, running: 0, completed: 0, error: 0, cancelled: 0, waiting: 0 }

const conditions = (
  sql: SqlClient.SqlClient,
  { after, agentId, before, conversationId, userId }: Omit<TaskFilter, "status" | "waiting">
): ReadonlyArray<Statement.Fragment> => [
  ...(conversationId === undefined ? [] : [sql`conversation_id = ${conversationId}`]),
  sql`user_id = ${userId}`,
  ...(agentId === undefined ? [] : [sql`agent_id = ${agentId}`]),
  ...(before === undefined ? [] : [sql`id < ${before}`]),
  ...(after === undefined ? [] : [sql`id > ${after}`])
]

/** A task that has ended waits for nobody. */
const isWaiting = (sql: SqlClient.SqlClient) => sql.literal("waiting = 1 AND finished_at IS NULL")

export const make = (
  { newestFirst, oldestFirst, sql, withRetries }: Dialect,
  { find }: Pick<TaskStatements, "find">
): Pick<Service, "get" | "list" | "nextTask" | "counts" | "intents"> => ({
  get: (id, options) =>
    withRetries(() =>
      Effect.gen(function*() {
        const [row] = yield* find({ id, userId: options?.userId })
        return row === undefined ? yield* new TaskNotFound({ taskId: id }) : yield* tryCodec(() => toTask(row))
      }), toTaskBackendError("get")),

  list: ({ limit, order, status = TaskStatus.literals, waiting, ...filter }) => {
    const [first, ...others] = new Set(status)
    if (first === undefined) return Effect.succeed([])
    const select = (status: TaskStatus) => sql.and([...conditions(sql, filter), sql`status = ${status}`])
    // One index has what waits, of every status.
    const filters: Arr.NonEmptyReadonlyArray<Statement.Fragment> = waiting === true
      ? [sql.and([...conditions(sql, filter), isWaiting(sql), sql.in("status", [first, ...others])])]
      : [select(first), ...others.map(select)]
    return withRetries(() =>
      Effect.gen(function*() {
        const rows = yield* readTasks(mergedPage(sql, {
          columns: taskColumns(sql),
          filters,
          order: order === "oldest" ? oldestFirst : newestFirst,
          limit
        }))
        return yield* tryCodec(() => rows.map(toTask))
      }), toTaskBackendError("list"))
  },

  nextTask: ({ after, conversationId, userId }) =>
    withRetries(() =>
      Effect.gen(function*() {
        const [place] = after === undefined ? [] : yield* readPositions(sql`SELECT position FROM perennial_tasks
          WHERE id = ${after} AND conversation_id = ${conversationId} AND user_id = ${userId}`)
        if (after !== undefined && place === undefined) return yield* new TaskNotFound({ taskId: after })
        const rows = yield* readTasks(sql`SELECT ${taskColumns(sql)} FROM perennial_tasks
          WHERE conversation_id = ${conversationId} AND user_id = ${userId} AND position > ${place?.position ?? 0}
          ORDER BY position LIMIT 1`)
        return yield* tryCodec(() => Option.map(Option.fromUndefinedOr(rows[0]), toTask))
      }), toTaskBackendError("nextTask")),

  counts: (filter) => {
    const count = (name: string, condition: Statement.Fragment) =>
      sql`SELECT ${sql.literal(`'${name}'`)} AS name, COUNT(*) AS number FROM (SELECT 1 AS one FROM perennial_tasks
        WHERE ${sql.and([...conditions(sql, filter), condition])} ORDER BY ${newestFirst} LIMIT ${maxCount}) page`
    const each = [
      ...TaskStatus.literals.map((status) => count(status, sql`status = ${status}`)),
      count("waiting", isWaiting(sql))
    ]
    return withRetries(() =>
      Effect.map(
        readCounts(sql`${sql.join(" UNION ALL ", false)(each)}`),
        (rows) => ({ ...noTasks, ...Object.fromEntries(rows.map(({ name, number }) => [name, Number(number)])) })
      ), toTaskBackendError("counts"))
  },

  intents: (id) =>
    withRetries(() =>
      Effect.map(
        readIntents(sql`SELECT key, value FROM perennial_task_intents WHERE task_id = ${id} ORDER BY ordinal`),
        (rows) => rows.map(({ key, value }) => ({ key, value: decodeValue(value) }))
      ), toTaskBackendError("intents"))
})
