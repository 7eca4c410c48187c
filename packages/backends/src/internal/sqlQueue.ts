/**
 * What changes the queue of a conversation: accepting, ending and deleting tasks.
 *
 * Each is one transaction that locks the row of the conversation first, in a statement of its own: what it reads after
 * that is what every earlier one left (P2, P4). SQLite has one writer at a time anyway (`BEGIN IMMEDIATE`). On PostgreSQL
 * what happens with every message is one statement, where nothing stands in its way, that is shared with others
 * (`pgTasks.ts`).
 */
import type { ConversationId, TaskId, UserId } from "@perennial/domain/Ids"
import { isTerminal as isEnded } from "@perennial/domain/Task"
import {
  cancelKey,
  cancelReason,
  type Created,
  type Fence,
  type Head,
  type Intent,
  interruptReason,
  type NewTask,
  type TaskBackend
} from "@perennial/domain/TaskBackend"
import {
  ConversationBusy,
  ConversationNotFound,
  IdempotencyConflict,
  LeaseLost,
  QueueFull,
  TaskBackendError,
  TaskNotFound
} from "@perennial/domain/TaskError"
import { isTerminal, type StoredEvent, terminalStatus } from "@perennial/domain/TaskEvent"
import { type Array as Arr, Data, Effect, Option, Schema } from "effect"
import { type SqlClient, SqlError, type Statement } from "effect/sql"
import { encodeAck, encodeEvent } from "./eventPayload.ts"
import { read } from "./persistence.ts"
import type { Ending, PgTasks } from "./pgTasks.ts"
import { type SqlLog, toRows } from "./sqlLog.ts"
import { unowned } from "./sqlOwnership.ts"
import { boundedLock, isTask, persistence, storable, storeTime, taskColumns } from "./sqlPersistence.ts"
import { type TaskRow, toHead, toTask, toText } from "./taskRow.ts"

type Service = TaskBackend["Service"]

/** Rolls a `create` back that found its task there already. */
class Existing extends Data.TaggedError("Existing")<{ readonly row: TaskRow & { readonly unowned: number } }> {}

const failed = (operation: string) => (cause: unknown) => new TaskBackendError({ operation, cause })

const decodeValue = Schema.decodeSync(Schema.fromJsonString(Schema.Json))

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

/** Another writer was faster with the same id or idempotency key: what it wrote is there now. */
const isDuplicate = (error: unknown) =>
  SqlError.isSqlError(error) && (error.reason._tag === "UniqueViolation" || error.reason._tag === "ConstraintError")

export const make = (
  sql: SqlClient.SqlClient,
  log: SqlLog,
  shared: Pick<PgTasks, "acceptIdle" | "finishNewest"> | undefined
): Pick<Service, "create" | "finish" | "putIntent" | "deleteConversation"> => {
  const time = storeTime(sql)
  const { persistently, withTransaction } = persistence(sql)
  const bounded = boundedLock(sql)
  const columns = taskColumns(sql)
  const forUpdate = sql.literal(sql.onDialectOrElse({ pg: () => "FOR UPDATE", orElse: () => "" }))

  const lockOf = (id: TaskId, userId?: UserId) =>
    sql`SELECT conversation_id, last_position, ${bounded} FROM perennial_task_queues WHERE conversation_id =
      (SELECT conversation_id FROM perennial_tasks WHERE ${isTask(sql, id, userId)}) ${forUpdate}`

  const promote = (conversationId: ConversationId, now: Statement.Fragment) =>
    Effect.map(
      sql<TaskRow>`UPDATE perennial_tasks SET head = 1, updated_at = ${now}
        WHERE head = 0 AND id = (SELECT id FROM perennial_tasks
          WHERE conversation_id = ${conversationId} AND finished_at IS NULL ORDER BY position LIMIT 1)
        RETURNING ${columns}`,
      ([row]): Option.Option<Head> => Option.map(Option.fromUndefinedOr(row), toHead)
    )

  /** What an earlier try promoted, if nobody owns it yet. */
  const promoted = (conversationId: ConversationId, now: Statement.Fragment) =>
    Effect.map(
      sql<TaskRow>`SELECT ${columns} FROM perennial_tasks t
        WHERE conversation_id = ${conversationId} AND ${unowned(sql, now)}`,
      ([row]): Option.Option<Head> => Option.map(Option.fromUndefinedOr(row), toHead)
    )

  const insertEvent = (id: TaskId, seq: number, now: Statement.Fragment, payload: string, input?: string) =>
    sql`INSERT INTO perennial_task_events (task_id, seq, at, payload, input)
      VALUES (${id}, ${seq}, ${now}, ${payload}, ${input ?? null})`

  /** Ends a task that was never claimed, whose log nobody else writes to. */
  const endUnbegun = Effect.fnUntraced(function*(row: TaskRow, reason: string | undefined, now: Statement.Fragment) {
    const event = {
      type: "cancelled" as const,
      taskId: row.id,
      conversationId: row.conversation_id,
      ...(reason === undefined ? undefined : { reason })
    }
    yield* insertEvent(row.id, row.last_seq + 1, now, encodeEvent(event))
    return yield* sql<TaskRow>`UPDATE perennial_tasks SET status = 'cancelled', head = 0, last_seq = last_seq + 1,
      finished_at = ${now}, updated_at = ${now} WHERE id = ${row.id} RETURNING ${columns}`
  })

  const record = Effect.fnUntraced(function*(row: TaskRow, intent: Intent, now: Statement.Fragment) {
    yield* sql`INSERT INTO perennial_task_intents (task_id, key, ordinal, value)
      VALUES (${row.id}, ${intent.key}, ${row.intents + 1}, ${JSON.stringify(intent.value)})`
    return yield* sql<TaskRow>`UPDATE perennial_tasks SET intents = intents + 1, updated_at = ${now}
      WHERE id = ${row.id} RETURNING ${columns}`
  })

  const intentOf = (id: TaskId, key: string) =>
    Effect.map(
      sql<{ readonly value: string }>`SELECT value FROM perennial_task_intents WHERE task_id = ${id} AND key = ${key}`,
      ([row]) => row?.value
    )

  const newColumns = sql.literal(
    "id, conversation_id, user_id, agent_id, user_metadata, metadata, replaces, log_context, idempotency_key, "
      + "request_hash, status, last_seq, created_at, updated_at"
  )

  const taskValues = (task: NewTask, now: Statement.Fragment) =>
    sql`${task.id}, ${task.conversationId}, ${task.userId}, ${task.agentId}, ${toText(task.userMetadata)},
      ${toText(task.metadata)}, ${task.replaces ?? null}, ${toText(task.logContext)},
      ${task.idempotency?.key ?? null}, ${task.idempotency?.requestHash ?? null}, 'queued', 1, ${now}, ${now}`

  const findExisting = Effect.fnUntraced(function*(task: NewTask, now: Statement.Fragment) {
    const select = sql`SELECT ${columns}, CASE WHEN ${unowned(sql, now)} THEN 1 ELSE 0 END AS unowned
      FROM perennial_tasks t`
    type Found = Existing["row"]
    if (task.idempotency !== undefined) {
      const { key, requestHash } = task.idempotency
      const [row] = yield* sql<Found>`${select} WHERE user_id = ${task.userId} AND idempotency_key = ${key}`
      if (row !== undefined && row.request_hash !== requestHash) {
        return yield* new IdempotencyConflict({ idempotencyKey: key })
      }
      if (row !== undefined) return yield* new Existing({ row })
    }
    const [row] = yield* sql<Found>`${select} WHERE id = ${task.id}`
    if (row !== undefined && row.user_id !== task.userId) return yield* failed("create")(`the id ${task.id} is taken`)
    if (row !== undefined) return yield* new Existing({ row })
  })

  const interrupt = Effect.fnUntraced(function*(active: ReadonlyArray<TaskRow>, now: Statement.Fragment) {
    const cancelled: Array<TaskId> = []
    const cancelling: Array<TaskId> = []
    for (const row of active) {
      if (row.attempt === 0) {
        yield* endUnbegun(row, interruptReason, now)
        cancelled.push(row.id)
      } else {
        if ((yield* intentOf(row.id, cancelKey)) === undefined) {
          yield* record(row, { key: cancelKey, value: { reason: interruptReason } }, now)
        }
        cancelling.push(row.id)
      }
    }
    return { cancelled, cancelling }
  })

  const accept = Effect.fnUntraced(function*(task: NewTask, { maxQueued, onBusy }: Parameters<Service["create"]>[1]) {
    const now = yield* time
    const { conversationId, userId } = task
    // Takes the lock and the position at once.
    const [queue] = yield* sql<{ readonly user_id: string; readonly last_position: number }>`
      INSERT INTO perennial_task_queues (conversation_id, user_id, last_position) VALUES (${conversationId}, ${userId}, 1)
      ON CONFLICT (conversation_id) DO UPDATE SET last_position = perennial_task_queues.last_position + 1
      RETURNING user_id, last_position, ${bounded}`
    yield* findExisting(task, now)
    if (queue === undefined || queue.user_id !== userId) return yield* new ConversationNotFound({ conversationId })
    const active = yield* sql<TaskRow>`SELECT ${columns} FROM perennial_tasks
      WHERE conversation_id = ${conversationId} AND finished_at IS NULL ORDER BY position ${forUpdate}`
    const [busy] = active
    if (busy !== undefined && onBusy === "reject") {
      return yield* new ConversationBusy({ conversationId, activeTaskId: busy.id })
    }
    if (busy !== undefined && onBusy === "enqueue" && active.length > maxQueued) {
      return yield* new QueueFull({ conversationId, limit: maxQueued })
    }
    const { cancelled, cancelling } = yield* interrupt(onBusy === "interrupt" ? active : [], now)
    const isHead = active.length === cancelled.length
    const rows = yield* sql<TaskRow>`INSERT INTO perennial_tasks (position, head, ${newColumns})
      VALUES (${queue.last_position}, ${isHead ? 1 : 0}, ${taskValues(task, now)}) RETURNING ${columns}`
    yield* insertEvent(task.id, 1, now, encodeAck(task), JSON.stringify(task.input))
    return yield* read(() => rows.map((row) => toCreated(row, isHead, { cancelled, cancelling })))
  })

  const acceptAny = (task: NewTask, options: Parameters<Service["create"]>[1]) =>
    withTransaction(accept(task, options)).pipe(
      Effect.retry({ while: isDuplicate, times: 2 }),
      Effect.catchTag("Existing", ({ row }) => read(() => [{ ...toCreated(row, row.unowned === 1), created: false }]))
    )

  const acceptance: typeof acceptAny = shared === undefined ? acceptAny : (task, options) =>
    Effect.flatMap(
      Effect.catchIf(shared.acceptIdle(task), isDuplicate, () => Effect.undefined),
      (row) => row === undefined ? acceptAny(task, options) : read(() => [toCreated(row, true)])
    )

  const create: Service["create"] = (task, options) =>
    persistently(
      () =>
        Effect.flatMap(acceptance(task, options), ([created]) =>
          created === undefined ? Effect.fail(failed("create")("nothing was inserted")) : Effect.succeed(created)),
      failed("create")
    )

  /** Ends a task, and makes the next one of its conversation the head. */
  const finishAny = (events: Arr.NonEmptyReadonlyArray<StoredEvent>, ending: Ending, again: boolean) =>
    withTransaction(Effect.gen(function*() {
      const now = yield* time
      const { claim, error, first, last, status } = ending
      yield* lockOf(claim.taskId)
      const [row] = yield* sql<TaskRow>`UPDATE perennial_tasks SET status = ${status}, error = ${error}, head = 0,
          runner_id = NULL, last_seq = ${last}, finished_at = ${now}, updated_at = ${now}
        WHERE id = ${claim.taskId} AND token = ${claim.token} AND last_seq = ${first - 1}
          AND runner_id IS NOT NULL AND finished_at IS NULL
        RETURNING ${columns}`
      if (row === undefined) return yield* again ? applied(claim, last, now) : new LeaseLost(claim)
      yield* log.insert(claim, events)
      return yield* promote(row.conversation_id, now)
    }))

  const finishing: typeof finishAny = shared === undefined ? finishAny : (events, ending, again) =>
    Effect.flatMap(
      shared.finishNewest(ending),
      (done) => done ? Effect.succeedNone : finishAny(events, ending, again)
    )

  const finish: Service["finish"] = ({ taskId, token }, events) => {
    const terminal = events.at(-1)?.event
    if (terminal === undefined || !isTerminal(terminal)) return Effect.die("The last event of a task is terminal (P4)")
    const [{ seq: first }] = events
    const claim = { taskId, token }
    const ending: Ending = {
      claim,
      rows: toRows(claim, events),
      first,
      last: first + events.length - 1,
      status: terminalStatus(terminal),
      error: terminal.type === "error" ? storable(terminal.detail) : null
    }
    return persistently((again) => finishing(events, ending, again), failed("finish"))
  }

  /** Whether the try before was applied though its reply was lost. */
  const applied = Effect.fnUntraced(function*(claim: Fence, lastSeq: number, now: Statement.Fragment) {
    const [row] = yield* sql<TaskRow>`SELECT ${columns} FROM perennial_tasks WHERE id = ${claim.taskId}`
    return row?.token === claim.token && row.last_seq === lastSeq && isEnded(row.status)
      ? yield* promoted(row.conversation_id, now)
      : yield* new LeaseLost({ taskId: claim.taskId, token: claim.token })
  })

  const putIntent: Service["putIntent"] = (id, intent, options) =>
    persistently((again) =>
      withTransaction(Effect.gen(function*() {
        const now = yield* time
        const userId = options?.userId
        yield* lockOf(id, userId)
        const [row] = yield* sql<TaskRow>`SELECT ${columns} FROM perennial_tasks
          WHERE ${isTask(sql, id, userId)} ${forUpdate}`
        if (row === undefined) return yield* new TaskNotFound({ taskId: id })
        const before = yield* intentOf(id, intent.key)
        if (before !== undefined || isEnded(row.status)) {
          return {
            written: again && before === JSON.stringify(intent.value),
            value: before === undefined ? Option.none() : Option.some(yield* read(() => decodeValue(before))),
            task: yield* read(() => toTask(row)),
            promoted: again ? yield* promoted(row.conversation_id, now) : Option.none()
          }
        }
        const [recorded = row] = yield* record(row, intent, now)
        const ends = intent.key === cancelKey && row.attempt === 0
        const [after = recorded] = ends ? yield* endUnbegun(recorded, cancelReason(intent.value), now) : []
        return {
          written: true,
          value: Option.some(intent.value),
          task: yield* read(() => toTask(after)),
          promoted: ends ? yield* promote(row.conversation_id, now) : Option.none()
        }
      })), failed("putIntent"))

  const deleteConversation: Service["deleteConversation"] = ({ conversationId, userId }) =>
    persistently(() =>
      withTransaction(Effect.gen(function*() {
        const [queue] = yield* sql<{ readonly user_id: string }>`SELECT user_id, ${bounded} FROM perennial_task_queues
          WHERE conversation_id = ${conversationId} ${forUpdate}`
        if (queue?.user_id !== userId) return
        const [active] = yield* sql<TaskRow>`SELECT id FROM perennial_tasks
          WHERE conversation_id = ${conversationId} AND finished_at IS NULL ORDER BY position LIMIT 1`
        if (active !== undefined) return yield* new ConversationBusy({ conversationId, activeTaskId: active.id })
        const tasks = sql`(SELECT id FROM perennial_tasks WHERE conversation_id = ${conversationId})`
        yield* sql`DELETE FROM perennial_task_events WHERE task_id IN ${tasks}`
        yield* sql`DELETE FROM perennial_task_intents WHERE task_id IN ${tasks}`
        yield* sql`DELETE FROM perennial_tasks WHERE conversation_id = ${conversationId}`
        yield* sql`DELETE FROM perennial_task_queues WHERE conversation_id = ${conversationId}`
      })), failed("deleteConversation"))

  return { create, finish, putIntent, deleteConversation }
}
