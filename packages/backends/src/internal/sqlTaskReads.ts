/**
 * Reads tasks and what was asked of their owners.
 */
import { decodeValue } from "@perennial/domain/Intent"
import { TaskStatus } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskNotFound } from "@perennial/domain/TaskError"
import { Effect, Schema } from "effect"
import { toTaskBackendError } from "./backendError.ts"
import type { Dialect } from "./sqlDialect.ts"
import { mergedPage, readRows, readTasks, taskColumns } from "./sqlRows.ts"
import { tryCodec } from "./storeRetry.ts"
import { toTask } from "./taskRow.ts"
import type { TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]

const readIntents = readRows(Schema.Struct({ key: Schema.String, value: Schema.String }))

export const make = (
  { newestFirst, sql, withRetries }: Dialect,
  { find }: Pick<TaskStatements, "find">
): Pick<Service, "get" | "list" | "intents"> => ({
  get: (id, options) =>
    withRetries(() =>
      Effect.gen(function*() {
        const [row] = yield* find({ id, userId: options?.userId })
        return row === undefined ? yield* new TaskNotFound({ taskId: id }) : yield* tryCodec(() => toTask(row))
      }), toTaskBackendError("get")),

  list: ({ before, conversationId, limit, status = TaskStatus.literals, userId }) => {
    const [first, ...others] = new Set(status)
    if (first === undefined) return Effect.succeed([])
    const filter = (status: TaskStatus) =>
      sql.and([
        ...(conversationId === undefined ? [] : [sql`conversation_id = ${conversationId}`]),
        sql`user_id = ${userId}`,
        sql`status = ${status}`,
        ...(before === undefined ? [] : [sql`id < ${before}`])
      ])
    return withRetries(() =>
      Effect.gen(function*() {
        const rows = yield* readTasks(mergedPage(sql, {
          columns: taskColumns(sql),
          filters: [filter(first), ...others.map(filter)],
          order: newestFirst,
          limit
        }))
        return yield* tryCodec(() => rows.map(toTask))
      }), toTaskBackendError("list"))
  },

  intents: (id) =>
    withRetries(() =>
      Effect.map(
        readIntents(sql`SELECT key, value FROM perennial_task_intents WHERE task_id = ${id} ORDER BY ordinal`),
        (rows) => rows.map(({ key, value }) => ({ key, value: decodeValue(value) }))
      ), toTaskBackendError("intents"))
})
