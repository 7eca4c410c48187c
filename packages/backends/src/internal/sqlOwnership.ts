/**
 * Who may execute a task: claims, leases and heads without an owner.
 */
import type { AgentId, RunnerId, TaskId } from "@perennial/domain/Ids"
import { cancelKey, type TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskBackendError } from "@perennial/domain/TaskError"
import { Duration, Effect, Option } from "effect"
import type { SqlClient, SqlError, Statement } from "effect/sql"
import { read } from "./persistence.ts"
import type { PgTasks } from "./pgTasks.ts"
import { persistence, storeTime, taskColumns } from "./sqlPersistence.ts"
import { type ClaimRow, type TaskRow, toClaim, toHead } from "./taskRow.ts"

type Service = TaskBackend["Service"]
type Claiming = Parameters<Service["claim"]>[1]

/** An owner that has been alive this long on a task, in milliseconds, is not what kills its owners. */
const aliveMillis = 60_000

/** Whether task `t` is a head that nobody owns: never claimed, released, or with an owner whose lease has run out. */
export const unowned = (sql: SqlClient.SqlClient, now: Statement.Fragment): Statement.Fragment =>
  sql`(t.head = 1 AND (t.runner_id IS NULL OR NOT EXISTS (
    SELECT 1 FROM perennial_runners r WHERE r.id = t.runner_id AND r.expires_at > ${now})))`

/** Whether head `t` concerns a process that has these agents: it is of one of them, or anybody may end it. */
const concerns = (sql: SqlClient.SqlClient, agentIds: ReadonlyArray<AgentId>, staleBefore: number) =>
  sql.or([
    sql.in("agent_id", agentIds),
    sql`COALESCE(started_at, updated_at) < ${staleBefore}`,
    sql`(intents > 0 AND EXISTS (
      SELECT 1 FROM perennial_task_intents i WHERE i.task_id = t.id AND i.key = ${cancelKey}))`
  ])

/** The columns of a `ClaimRow`. */
export const claimColumns = (sql: SqlClient.SqlClient): Statement.Fragment =>
  sql`${taskColumns(sql)}, user_metadata, log_context, failures, started_at,
    (SELECT input FROM perennial_task_events WHERE task_id = id AND seq = 1) AS input`

export const make = (
  sql: SqlClient.SqlClient,
  shared: Pick<PgTasks, "claimFirst"> | undefined
): Pick<Service, "claim" | "release" | "heartbeat" | "unowned"> => {
  const time = storeTime(sql)
  const { persistently, withTransaction } = persistence(sql)
  const failed = (operation: string) => (cause: unknown) => new TaskBackendError({ operation, cause })

  const columns = claimColumns(sql)

  const claimAny = Effect.fnUntraced(function*(id: TaskId, { expectedToken, runnerId }: Claiming) {
    const now = yield* time
    const [row] = yield* sql<ClaimRow>`UPDATE perennial_tasks AS t SET token = token + 1, attempt = attempt + 1,
        failures = failures + CASE WHEN runner_id IS NULL THEN 0 ELSE 1 END, runner_id = ${runnerId},
        status = 'running', started_at = COALESCE(started_at, ${now}), claimed_at = ${now}, updated_at = ${now}
      WHERE id = ${id} AND token = ${expectedToken} AND ${unowned(sql, now)} RETURNING ${columns}`
    return row
  })

  const claim: Service["claim"] = (id, claiming) =>
    persistently(() =>
      Effect.gen(function*() {
        const { expectedToken, runnerId } = claiming
        const won = shared !== undefined && expectedToken === 0
          ? yield* shared.claimFirst({ id, runnerId })
          : yield* claimAny(id, claiming)
        // A claim whose reply was lost.
        const [row] = won !== undefined ? [won] : yield* sql<ClaimRow>`SELECT ${columns} FROM perennial_tasks
          WHERE id = ${id} AND head = 1 AND runner_id = ${runnerId} AND token = ${expectedToken + 1}`
        return row === undefined ? Option.none() : Option.some(yield* read(() => toClaim(row, runnerId)))
      }), failed("claim"))

  const release: Service["release"] = ({ taskId, token }) =>
    persistently(() =>
      Effect.asVoid(sql`UPDATE perennial_tasks SET runner_id = NULL
        WHERE id = ${taskId} AND token = ${token} AND finished_at IS NULL`), failed("release"))

  const renew = (runnerId: RunnerId, ttl: Duration.Duration, now: Statement.Fragment) =>
    Duration.isZero(ttl)
      ? sql`DELETE FROM perennial_runners WHERE id = ${runnerId}`
      : sql`INSERT INTO perennial_runners (id, expires_at)
          VALUES (${runnerId}, ${now} + ${Math.ceil(Duration.toMillis(ttl))})
          ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`
  const forget = (runnerId: RunnerId, now: Statement.Fragment) =>
    sql`UPDATE perennial_tasks SET failures = 0
      WHERE runner_id = ${runnerId} AND failures > 0 AND claimed_at < ${now} - ${aliveMillis}`
  const ownedBy = (runnerId: RunnerId) =>
    sql<TaskRow>`SELECT id, token, intents FROM perennial_tasks WHERE runner_id = ${runnerId}`

  type Beat = (runnerId: RunnerId, ttl: Duration.Duration, now: Statement.Fragment) => Effect.Effect<
    ReadonlyArray<TaskRow>,
    SqlError.SqlError
  >
  // One statement can be given up at once, as the beginning and the end of a transaction cannot: an owner that gets no
  // answer must see in time that its lease has run out.
  const beatPg: Beat = (runnerId, ttl, now) =>
    sql<TaskRow>`WITH lease AS (${renew(runnerId, ttl, now)}), forgotten AS (${forget(runnerId, now)})
      ${ownedBy(runnerId)}`
  const beatSqlite: Beat = (runnerId, ttl, now) =>
    withTransaction(
      Effect.andThen(Effect.andThen(renew(runnerId, ttl, now), forget(runnerId, now)), ownedBy(runnerId))
    )
  const beat = sql.onDialectOrElse({ pg: () => beatPg, orElse: () => beatSqlite })

  const heartbeat: Service["heartbeat"] = (runnerId, ttl) =>
    persistently(() =>
      Effect.gen(function*() {
        const rows = yield* beat(runnerId, ttl, yield* time)
        return { owned: rows.map(({ id, intents, token }) => ({ taskId: id, token, intents })) }
      }), failed("heartbeat"))

  return {
    claim,
    release,
    heartbeat,
    unowned: ({ agentIds, limit, staleBefore = 0 }) =>
      persistently(() =>
        Effect.gen(function*() {
          const now = yield* time
          const wanted = agentIds === undefined ? sql`` : sql`AND ${concerns(sql, agentIds, staleBefore)}`
          const rows = yield* sql<TaskRow>`SELECT id, conversation_id, agent_id, token FROM perennial_tasks t
            WHERE ${unowned(sql, now)} ${wanted} ORDER BY created_at, id LIMIT ${limit}`
          return rows.map(toHead)
        }), failed("unowned"))
  }
}
