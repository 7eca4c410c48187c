/**
 * Who may execute a task: claims, leases and heads without an owner.
 */
import { type AgentId, RunnerId, TaskId } from "@perennial/domain/Ids"
import { cancelKey } from "@perennial/domain/Intent"
import { aliveMillis } from "@perennial/domain/OwnerLoss"
import { encodeAbout } from "@perennial/domain/Runner"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Option, Schema } from "effect"
import type { SqlClient, Statement } from "effect/sql"
import { toTaskBackendError } from "./backendError.ts"
import type { Dialect } from "./sqlDialect.ts"
import { isTransient } from "./sqlRetry.ts"
import { claimColumns, headColumns, mergedPage, Millis, readClaims, readHeads, readRows, toClaim } from "./sqlRows.ts"
import { logFirst, toMillis, tryCodec } from "./storeRetry.ts"
import { toHead } from "./taskRow.ts"
import type { TaskStatements } from "./taskStatements.ts"

type Service = TaskBackend["Service"]
type Claiming = Parameters<Service["claim"]>[1]

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
const concerns = (
  sql: SqlClient.SqlClient,
  agentIds: ReadonlyArray<AgentId>,
  staleFor: Duration.Duration | undefined,
  now: Statement.Fragment
) =>
  sql.or([
    sql.in("agent_id", agentIds),
    ...(staleFor === undefined ? [] : [sql`COALESCE(started_at, updated_at) <= ${now} - ${toMillis(staleFor)}`]),
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

const readOwners = readRows(Schema.Struct({ id: TaskId, runner_id: RunnerId }))
const readRunners = readRows(Schema.Struct({ id: RunnerId }))

const readOwned = readRows(Schema.Struct({
  now: Millis,
  id: Schema.NullOr(TaskId),
  token: Schema.NullOr(Schema.Int),
  intents: Schema.NullOr(Schema.Int)
}))

/** The methods that keep or give up ownership. They need no statement that is batched. */
export const makeLease = (
  { sql, time, together, withRetries }: Dialect
): Pick<Service, "release" | "heartbeat"> => {
  const renew = (runnerId: RunnerId, ttl: Duration.Duration, about: string | null, now: Statement.Fragment) =>
    Duration.isZero(ttl)
      ? sql`DELETE FROM perennial_runners WHERE id = ${runnerId}`
      : sql`INSERT INTO perennial_runners (id, expires_at, renewed_at, since, about)
          VALUES (${runnerId}, ${now} + ${toMillis(ttl)}, ${now}, ${now}, ${about})
          ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at, renewed_at = excluded.renewed_at,
            about = excluded.about`
  const clearFailures = (runnerId: RunnerId, now: Statement.Fragment) =>
    sql`UPDATE perennial_tasks SET failures = 0
      WHERE runner_id = ${runnerId} AND failures > 0 AND claimed_at < ${now} - ${aliveMillis}`

  return {
    // A repetition whose first try was applied changes nothing.
    release: ({ taskId, token }, { reason = "handover" } = {}) =>
      withRetries(
        () =>
          Effect.flatMap(time, (now) =>
            Effect.asVoid(sql`UPDATE perennial_tasks SET runner_id = NULL, lost_reason = ${reason}, lost_at = ${now}
            WHERE id = ${taskId} AND token = ${token} AND finished_at IS NULL AND runner_id IS NOT NULL`)),
        toTaskBackendError("release")
      ),
    heartbeat: (runnerId, ttl, about) =>
      withRetries((again) =>
        Effect.gen(function*() {
          const now = yield* time
          const said = about === undefined ? null : yield* tryCodec(() => encodeAbout(about))
          const rows = yield* readOwned(together(
            [renew(runnerId, ttl, said, now), clearFailures(runnerId, now)],
            // A runner without tasks is one row without a task.
            sql`SELECT c.now, t.id, t.token, t.intents FROM (SELECT ${now} AS now) c
              LEFT JOIN perennial_tasks t ON t.runner_id = ${runnerId}`
          ))
          return {
            now: Number(rows[0]?.now),
            owned: rows.flatMap(({ id, intents, token }) =>
              id === null || token === null || intents === null ? [] : [{ taskId: id, token, intents }]
            )
          }
        }).pipe(logFirst(again, isTransient)), toTaskBackendError("heartbeat"))
  }
}

export const make = (
  { sql, time, withRetries }: Dialect,
  { claimFirst }: Pick<TaskStatements, "claimFirst">
): Pick<Service, "claim" | "head" | "owners" | "unowned"> => {
  // A release by an earlier version says nothing: what the row has is older than the claim that was released.
  const claimAny = (id: TaskId, { claimId, expectedToken, runnerId }: Claiming, now: Statement.Fragment) =>
    readClaims(sql`UPDATE perennial_tasks AS t SET token = token + 1, attempt = attempt + 1,
        failures = failures + CASE WHEN runner_id IS NULL THEN 0 ELSE 1 END, runner_id = ${runnerId},
        lost_reason = CASE WHEN runner_id IS NOT NULL THEN 'crash' WHEN lost_at >= claimed_at THEN lost_reason END,
        lost_at = CASE WHEN runner_id IS NULL THEN lost_at ELSE COALESCE(
          (SELECT r.renewed_at FROM perennial_runners r WHERE r.id = runner_id), updated_at) END,
        claim_id = ${claimId}, status = 'running', started_at = COALESCE(started_at, ${now}), claimed_at = ${now},
        updated_at = ${now}
      WHERE id = ${id} AND token = ${expectedToken} AND ${unowned(sql, now)} RETURNING ${claimColumns(sql, now)}`)

  /** The claim that an earlier try won, though its reply was lost. */
  const wonBefore = (id: TaskId, { claimId, expectedToken, runnerId }: Claiming, now: Statement.Fragment) =>
    readClaims(sql`SELECT ${claimColumns(sql, now)} FROM perennial_tasks
      WHERE id = ${id} AND head = 1 AND runner_id = ${runnerId} AND claim_id = ${claimId}
        AND token = ${expectedToken + 1}`)

  const claim: Service["claim"] = (id, claiming) =>
    withRetries(() =>
      Effect.gen(function*() {
        const { claimId, expectedToken, runnerId } = claiming
        const now = yield* time
        const ways = [
          ...(expectedToken === 0 ? [claimFirst({ id, runnerId, claimId })] : []),
          claimAny(id, claiming, now),
          wonBefore(id, claiming, now)
        ]
        for (const way of ways) {
          const [row] = yield* way
          if (row !== undefined) return Option.some(yield* tryCodec(() => toClaim(row, runnerId)))
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
          ORDER BY round, created_at, id LIMIT 1`
      )
    }
      LIMIT ${deadAtOnce}`)

  return {
    claim,
    head: (id) =>
      withRetries(() =>
        Effect.map(
          readHeads(sql`SELECT ${headColumns(sql)} FROM perennial_tasks WHERE id = ${id} AND head = 1`),
          ([row]) => Option.map(Option.fromUndefinedOr(row), toHead)
        ), toTaskBackendError("head")),
    owners: (ids) =>
      ids.length === 0 ? Effect.succeed([]) : withRetries(() =>
        Effect.map(
          readOwners(
            sql`SELECT id, runner_id FROM perennial_tasks WHERE ${sql.in("id", ids)} AND runner_id IS NOT NULL`
          ),
          (rows) => rows.map(({ id, runner_id }) => ({ taskId: id, runnerId: runner_id }))
        ), toTaskBackendError("owners")),
    unowned: ({ agentIds, limit, staleFor }) =>
      withRetries(() =>
        Effect.gen(function*() {
          const now = yield* time
          const wanted = agentIds === undefined ? sql`` : sql`AND ${concerns(sql, agentIds, staleFor, now)}`
          const owners = yield* deadOwners(wanted, now)
          const rows = yield* readHeads(mergedPage(sql, {
            columns: sql`${headColumns(sql)}, round, created_at`,
            filters: [
              sql`head = 1 AND runner_id IS NULL ${wanted}`,
              ...owners.map(({ id }) => sql`runner_id = ${id} ${wanted}`)
            ],
            order: sql.literal("round, created_at, id"),
            limit
          }))
          return rows.map(toHead)
        }), toTaskBackendError("unowned"))
  }
}
