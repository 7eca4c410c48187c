/**
 * The records of the tasks of all users, for operators: who started which agent when, and how the task ended. A record has
 * nothing of what a task is about (P12).
 *
 * @since 0.1.0
 */
import { Context, type Effect, Schema, Struct } from "effect"
import { ConversationId, RunnerId, UserId } from "./Ids.ts"
import type { Runner } from "./Runner.ts"
import { Task, type TaskCounts } from "./Task.ts"
import type { TaskBackendError } from "./TaskError.ts"
import type { TaskFilter, TaskListing } from "./TaskFilter.ts"
import type { Throughput } from "./Throughput.ts"

const { agentId, attempt, createdAt, endedAt, id, lastSeq, startedAt, status, updatedAt, usage, waitingSince } =
  Task.fields

/**
 * The record of a task: without its message, preview, title, metadata, tool calls and events.
 *
 * @since 0.1.0
 * @category models
 */
export const TaskRecord = Schema.Struct({
  id,
  userId: UserId,
  conversationId: ConversationId,
  agentId,
  status,
  attempt,
  lastSeq,
  createdAt,
  updatedAt,
  startedAt,
  endedAt,
  /** When the oldest of the tool calls was asked that wait for a person. */
  waitingSince,
  usage,
  /** Only with status `error`. The sentence of the error may be about the contents of the task, and is left out. */
  error: Schema.optionalKey(Schema.Struct({ code: Schema.String })),
  /** The process that owns the task: `<host>-<pid>-<id>`, where the process has a name. Only while it has an owner. */
  runner: Schema.optionalKey(RunnerId)
}).annotate({ identifier: "TaskRecord" })

/**
 * @since 0.1.0
 * @category models
 */
export interface TaskRecord extends Schema.Schema.Type<typeof TaskRecord> {}

const kept = (task: Task) =>
  Struct.pick(task, [
    "id",
    "conversationId",
    "agentId",
    "status",
    "attempt",
    "lastSeq",
    "createdAt",
    "updatedAt",
    "startedAt",
    "endedAt",
    "waitingSince",
    "usage"
  ])

/**
 * The record of a task of a user.
 *
 * @since 0.1.0
 * @category constructors
 */
export const toRecord = (
  task: Task,
  { runner, userId }: { readonly userId: UserId; readonly runner?: RunnerId | null | undefined }
): TaskRecord => ({
  ...kept(task),
  userId,
  ...(task.error === undefined ? undefined : { error: { code: task.error.code } }),
  ...(runner === undefined || runner === null ? undefined : { runner })
})

/**
 * Which tasks an operator sees: child tasks, too. Without `userId` and `conversationId` the tasks of all users.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordFilter extends Omit<TaskFilter, "userId" | "withoutChildren"> {
  readonly userId?: UserId | undefined
  /** Only tasks that this runner owns: of more than `maxOwned` tasks a part. */
  readonly runner?: RunnerId | undefined
}

/**
 * A page of records.
 *
 * @since 0.1.0
 * @category models
 */
export interface RecordListing extends RecordFilter, Pick<TaskListing, "order" | "limit"> {}

/**
 * How many of the tasks of one runner a list looks at.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxOwned = 1_000

/**
 * The records of all users' tasks, and the processes that execute them. No method asks who the caller is.
 *
 * **When to use** For operators: to users the tasks of other users do not exist (P12).
 *
 * @since 0.1.0
 * @category services
 */
export class TaskRecords extends Context.Service<TaskRecords, {
  /** A page of records, newest or oldest first by id. The next page begins at the last id of the page before. */
  readonly records: (options: RecordListing) => Effect.Effect<ReadonlyArray<TaskRecord>, TaskBackendError>

  /** How many tasks there are, each number at most `Task.maxCount`. */
  readonly countRecords: (
    options: Pick<RecordFilter, "userId" | "conversationId" | "agentId">
  ) => Effect.Effect<TaskCounts, TaskBackendError>

  /**
   * How many tasks began and ended in each minute of the last hour, by the times of their records: of a user, or of all users.
   * A deleted task is not counted. The oldest minutes are left out where more tasks than `Throughput.maxCounted` began or ended.
   */
  readonly throughput: (options: {
    readonly userId?: UserId | undefined
  }) => Effect.Effect<Throughput, TaskBackendError>

  /** The processes whose leases have not run out, by id, at most `limit`. */
  readonly runners: (options: {
    /** 1 to 1,000. */
    readonly limit: number
  }) => Effect.Effect<ReadonlyArray<Runner>, TaskBackendError>
}>()("@perennial/domain/TaskRecords") {}
