/**
 * Who may execute a task: claims, leases and heads without an owner.
 */
import { type AgentId, RunnerId, TaskId } from "@perennial/domain/Ids"
import { cancelKey, type TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Option, Schema } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { toTaskBackendError } from "./backendError.ts"
import { read } from "./persistence.ts"
import type { Dialect } from "./sqlDialect.ts"
import { claimColumns, decodeRows, headColumns, mergedPage, readClaims, readHeads } from "./sqlRows.ts"
import { toClaim, toHead } from "./taskRow.ts"
import type { TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]
type Claiming = Parameters<Service["claim"]>[1]

/** An owner that has been alive this long on a task, in milliseconds, is not what kills its owners. */
const aliveMillis = 60_000

/** Whether task `t` is a head that nobody owns: never claimed, released, or with an owner whose lease has run out. */
export const unowned = (sql: SqlClient.SqlClient, now: Statement.Fragment): Statement.Fragment =>
  sql`(t.head = 1 AND (t.runner_id IS NULL OR NOT EXISTS (
    SELECT 1 FROM perennial_runners r WHERE r.id = t.runner_id AND r.expires_at > ${now})))`

/**
 * Whether a query about the row at hand has a row, of which it has one at most. PostgreSQL looks the row up by an index;
 * for `EXISTS` it may read the whole table once instead.
 */
const found = (sql: SqlClient.SqlClient, query: Statement.Fragment) => sql`(${query}) IS NOT NULL`

/** Whether a process that has these agents may do something about head `t`: execute it, or end it as every process may. */
const concerns = (sql: SqlClient.SqlClient, agentIds: ReadonlyArray<AgentId>, staleBefore: number) =>
  sql.or([
    sql.in("agent_id", agentIds),
    sql`COALESCE(started_at, updated_at) < ${staleBefore}`,
    sql`(intents > 0 AND ${
      found(
        sql,
        sql`SELECT 1 FROM perennial_task_intents i
      WHERE i.task_id = t.id AND i.key = ${cancelKey}`
      )
    })`
  ])

/** How many dead owners one page has tasks of. The next follow when these tasks have been claimed. */
const deadAtOnce = 50

const readRunners = decodeRows(Schema.Struct({ id: RunnerId }))

const readOwned = decodeRows(Schema.Struct({ id: TaskId, token: Schema.Int, intents: Schema.Int }))

/** The methods that keep or give up ownership. They need no statement that is batched. */
export const makeLease = (
  { sql, time, together, withRetries }: Dialect
): Pick<Service, "release" | "heartbeat"> => {
  const renew = (runnerId: RunnerId, ttl: Duration.Duration, now: Statement.Fragment) =>
    Duration.isZero(ttl)
      ? sql`DELETE FROM perennial_runners WHERE id = ${runnerId}`
      : sql`INSERT INTO perennial_runners (id, expires_at)
          VALUES (${runnerId}, ${now} + ${Math.ceil(Duration.toMillis(ttl))})
          ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at`
  const clearFailures = (runnerId: RunnerId, now: Statement.Fragment) =>
    sql`UPDATE perennial_tasks SET failures = 0
      WHERE runner_id = ${runnerId} AND failures > 0 AND claimed_at < ${now} - ${aliveMillis}`

  return {
    release: ({ taskId, token }) =>
      withRetries(() =>
        Effect.asVoid(sql`UPDATE perennial_tasks SET runner_id = NULL
          WHERE id = ${taskId} AND token = ${token} AND finished_at IS NULL`), toTaskBackendError("release")),
    heartbeat: (runnerId, ttl) =>
      withRetries(() =>
        Effect.gen(function*() {
          const now = yield* time
          const rows = yield* readOwned(together(
            [renew(runnerId, ttl, now), clearFailures(runnerId, now)],
            sql`SELECT id, token, intents FROM perennial_tasks WHERE runner_id = ${runnerId}`
          ))
          return { owned: rows.map(({ id, intents, token }) => ({ taskId: id, token, intents })) }
        }), toTaskBackendError("heartbeat"))
  }
}

export const make = (
  { sql, time, withRetries }: Dialect,
  { claimFirst }: Pick<TaskStatements, "claimFirst">
): Pick<Service, "claim" | "unowned"> => {
  const columns = claimColumns(sql)

  const claimAny = (id: TaskId, { expectedToken, runnerId }: Claiming) =>
    Effect.flatMap(
      time,
      (now) =>
        readClaims(sql`UPDATE perennial_tasks AS t SET token = token + 1, attempt = attempt + 1,
        failures = failures + CASE WHEN runner_id IS NULL THEN 0 ELSE 1 END, runner_id = ${runnerId},
        status = 'running', started_at = COALESCE(started_at, ${now}), claimed_at = ${now}, updated_at = ${now}
      WHERE id = ${id} AND token = ${expectedToken} AND ${unowned(sql, now)} RETURNING ${columns}`)
    )

  /** The claim that an earlier try won, though its reply was lost. */
  const wonBefore = (id: TaskId, { expectedToken, runnerId }: Claiming) =>
    readClaims(sql`SELECT ${columns} FROM perennial_tasks
      WHERE id = ${id} AND head = 1 AND runner_id = ${runnerId} AND token = ${expectedToken + 1}`)

  const claim: Service["claim"] = (id, claiming) =>
    withRetries(() =>
      Effect.gen(function*() {
        const { expectedToken, runnerId } = claiming
        const ways = [
          ...(expectedToken === 0 ? [claimFirst({ id, runnerId })] : []),
          claimAny(id, claiming),
          wonBefore(id, claiming)
        ]
        for (const way of ways) {
          const [row] = yield* way
          if (row !== undefined) return Option.some(yield* read(() => toClaim(row, runnerId)))
        }
        return Option.none()
      }), toTaskBackendError("claim"))

  /** Dead owners of wanted tasks. Steps from owner to owner in an index, over the tasks of living owners. */
  const deadOwners = (wanted: Statement.Fragment, now: Statement.Fragment) =>
    readRunners(sql`WITH RECURSIVE owners(id) AS (
        SELECT MIN(runner_id) FROM perennial_tasks WHERE runner_id IS NOT NULL
        UNION ALL
        SELECT (SELECT MIN(runner_id) FROM perennial_tasks WHERE runner_id > owners.id) FROM owners
        WHERE owners.id IS NOT NULL
      )
      SELECT id FROM owners WHERE id IS NOT NULL
        AND NOT EXISTS (SELECT 1 FROM perennial_runners r WHERE r.id = owners.id AND r.expires_at > ${now})
        AND ${
      found(
        sql,
        sql`SELECT 1 FROM perennial_tasks t WHERE t.runner_id = owners.id ${wanted}
          ORDER BY created_at, id LIMIT 1`
      )
    }
      LIMIT ${deadAtOnce}`)

  return {
    claim,
    unowned: ({ agentIds, limit, staleBefore = 0 }) =>
      withRetries(() =>
        Effect.gen(function*() {
          const wanted = agentIds === undefined ? sql`` : sql`AND ${concerns(sql, agentIds, staleBefore)}`
          const owners = yield* deadOwners(wanted, yield* time)
          const rows = yield* readHeads(mergedPage(sql, {
            columns: sql`${headColumns(sql)}, created_at`,
            filters: [
              sql`head = 1 AND runner_id IS NULL ${wanted}`,
              ...owners.map(({ id }) => sql`runner_id = ${id} ${wanted}`)
            ],
            order: sql.literal("created_at, id"),
            limit
          }))
          return rows.map(toHead)
        }), toTaskBackendError("unowned"))
  }
}
