/**
 * Gives tasks back, on PostgreSQL: concurrent calls share a statement. A process that ends gives all of its tasks back at once,
 * and the next owners wait for it (P8).
 */
import type { Reason } from "@perennial/domain/OwnerLoss"
import type { Fence, TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, type Scope } from "effect"
import { toTaskBackendError } from "./backendError.ts"
import * as BatchedStatement from "./batchedStatement.ts"
import type { Dialect } from "./sqlDialect.ts"

type Release = TaskBackend["Service"]["release"]

interface Releasing {
  readonly claim: Fence
  readonly reason: Exclude<Reason, "crash">
}

/** Locks its rows in one order. A repetition whose first try was applied changes nothing. */
const run = ({ rowsOf, sql, time }: Dialect): BatchedStatement.Run<Releasing, void> => (items) =>
  Effect.flatMap(time, (now) => {
    const given = rowsOf(items, {
      task: ["text", ({ claim }) => claim.taskId],
      fence: ["int", ({ claim }) => claim.token],
      reason: ["text", ({ reason }) => reason]
    })
    const owned = sql`t.id = i.task AND t.token = i.fence AND t.finished_at IS NULL AND t.runner_id IS NOT NULL`
    const released = sql`WITH input AS MATERIALIZED (
        SELECT i.* FROM (SELECT * FROM ${given} ORDER BY task) i
        CROSS JOIN LATERAL (SELECT FROM perennial_tasks t WHERE ${owned} FOR UPDATE) t
      ) UPDATE perennial_tasks AS t SET runner_id = NULL, lost_reason = i.reason, lost_at = ${now}
      FROM input i WHERE ${owned}`
    return Effect.as(released, () => {})
  })

export const make = Effect.fnUntraced(function*(dialect: Dialect): Effect.fn.Return<Release, never, Scope.Scope> {
  const release = yield* BatchedStatement.make(dialect.sql, { run: run(dialect) })
  return (claim, { reason = "handover" } = {}) =>
    dialect.withRetries(() => release({ claim, reason }), toTaskBackendError("release"))
})
