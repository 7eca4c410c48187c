/**
 * The statements that PostgreSQL runs for every message. Concurrent calls of each are batched.
 *
 * Every statement locks its rows in one order, so that no two statements wait for each other, in any process.
 */
import * as MessagePayload from "@perennial/domain/MessagePayload"
import type { NewTask } from "@perennial/domain/TaskBackend"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Effect, type Scope } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import * as BatchedStatement from "./batchedStatement.ts"
import { encodeAck } from "./eventPayload.ts"
import { byItem, eventValues, rowsOf } from "./pgInput.ts"
import { nextRound } from "./sqlRounds.ts"
import { claimColumns, readClaims, readTasks, taskColumns } from "./sqlRows.ts"
import type { Ending, Finding, FirstClaim, Paging, TaskStatements } from "./taskStatements.ts"

/**
 * The columns of a new task. A missing value is the empty text, since an array of NULL alone has no type: a hash is never
 * empty, and a key comes with a hash.
 */
const toNewRow = (task: NewTask, maxActive: number | undefined) => ({
  id: task.id,
  conversationId: task.conversationId,
  userId: task.userId,
  agentId: task.agentId,
  spec: TaskSpec.encode(task.spec),
  idempotencyKey: task.idempotency?.key ?? "",
  requestHash: task.idempotency?.requestHash ?? "",
  ack: encodeAck(task),
  input: MessagePayload.encodeInput(task.input),
  /** 0 is no limit. */
  maxActive: maxActive ?? 0
})

type NewRow = ReturnType<typeof toNewRow>

const sizeOf = (row: NewRow): number => Object.values(row).reduce<number>((sum, value) => sum + String(value).length, 0)

/** The first task of each conversation and of each idempotency key, with its index. The others are accepted after these. */
const firstOfEach = (rows: ReadonlyArray<NewRow>) => {
  const taken = new Set<string>()
  return rows.map((row, item) => ({ ...row, item })).filter((row) => {
    const { conversationId, idempotencyKey, requestHash, userId } = row
    const keys = [conversationId, ...requestHash === "" ? [] : [JSON.stringify([userId, idempotencyKey])]]
    if (keys.some((key) => taken.has(key))) return false
    for (const key of keys) taken.add(key)
    return true
  })
}

type Make<A, B = ReadonlyArray<object>> = (
  sql: SqlClient.SqlClient,
  now: Statement.Fragment
) => BatchedStatement.Run<A, B>

/**
 * The tasks of the input for which their users have room. The function takes the lock of a user, and counts with a snapshot
 * of its own, which shows what other statements committed before the lock was free. Locks are taken in one order.
 */
const withRoom = (sql: SqlClient.SqlClient): Statement.Fragment =>
  sql`, counted AS MATERIALIZED (
      SELECT u.user_id, perennial_active_tasks(u.user_id, u.most) AS active FROM (
        SELECT user_id, MAX(max_active) AS most FROM candidates WHERE max_active > 0
        GROUP BY user_id ORDER BY hashtextextended(user_id, 0)) u
    ), input AS MATERIALIZED (
      SELECT c.* FROM candidates c LEFT JOIN counted u ON u.user_id = c.user_id
      WHERE c.max_active = 0 OR u.active + c.place < c.max_active
    )`

/**
 * The statement sees the tasks from before it waited for a lock. If another statement accepted a task of the same
 * conversation meanwhile, the new task would be a second head, which the index refuses (P2).
 */
const acceptIdle: Make<NewRow> = (sql, now) => (items) => {
  const given = rowsOf(sql, firstOfEach(items), {
    item: ["int", ({ item }) => item],
    id: ["text", (row) => row.id],
    conversation_id: ["text", (row) => row.conversationId],
    user_id: ["text", (row) => row.userId],
    agent_id: ["text", (row) => row.agentId],
    spec: ["text", (row) => row.spec],
    idempotency_key: ["text", (row) => row.idempotencyKey],
    request_hash: ["text", (row) => row.requestHash],
    ack: ["text", (row) => row.ack],
    input: ["text", (row) => row.input],
    max_active: ["int", (row) => row.maxActive]
  })
  const isLimited = items.some(({ maxActive }) => maxActive > 0)
  const accepted = sql`WITH ${sql.literal(isLimited ? "candidates" : "input")} AS MATERIALIZED (
      SELECT i.*, ROW_NUMBER() OVER (PARTITION BY i.user_id ORDER BY i.item) - 1 AS place FROM ${given}
      WHERE (SELECT 1 FROM perennial_tasks t WHERE t.conversation_id = i.conversation_id AND t.head = 1) IS NULL
        AND (SELECT 1 FROM perennial_tasks t WHERE t.id = i.id) IS NULL
        AND (i.request_hash = '' OR (SELECT 1 FROM perennial_tasks t
          WHERE t.user_id = i.user_id AND t.idempotency_key = i.idempotency_key) IS NULL)
    )${isLimited ? withRoom(sql) : sql.literal("")}, rounds AS MATERIALIZED (
      SELECT u.user_id, ${nextRound(sql, sql`u.user_id`, 0)} AS round FROM (SELECT DISTINCT user_id FROM input) u
    ), queue AS (
      INSERT INTO perennial_task_queues AS q (conversation_id, user_id, last_position)
      SELECT conversation_id, user_id, 1 FROM input ORDER BY conversation_id
      ON CONFLICT (conversation_id) DO UPDATE SET last_position = q.last_position + 1
        WHERE q.user_id = excluded.user_id
      RETURNING conversation_id, last_position
    ), task AS (
      INSERT INTO perennial_tasks (position, head, id, conversation_id, user_id, agent_id, spec, idempotency_key,
        request_hash, status, last_seq, round, created_at, updated_at)
      SELECT q.last_position, 1, i.id, i.conversation_id, i.user_id, i.agent_id, i.spec,
        CASE WHEN i.request_hash <> '' THEN i.idempotency_key END, NULLIF(i.request_hash, ''), 'queued', 1,
        r.round + i.place, ${now}, ${now}
      FROM queue q JOIN input i ON i.conversation_id = q.conversation_id JOIN rounds r ON r.user_id = i.user_id
      ORDER BY i.user_id, i.idempotency_key
      RETURNING ${taskColumns(sql)}
    ), event AS (
      INSERT INTO perennial_task_events (task_id, seq, at, payload, input)
      SELECT i.id, 1, t.created_at, i.ack, i.input FROM task t JOIN input i ON i.id = t.id
    ) SELECT i.item, t.* FROM task t JOIN input i ON i.id = t.id`
  return Effect.map(accepted, byItem)
}

/** Nobody owns these tasks, so that no other statement writes to their logs. */
const claimFirst: Make<FirstClaim> = (sql, now) => (items) => {
  const given = rowsOf(sql, items, {
    item: ["int", (_, i) => i],
    task: ["text", ({ id }) => id],
    runner: ["text", ({ runnerId }) => runnerId],
    claim: ["text", ({ claimId }) => claimId]
  })
  const unclaimed = sql`t.id = i.task AND t.head = 1 AND t.token = 0`
  const won = sql`WITH input AS MATERIALIZED (
      SELECT i.* FROM (SELECT * FROM ${given} ORDER BY task) i
      CROSS JOIN LATERAL (SELECT FROM perennial_tasks t WHERE ${unclaimed} FOR UPDATE) t
    ) UPDATE perennial_tasks AS t SET token = 1, attempt = attempt + 1, runner_id = i.runner, claim_id = i.claim,
      status = 'running', started_at = ${now}, claimed_at = ${now}, updated_at = ${now}
    FROM input i WHERE ${unclaimed} RETURNING i.item, ${claimColumns(sql, now)}`
  return Effect.map(won, byItem)
}

/** Another process that accepts a task of the conversation waits for the lock, and sees the end after it. */
const finishNewest: Make<Ending> = (sql, now) => (items) => {
  const given = rowsOf(sql, items, {
    item: ["int", (_, i) => i],
    task: ["text", ({ claim }) => claim.taskId],
    fence: ["int", ({ claim }) => claim.token],
    first: ["int", ({ first }) => first],
    last: ["int", ({ last }) => last],
    status: ["text", ({ status }) => status],
    code: ["text", ({ error }) => error?.code ?? ""],
    detail: ["text", ({ error }) => error?.detail ?? ""]
  })
  const ended = sql`WITH input AS MATERIALIZED (
      SELECT i.*, t.conversation_id FROM ${given}
      CROSS JOIN LATERAL (SELECT conversation_id FROM perennial_tasks WHERE id = i.task LIMIT 1) t
      ORDER BY t.conversation_id
    ), queue AS MATERIALIZED (
      SELECT i.*, q.last_position FROM input i CROSS JOIN LATERAL (
        SELECT last_position FROM perennial_task_queues WHERE conversation_id = i.conversation_id FOR UPDATE) q
    ), ended AS (
      UPDATE perennial_tasks t SET status = q.status, error_code = CASE WHEN q.status = 'error' THEN q.code END,
        error = CASE WHEN q.status = 'error' THEN q.detail END, head = 0, runner_id = NULL, last_seq = q.last, finished_at = ${now}, updated_at = ${now}
      FROM queue q
      WHERE t.id = q.task AND t.position = q.last_position AND t.token = q.fence AND t.last_seq = q.first - 1
        AND t.runner_id IS NOT NULL AND t.finished_at IS NULL
      RETURNING q.item, t.id, t.token
    ), added AS (
      INSERT INTO perennial_task_events (task_id, seq, at, payload)
      SELECT e.task_id, e.seq, e.at, e.payload FROM ${eventValues(sql, items.flatMap(({ rows }) => rows))}
      JOIN ended t ON t.id = e.task_id AND t.token = e.token
    ) SELECT item FROM ended`
  return Effect.map(ended, byItem)
}

const find: Make<Finding> = (sql) => (items) => {
  const given = rowsOf(sql, items, {
    item: ["int", (_, i) => i],
    task: ["text", ({ id }) => id],
    owner: ["text", ({ userId }) => userId ?? ""]
  })
  const found = sql`SELECT i.item, t.* FROM ${given} CROSS JOIN LATERAL (
      SELECT ${taskColumns(sql)} FROM perennial_tasks
      WHERE id = i.task AND (i.owner = '' OR user_id = i.owner) LIMIT 1) t`
  return Effect.map(found, byItem)
}

const page: Make<Paging> = (sql) => (items) => {
  const given = rowsOf(sql, items, {
    item: ["int", (_, i) => i],
    task: ["text", ({ id }) => id],
    after: ["bigint", ({ after }) => after],
    most: ["bigint", ({ limit }) => limit],
    bytes: ["bigint", ({ maxBytes }) => maxBytes]
  })
  const found = sql`SELECT i.item, t.*, e.seq, e.at, e.payload FROM ${given}
    CROSS JOIN LATERAL (
      SELECT last_seq, status, pruned, conversation_id FROM perennial_tasks WHERE id = i.task LIMIT 1) t
    LEFT JOIN LATERAL (
      SELECT seq, at, payload, SUM(octet_length(payload)) OVER (ORDER BY seq) AS bytes FROM (
        SELECT seq, at, payload FROM perennial_task_events WHERE task_id = i.task AND seq > i.after
        ORDER BY seq LIMIT i.most) page
    ) e ON e.bytes <= i.bytes OR e.seq = i.after + 1
    ORDER BY i.item, e.seq`
  return Effect.map(found, byItem)
}

/** Pages in one batch: each of them may be large. */
const pages = 16

export type PgBatchedStatements = Omit<TaskStatements, "append" | "countActive" | "insertEvents">

export const make = Effect.fnUntraced(
  function*(
    sql: SqlClient.SqlClient,
    now: Statement.Fragment
  ): Effect.fn.Return<PgBatchedStatements, never, Scope.Scope> {
    const accept = yield* BatchedStatement.make(sql, { run: acceptIdle(sql, now), size: sizeOf })
    const claim = yield* BatchedStatement.make(sql, { run: claimFirst(sql, now) })
    const finish = yield* BatchedStatement.make(sql, {
      run: finishNewest(sql, now),
      size: ({ rows }) => rows.reduce((sum, { payload }) => sum + payload.length, 0)
    })
    const findTask = yield* BatchedStatement.make(sql, { run: find(sql, now) })
    return {
      acceptIdle: (task, maxActive) => readTasks(accept(toNewRow(task, maxActive))),
      claimFirst: (first) => readClaims(claim(first)),
      finishNewest: (ending) => Effect.map(finish(ending), (rows) => rows.length > 0),
      find: (finding) => readTasks(findTask(finding)),
      page: yield* BatchedStatement.make(sql, { run: page(sql, now), batchSize: pages })
    }
  }
)
