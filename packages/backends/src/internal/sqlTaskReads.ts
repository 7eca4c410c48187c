/**
 * Reads tasks and what was asked of their owners.
 */
import { isTerminal } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskNotFound } from "@perennial/domain/TaskError"
import { Effect, Schema } from "effect"
import { toTaskBackendError } from "./backendError.ts"
import { read } from "./persistence.ts"
import type { Dialect } from "./sqlDialect.ts"
import { decodeRows, readTasks, taskColumns } from "./sqlRows.ts"
import { toTask } from "./taskRow.ts"
import type { TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]

const readIntents = decodeRows(Schema.Struct({ key: Schema.String, value: Schema.fromJsonString(Schema.Json) }))

export const make = (
  { sql, withRetries }: Dialect,
  { find }: Pick<TaskStatements, "find">
): Pick<Service, "get" | "list" | "intents"> => ({
  get: (id, options) =>
    withRetries(() =>
      Effect.gen(function*() {
        const [row] = yield* find({ id, userId: options?.userId })
        return row === undefined ? yield* new TaskNotFound({ taskId: id }) : yield* read(() => toTask(row))
      }), toTaskBackendError("get")),

  list: ({ before, conversationId, limit, status, userId }) => {
    if (status !== undefined && status.length === 0) return Effect.succeed([])
    const filter = sql.and([
      sql`user_id = ${userId}`,
      ...(conversationId === undefined ? [] : [sql`conversation_id = ${conversationId}`]),
      ...(status === undefined ? [] : [sql.in("status", status)]),
      // Says the same again, where an index holds active tasks alone.
      ...(status === undefined || status.some(isTerminal) ? [] : [sql`finished_at IS NULL`]),
      ...(before === undefined ? [] : [sql`id < ${before}`])
    ])
    return withRetries(() =>
      Effect.gen(function*() {
        const rows = yield* readTasks(sql`SELECT ${taskColumns(sql)} FROM perennial_tasks
          WHERE ${filter} ORDER BY id DESC LIMIT ${limit}`)
        return yield* read(() => rows.map(toTask))
      }), toTaskBackendError("list"))
  },

  intents: (id) =>
    withRetries(
      () => readIntents(sql`SELECT key, value FROM perennial_task_intents WHERE task_id = ${id} ORDER BY ordinal`),
      toTaskBackendError("intents")
    )
})
