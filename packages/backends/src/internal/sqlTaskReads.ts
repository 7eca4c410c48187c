/**
 * Reads tasks and what was asked of their owners.
 */
import { decodeValue } from "@perennial/domain/Intent"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskNotFound } from "@perennial/domain/TaskError"
import { Effect, Option, Schema } from "effect"
import { toTaskBackendError } from "./backendError.ts"
import type { Dialect } from "./sqlDialect.ts"
import { readRows, readTasks, taskColumns } from "./sqlRows.ts"
import { tryCodec } from "./storeRetry.ts"
import { toTask } from "./taskRow.ts"
import type { TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]

const readIntents = readRows(Schema.Struct({ key: Schema.String, value: Schema.String }))

const readPositions = readRows(Schema.Struct({ position: Schema.Int }))

export const make = (
  { sql, withRetries }: Dialect,
  { find }: Pick<TaskStatements, "find">
): Pick<Service, "get" | "nextTask" | "intents"> => ({
  get: (id, options) =>
    withRetries(() =>
      Effect.gen(function*() {
        const [row] = yield* find({ id, userId: options?.userId })
        return row === undefined ? yield* new TaskNotFound({ taskId: id }) : yield* tryCodec(() => toTask(row))
      }), toTaskBackendError("get")),

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

  intents: (id) =>
    withRetries(() =>
      Effect.map(
        readIntents(sql`SELECT key, value FROM perennial_task_intents WHERE task_id = ${id} ORDER BY ordinal`),
        (rows) => rows.map(({ key, value }) => ({ key, value: decodeValue(value) }))
      ), toTaskBackendError("intents"))
})
