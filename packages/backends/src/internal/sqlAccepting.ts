/**
 * Accepts tasks. `create` is one transaction that locks the row of the conversation first; on PostgreSQL, a task of an
 * idle conversation is accepted by one batched statement instead.
 */
import { type TaskId, UserId } from "@perennial/domain/Ids"
import { cancelKey, interruptReason } from "@perennial/domain/Intent"
import * as MessagePayload from "@perennial/domain/MessagePayload"
import type { Created, NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import {
  ConversationBusy,
  ConversationNotFound,
  IdempotencyConflict,
  QueueFull,
  TooManyActiveTasks
} from "@perennial/domain/TaskError"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Data, Effect, Option, Schema } from "effect"
import { SqlError, type Statement } from "effect/sql"
import { toTaskBackendError } from "./backendError.ts"
import { encodeAck } from "./eventPayload.ts"
import * as ConversationQueue from "./sqlConversationQueue.ts"
import type { Dialect } from "./sqlDialect.ts"
import { unowned } from "./sqlOwnership.ts"
import { nextRound } from "./sqlRounds.ts"
import { readRows, readTasks, taskColumns, TaskRow } from "./sqlRows.ts"
import { tryCodec } from "./storeRetry.ts"
import { toHead, toTask } from "./taskRow.ts"
import type { TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]
type Accepting = Parameters<Service["create"]>[1]

const ExistingRow = Schema.Struct({ ...TaskRow.fields, unowned: Schema.Int })
const readExisting = readRows(ExistingRow)

const readPositions = readRows(Schema.Struct({ user_id: UserId, last_position: Schema.Int }))

/** Rolls a `create` back whose task exists already. */
class Existing extends Data.TaggedError("Existing")<{ readonly row: typeof ExistingRow.Type }> {}

type Interrupted = Pick<Created, "cancelled" | "cancelling">

const toCreated = (
  row: TaskRow,
  runnable: boolean,
  { cancelled, cancelling }: Interrupted = { cancelled: [], cancelling: [] }
): Created => ({
  task: toTask(row),
  created: true,
  head: runnable ? Option.some(toHead(row)) : Option.none(),
  cancelled,
  cancelling
})

/** A concurrent call wrote the same task id or idempotency key first: the next try finds it. */
const isDuplicate = (error: unknown) =>
  SqlError.isSqlError(error) && (error.reason._tag === "UniqueViolation" || error.reason._tag === "ConstraintError")

export const make = (
  dialect: Dialect,
  { acceptIdle, countActive }: Pick<TaskStatements, "acceptIdle" | "countActive">
): Pick<Service, "create"> => {
  const { boundTransaction, lockRows, sql, time, withRetries, withTransaction } = dialect
  const { cancelWaiting, insertEvent, intentOf, recordIntent } = ConversationQueue.make(dialect)
  const columns = taskColumns(sql)

  const insertTask = (task: NewTask, position: number, isHead: boolean, now: Statement.Fragment) =>
    readTasks(sql`INSERT INTO perennial_tasks (position, head, id, conversation_id, user_id, agent_id, spec,
        idempotency_key, request_hash, status, last_seq, round, created_at, updated_at)
      VALUES (${position}, ${isHead ? 1 : 0}, ${task.id}, ${task.conversationId}, ${task.userId}, ${task.agentId},
        ${TaskSpec.encode(task.spec)}, ${task.idempotency?.key ?? null}, ${task.idempotency?.requestHash ?? null},
        'queued', 1, ${isHead ? nextRound(sql, sql`${task.userId}`, 0) : sql`0`}, ${now}, ${now})
      RETURNING ${columns}`)

  const findExisting = Effect.fnUntraced(function*(task: NewTask, now: Statement.Fragment) {
    const select = sql`SELECT ${columns}, CASE WHEN ${unowned(sql, now)} THEN 1 ELSE 0 END AS unowned
      FROM perennial_tasks t`
    if (task.idempotency !== undefined) {
      const { key, requestHash } = task.idempotency
      const [row] = yield* readExisting(sql`${select} WHERE user_id = ${task.userId} AND idempotency_key = ${key}`)
      if (row !== undefined && row.request_hash !== requestHash) {
        return yield* new IdempotencyConflict({ idempotencyKey: key })
      }
      if (row !== undefined) return yield* new Existing({ row })
    }
    const [row] = yield* readExisting(sql`${select} WHERE id = ${task.id}`)
    if (row !== undefined && row.user_id !== task.userId) {
      return yield* toTaskBackendError("create")(`the id ${task.id} is taken`)
    }
    if (row !== undefined) return yield* new Existing({ row })
  })

  const interrupt = Effect.fnUntraced(function*(active: ReadonlyArray<TaskRow>, now: Statement.Fragment) {
    const cancelled: Array<TaskId> = []
    const cancelling: Array<TaskId> = []
    for (const row of active) {
      if (row.attempt === 0) {
        yield* cancelWaiting(row, interruptReason, now)
        cancelled.push(row.id)
      } else {
        if ((yield* intentOf(row.id, cancelKey)) === undefined) {
          yield* recordIntent(row, { key: cancelKey, value: { reason: interruptReason } }, now)
        }
        cancelling.push(row.id)
      }
    }
    return { cancelled, cancelling }
  })

  const acceptInTurn = Effect.fnUntraced(function*(task: NewTask, { maxActive, maxQueued, onBusy }: Accepting) {
    const now = yield* time
    const { conversationId, userId } = task
    // Every transaction takes the lock of the user before the lock of the conversation.
    if (maxActive !== undefined) yield* countActive(userId, 0)
    // Takes the lock and the position in one statement.
    const [queue] = yield* readPositions(sql`
      INSERT INTO perennial_task_queues (conversation_id, user_id, last_position) VALUES (${conversationId}, ${userId}, 1)
      ON CONFLICT (conversation_id) DO UPDATE SET last_position = perennial_task_queues.last_position + 1
      RETURNING user_id, last_position, ${boundTransaction}`)
    yield* findExisting(task, now)
    if (queue === undefined || queue.user_id !== userId) return yield* new ConversationNotFound({ conversationId })
    const active = yield* readTasks(sql`SELECT ${columns} FROM perennial_tasks
      WHERE conversation_id = ${conversationId} AND finished_at IS NULL ORDER BY position ${lockRows}`)
    const [busy] = active
    if (busy !== undefined && onBusy === "reject") {
      return yield* new ConversationBusy({ conversationId, activeTaskId: busy.id })
    }
    if (busy !== undefined && onBusy === "enqueue" && active.length > maxQueued) {
      return yield* new QueueFull({ conversationId, limit: maxQueued })
    }
    const interrupted = yield* interrupt(onBusy === "interrupt" ? active : [], now)
    if (maxActive !== undefined && (yield* countActive(userId, maxActive)) >= maxActive) {
      return yield* new TooManyActiveTasks({ limit: maxActive })
    }
    const isHead = active.length === interrupted.cancelled.length
    const rows = yield* insertTask(task, queue.last_position, isHead, now)
    yield* insertEvent(task.id, 1, now, encodeAck(task), MessagePayload.encodeInput(task.input))
    return yield* tryCodec(() => rows.map((row) => toCreated(row, isHead, interrupted)))
  })

  const acceptAny = (task: NewTask, options: Accepting) =>
    withTransaction(acceptInTurn(task, options)).pipe(
      Effect.retry({ while: isDuplicate, times: 2 }),
      Effect.catchTag(
        "Existing",
        ({ row }) => tryCodec(() => [{ ...toCreated(row, row.unowned === 1), created: false }])
      )
    )

  const accept = (task: NewTask, options: Accepting) =>
    Effect.flatMap(
      Effect.catchIf(acceptIdle(task, options.maxActive), isDuplicate, () => Effect.succeed([])),
      ([row]) => row === undefined ? acceptAny(task, options) : tryCodec(() => [toCreated(row, true)])
    )

  return {
    create: (task, options) =>
      withRetries(
        () =>
          Effect.flatMap(accept(task, options), ([created]) =>
            created === undefined
              ? Effect.fail(toTaskBackendError("create")("nothing was inserted"))
              : Effect.succeed(created)),
        toTaskBackendError("create")
      )
  }
}
