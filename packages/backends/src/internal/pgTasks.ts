/**
 * What PostgreSQL is asked with every message: each a statement that callers share.
 *
 * Rows are locked in an order, so that no two statements wait for each other, in whichever process.
 */
import type { RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import type { TaskStatus } from "@perennial/domain/Task"
import type { Fence, NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, type Scope } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { encodeAck } from "./eventPayload.ts"
import { byItem, rowsOf } from "./pgInput.ts"
import * as SharedStatement from "./sharedStatement.ts"
import { type EventRow, eventValues, type PageRow } from "./sqlLog.ts"
import { claimColumns } from "./sqlOwnership.ts"
import { storeTime, taskColumns } from "./sqlPersistence.ts"
import { type ClaimRow, type TaskRow, toText } from "./taskRow.ts"

/** A head that was never claimed. */
export interface FirstClaim {
  readonly id: TaskId
  readonly runnerId: RunnerId
}

/** What ends a task. */
export interface Ending {
  readonly claim: Fence
  readonly rows: ReadonlyArray<EventRow>
  readonly first: number
  readonly last: number
  readonly status: TaskStatus
  readonly error: string | null
}

interface Finding {
  readonly id: TaskId
  readonly userId: UserId | undefined
}

type Paging = Parameters<TaskBackend["Service"]["events"]>[1] & { readonly id: TaskId }

export interface PgTasks {
  /**
   * Accepts a task of a conversation that has no active one, new or not; or nothing. It sees what there was before it
   * waited for the lock: of a task that was accepted meanwhile it would be a second head, which the index refuses (P2).
   */
  readonly acceptIdle: (task: NewTask) => ReturnType<SharedStatement.SharedStatement<NewRow, TaskRow | undefined>>
  readonly claimFirst: SharedStatement.SharedStatement<FirstClaim, ClaimRow | undefined>
  /** Ends the newest task of a conversation, so that there is nothing to promote; or does nothing. */
  readonly finishNewest: SharedStatement.SharedStatement<Ending, boolean>
  readonly find: SharedStatement.SharedStatement<Finding, TaskRow | undefined>
  readonly page: SharedStatement.SharedStatement<Paging, ReadonlyArray<PageRow>>
}

/**
 * Columns of a new task; empty where there is nothing, since an array of NULL alone has no type. What may be missing is
 * JSON, an id, or a key with its hash: no text that is there is empty, but for the key.
 */
const toNewRow = (task: NewTask) => ({
  id: task.id,
  conversationId: task.conversationId,
  userId: task.userId,
  agentId: task.agentId,
  userMetadata: toText(task.userMetadata) ?? "",
  metadata: toText(task.metadata) ?? "",
  replaces: task.replaces ?? "",
  logContext: toText(task.logContext) ?? "",
  idempotencyKey: task.idempotency?.key ?? "",
  requestHash: task.idempotency?.requestHash ?? "",
  ack: encodeAck(task),
  input: JSON.stringify(task.input)
})

type NewRow = ReturnType<typeof toNewRow>

const sizeOf = (row: NewRow): number => Object.values(row).reduce((sum, text) => sum + text.length, 0)

/** One of each conversation and idempotency key: the others are looked at after these, each by itself. */
const firstOfEach = (rows: ReadonlyArray<NewRow>): ReadonlySet<NewRow> => {
  const taken = new Set<string>()
  return new Set(rows.filter(({ conversationId, idempotencyKey, requestHash, userId }) => {
    const keys = [conversationId, ...requestHash === "" ? [] : [JSON.stringify([userId, idempotencyKey])]]
    if (keys.some((key) => taken.has(key))) return false
    for (const key of keys) taken.add(key)
    return true
  }))
}

type Make<A, B> = (sql: SqlClient.SqlClient, now: Statement.Fragment) => SharedStatement.Ask<A, B>

const acceptIdle: Make<NewRow, TaskRow | undefined> = (sql, now) => (asked) => {
  const rows = firstOfEach(asked)
  const given = rowsOf(sql, [...rows], {
    id: ["text", (row) => row.id],
    conversation_id: ["text", (row) => row.conversationId],
    user_id: ["text", (row) => row.userId],
    agent_id: ["text", (row) => row.agentId],
    user_metadata: ["text", (row) => row.userMetadata],
    metadata: ["text", (row) => row.metadata],
    replaces: ["text", (row) => row.replaces],
    log_context: ["text", (row) => row.logContext],
    idempotency_key: ["text", (row) => row.idempotencyKey],
    request_hash: ["text", (row) => row.requestHash],
    ack: ["text", (row) => row.ack],
    input: ["text", (row) => row.input]
  })
  const accepted = sql<TaskRow>`WITH input AS MATERIALIZED (
      SELECT * FROM ${given}
      WHERE (SELECT 1 FROM perennial_tasks t WHERE t.conversation_id = i.conversation_id AND t.head = 1) IS NULL
        AND (SELECT 1 FROM perennial_tasks t WHERE t.id = i.id) IS NULL
        AND (i.request_hash = '' OR (SELECT 1 FROM perennial_tasks t
          WHERE t.user_id = i.user_id AND t.idempotency_key = i.idempotency_key) IS NULL)
    ), queue AS (
      INSERT INTO perennial_task_queues AS q (conversation_id, user_id, last_position)
      SELECT conversation_id, user_id, 1 FROM input ORDER BY conversation_id
      ON CONFLICT (conversation_id) DO UPDATE SET last_position = q.last_position + 1
        WHERE q.user_id = excluded.user_id
      RETURNING conversation_id, last_position
    ), task AS (
      INSERT INTO perennial_tasks (position, head, id, conversation_id, user_id, agent_id, user_metadata, metadata,
        replaces, log_context, idempotency_key, request_hash, status, last_seq, created_at, updated_at)
      SELECT q.last_position, 1, i.id, i.conversation_id, i.user_id, i.agent_id, NULLIF(i.user_metadata, ''),
        NULLIF(i.metadata, ''), NULLIF(i.replaces, ''), NULLIF(i.log_context, ''),
        CASE WHEN i.request_hash <> '' THEN i.idempotency_key END, NULLIF(i.request_hash, ''), 'queued', 1, ${now}, ${now}
      FROM queue q JOIN input i ON i.conversation_id = q.conversation_id ORDER BY i.user_id, i.idempotency_key
      RETURNING ${taskColumns(sql)}
    ), event AS (
      INSERT INTO perennial_task_events (task_id, seq, at, payload, input)
      SELECT i.id, 1, t.created_at, i.ack, i.input FROM task t JOIN input i ON i.id = t.id
    ) SELECT * FROM task`
  return Effect.map(accepted, (inserted) => {
    const byId = new Map(inserted.map((row) => [row.id, row]))
    return (row) => rows.has(row) ? byId.get(row.id) : undefined
  })
}

/** Shared since nobody owns these: nobody writes to their logs. */
const claimFirst: Make<FirstClaim, ClaimRow | undefined> = (sql, now) => (asked) => {
  const given = rowsOf(sql, asked, { task: ["text", ({ id }) => id], runner: ["text", ({ runnerId }) => runnerId] })
  const unclaimed = sql`t.id = i.task AND t.head = 1 AND t.token = 0`
  const won = sql<ClaimRow & Pick<FirstClaim, "runnerId">>`WITH input AS MATERIALIZED (
      SELECT i.* FROM (SELECT * FROM ${given} ORDER BY task) i
      CROSS JOIN LATERAL (SELECT FROM perennial_tasks t WHERE ${unclaimed} FOR UPDATE) t
    ) UPDATE perennial_tasks AS t SET token = 1, attempt = attempt + 1, runner_id = i.runner, status = 'running',
      started_at = ${now}, claimed_at = ${now}, updated_at = ${now}
    FROM input i WHERE ${unclaimed} RETURNING ${claimColumns(sql)}, runner_id AS "runnerId"`
  return Effect.map(won, (rows) => {
    const byId = new Map(rows.map((row) => [row.id, row]))
    return ({ id, runnerId }) => {
      const row = byId.get(id)
      return row?.runnerId === runnerId ? row : undefined
    }
  })
}

const finishNewest: Make<Ending, boolean> = (sql, now) => (asked) => {
  const given = rowsOf(sql, asked, {
    task: ["text", ({ claim }) => claim.taskId],
    fence: ["int", ({ claim }) => claim.token],
    first: ["int", ({ first }) => first],
    last: ["int", ({ last }) => last],
    status: ["text", ({ status }) => status],
    error: ["text", ({ error }) => error ?? ""]
  })
  // Whoever accepts another task waits for the lock, and sees the end after it.
  const ended = sql<Pick<TaskRow, "id" | "token">>`WITH input AS MATERIALIZED (
      SELECT i.*, t.conversation_id FROM ${given}
      CROSS JOIN LATERAL (SELECT conversation_id FROM perennial_tasks WHERE id = i.task LIMIT 1) t
      ORDER BY t.conversation_id
    ), queue AS MATERIALIZED (
      SELECT i.*, q.last_position FROM input i CROSS JOIN LATERAL (
        SELECT last_position FROM perennial_task_queues WHERE conversation_id = i.conversation_id FOR UPDATE) q
    ), ended AS (
      UPDATE perennial_tasks t SET status = q.status, error = CASE WHEN q.status = 'error' THEN q.error END,
        head = 0, runner_id = NULL, last_seq = q.last, finished_at = ${now}, updated_at = ${now}
      FROM queue q
      WHERE t.id = q.task AND t.position = q.last_position AND t.token = q.fence AND t.last_seq = q.first - 1
        AND t.runner_id IS NOT NULL AND t.finished_at IS NULL
      RETURNING t.id, t.token
    ), added AS (
      INSERT INTO perennial_task_events (task_id, seq, at, payload)
      SELECT e.task_id, e.seq, e.at, e.payload FROM ${eventValues(sql, asked.flatMap(({ rows }) => rows))}
      JOIN ended t ON t.id = e.task_id AND t.token = e.token
    ) SELECT id, token FROM ended`
  return Effect.map(ended, (rows) => {
    const tokens = new Map(rows.map(({ id, token }) => [id, token]))
    return ({ claim }) => tokens.get(claim.taskId) === claim.token
  })
}

const find: Make<Finding, TaskRow | undefined> = (sql) => (asked) => {
  const given = rowsOf(sql, asked, { task: ["text", ({ id }) => id], owner: ["text", ({ userId }) => userId ?? ""] })
  const found = sql<TaskRow>`SELECT t.* FROM ${given} CROSS JOIN LATERAL (SELECT ${
    taskColumns(sql)
  } FROM perennial_tasks
      WHERE id = i.task AND (i.owner = '' OR user_id = i.owner) LIMIT 1) t`
  return Effect.map(found, (rows) => {
    const byId = new Map(rows.map((row) => [row.id, row]))
    return ({ id, userId }) => {
      const row = byId.get(id)
      // Somebody else may have asked for the same task (P12).
      return userId === undefined || row?.user_id === userId ? row : undefined
    }
  })
}

const page: Make<Paging, ReadonlyArray<PageRow>> = (sql) => (asked) => {
  const given = rowsOf(sql, asked, {
    item: ["int", (_, i) => i],
    task: ["text", ({ id }) => id],
    after: ["bigint", ({ after }) => after],
    most: ["bigint", ({ limit }) => limit],
    bytes: ["bigint", ({ maxBytes }) => maxBytes]
  })
  // One statement: a task and its log as they were at one moment, also while the log is pruned.
  const found = sql<
    PageRow & { readonly item: number }
  >`SELECT i.item, t.last_seq, t.status, t.pruned, e.seq, e.at, e.payload FROM ${given}
    CROSS JOIN LATERAL (SELECT last_seq, status, pruned FROM perennial_tasks WHERE id = i.task LIMIT 1) t
    LEFT JOIN LATERAL (
      SELECT seq, at, payload, SUM(octet_length(payload)) OVER (ORDER BY seq) AS bytes FROM (
        SELECT seq, at, payload FROM perennial_task_events WHERE task_id = i.task AND seq > i.after
        ORDER BY seq LIMIT i.most) page
    ) e ON e.bytes <= i.bytes OR e.seq = i.after + 1
    ORDER BY i.item, e.seq`
  return Effect.map(found, byItem)
}

/** Pages in one answer, each of which may be large. */
const pages = 16

export const make = Effect.fnUntraced(
  function*(sql: SqlClient.SqlClient): Effect.fn.Return<PgTasks, never, Scope.Scope> {
    const now = yield* storeTime(sql)
    const accept = yield* SharedStatement.make(sql, { ask: acceptIdle(sql, now), size: sizeOf })
    return {
      acceptIdle: (task) => accept(toNewRow(task)),
      claimFirst: yield* SharedStatement.make(sql, { ask: claimFirst(sql, now) }),
      finishNewest: yield* SharedStatement.make(sql, {
        ask: finishNewest(sql, now),
        size: ({ rows }) => rows.reduce((sum, { payload }) => sum + payload.length, 0)
      }),
      find: yield* SharedStatement.make(sql, { ask: find(sql, now) }),
      page: yield* SharedStatement.make(sql, { ask: page(sql, now), shares: pages })
    }
  }
)
