/**
 * Lists and counts tasks: those of a user, and the records of all users.
 */
import { RunnerId } from "@perennial/domain/Ids"
import { maxCount, type TaskCounts, TaskStatus } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskFilter } from "@perennial/domain/TaskFilter"
import { maxOwned, type RecordFilter, type RecordListing, toRecord } from "@perennial/domain/TaskRecords"
import { type Array as Arr, Effect, Schema } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { toTaskBackendError } from "./backendError.ts"
import type { Dialect } from "./sqlDialect.ts"
import { mergedPage, Millis, readRows, readTasks, taskColumns, TaskRow } from "./sqlRows.ts"
import { tryCodec } from "./storeRetry.ts"
import { toTask } from "./taskRow.ts"

type Service = TaskBackend["Service"]
/** The filter of a list of a user, or of the records of all users. */
type Filter = RecordFilter & Pick<TaskFilter, "withoutChildren">
type Counting = Pick<Filter, "userId" | "conversationId" | "agentId" | "withoutChildren">

const readCounts = readRows(Schema.Struct({ name: Schema.String, number: Millis }))

const readRecords = readRows(Schema.Struct({ ...TaskRow.fields, runner_id: Schema.NullOr(RunnerId) }))

const noTasks: TaskCounts = { queued: 0, running: 0, completed: 0, error: 0, cancelled: 0, waiting: 0 }

/** Whose tasks: a conversation has one user. The indexes of all users' tasks have only tasks with a position, which all have. */
const scope = (
  sql: SqlClient.SqlClient,
  { conversationId, userId }: RecordFilter
): ReadonlyArray<Statement.Fragment> => {
  const inConversation = conversationId === undefined ? [] : [sql`conversation_id = ${conversationId}`]
  if (userId !== undefined) return [...inConversation, sql`user_id = ${userId}`]
  return conversationId === undefined
    ? [sql.literal("position > 0")]
    : [
      ...inConversation,
      sql`user_id = (SELECT user_id FROM perennial_task_queues WHERE conversation_id = ${conversationId})`
    ]
}

const conditions = (sql: SqlClient.SqlClient, filter: Filter): ReadonlyArray<Statement.Fragment> => [
  ...scope(sql, filter),
  ...(filter.agentId === undefined ? [] : [sql`agent_id = ${filter.agentId}`]),
  ...(filter.withoutChildren === true ? [sql.literal("id NOT LIKE '%.%'")] : []),
  ...(filter.before === undefined ? [] : [sql`id < ${filter.before}`]),
  ...(filter.after === undefined ? [] : [sql`id > ${filter.after}`])
]

/** A task that has ended waits for nobody. */
const isWaiting = (sql: SqlClient.SqlClient) => sql.literal("waiting = 1 AND finished_at IS NULL")

export const make = (
  { newestFirst, oldestFirst, sql, withRetries }: Dialect
): Pick<Service, "list" | "counts" | "records" | "countRecords"> => {
  const withRunner = sql`${taskColumns(sql)}, runner_id`

  /** The filters of a page that an index has each. */
  const indexed = ({ status = TaskStatus.literals, waiting, ...filter }: Filter) => {
    const [first, ...others] = new Set(status)
    if (first === undefined) return undefined
    const all = conditions(sql, filter)
    const select = (status: TaskStatus) => sql.and([...all, sql`status = ${status}`])
    // One index has what waits, of every status. An expression is searched in no other index.
    const filters: Arr.NonEmptyReadonlyArray<Statement.Fragment> = waiting === true
      ? [sql.and([...all, isWaiting(sql), sql`(status || '') IN ${sql.in([first, ...others])}`])]
      : [select(first), ...others.map(select)]
    return filters
  }

  const orderOf = (order: RecordListing["order"]) => order === "oldest" ? oldestFirst : newestFirst

  /** What a runner owns is not much: it is filtered after it is read. */
  const ofRunner = (runner: RunnerId, { limit, order, status, waiting, ...filter }: RecordListing) => {
    const wanted = [
      ...conditions(sql, filter),
      ...(status === undefined ? [] : [sql.in("status", status)]),
      ...(waiting === true ? [sql.literal("waiting = 1")] : [])
    ]
    return sql`SELECT ${withRunner} FROM (
        SELECT ${withRunner}, position, waiting FROM perennial_tasks WHERE runner_id = ${runner}
        ORDER BY round, created_at, id LIMIT ${maxOwned}
      ) page WHERE ${sql.and(wanted)} ORDER BY ${orderOf(order)} LIMIT ${limit}`
  }

  const counting = ({ withoutChildren, ...filter }: Counting) => {
    const all = conditions(sql, filter)
    const listed = conditions(sql, { ...filter, withoutChildren })
    const count = (name: string, all: ReadonlyArray<Statement.Fragment>, condition: Statement.Fragment) =>
      sql`SELECT ${sql.literal(`'${name}'`)} AS name, COUNT(*) AS number FROM (SELECT 1 AS one FROM perennial_tasks
        WHERE ${sql.and([...all, condition])} ORDER BY ${newestFirst} LIMIT ${maxCount}) page`
    const each = [
      ...TaskStatus.literals.map((status) => count(status, listed, sql`status = ${status}`)),
      count("waiting", all, isWaiting(sql))
    ]
    return Effect.map(
      readCounts(sql`${sql.join(" UNION ALL ", false)(each)}`),
      (rows) => ({ ...noTasks, ...Object.fromEntries(rows.map(({ name, number }) => [name, Number(number)])) })
    )
  }

  return {
    list: ({ limit, order, ...filter }) => {
      const filters = indexed(filter)
      if (filters === undefined) return Effect.succeed([])
      return withRetries(() =>
        Effect.gen(function*() {
          const rows = yield* readTasks(
            mergedPage(sql, { columns: taskColumns(sql), filters, order: orderOf(order), limit })
          )
          return yield* tryCodec(() => rows.map(toTask))
        }), toTaskBackendError("list"))
    },
    counts: (filter) => withRetries(() => counting(filter), toTaskBackendError("counts")),
    records: ({ runner, ...options }) => {
      const { limit, order, ...filter } = options
      const filters = indexed(filter)
      if (filters === undefined) return Effect.succeed([])
      return withRetries(() =>
        Effect.gen(function*() {
          const rows = yield* readRecords(
            runner === undefined
              ? mergedPage(sql, { columns: withRunner, filters, order: orderOf(order), limit })
              : ofRunner(runner, options)
          )
          return yield* tryCodec(() =>
            rows.map((row) => toRecord(toTask(row), { userId: row.user_id, runner: row.runner_id }))
          )
        }), toTaskBackendError("records"))
    },
    countRecords: (filter) => withRetries(() => counting(filter), toTaskBackendError("countRecords"))
  }
}
