/**
 * What the store shows of its processes: how many tasks they begin and end, and which processes are alive.
 */
import { RunnerId, type UserId } from "@perennial/domain/Ids"
import { decodeAbout, fromLease } from "@perennial/domain/Runner"
import { TaskStatus } from "@perennial/domain/Task"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import * as Throughput from "@perennial/domain/Throughput"
import { Effect, Schema } from "effect"
import { toTaskBackendError } from "./backendError.ts"
import type { Dialect } from "./sqlDialect.ts"
import { Millis, readRows } from "./sqlRows.ts"

const readNow = readRows(Schema.Struct({ now: Millis }))

const readMinutes = readRows(Schema.Struct({
  minute: Millis,
  kind: Schema.Union([TaskStatus, Schema.Literal("started")]),
  count: Millis
}))

const readRunners = readRows(Schema.Struct({
  id: RunnerId,
  since: Schema.NullOr(Millis),
  renewed_at: Schema.NullOr(Millis),
  expires_at: Millis,
  about: Schema.NullOr(Schema.String),
  running: Millis,
  waiting: Schema.NullOr(Millis)
}))

export const make = (
  { sql, time, withRetries }: Dialect
): Pick<TaskBackend["Service"], "throughput" | "runners"> => {
  /** The store's time. In a statement of its own: PostgreSQL searches no index for a time that changes from row to row. */
  const readTime = Effect.gen(function*() {
    const [row] = yield* readNow(sql`SELECT ${yield* time} AS now`)
    return Number(row?.now)
  })

  /** The newest rows of an index alone, as many as are counted. */
  const minutes = (userId: UserId | undefined, column: "started_at" | "finished_at", from: number) => {
    const kind = column === "started_at" ? "'started'" : "status"
    const whose = userId === undefined ? [] : [sql`user_id = ${userId}`]
    const newest = sql`SELECT ${sql.literal(column)} AS at, ${sql.literal(kind)} AS kind FROM perennial_tasks
      WHERE ${sql.and([...whose, sql`${sql.literal(column)} >= ${from}`, sql.literal("position > 0")])}
      ORDER BY ${sql.literal(column)} DESC LIMIT ${Throughput.maxCounted}`
    return readMinutes(
      sql`SELECT at / 60000 AS minute, kind, COUNT(*) AS count FROM (${newest}) page GROUP BY at / 60000, kind`
    )
  }

  return {
    throughput: ({ userId }) =>
      withRetries(() =>
        Effect.gen(function*() {
          const now = yield* readTime
          const from = Throughput.begin(now)
          const starts = yield* minutes(userId, "started_at", from)
          const ends = yield* minutes(userId, "finished_at", from)
          return Throughput.make(
            now,
            [...starts, ...ends].map(({ count, kind, minute }) => ({
              kind,
              minute: Number(minute),
              count: Number(count)
            }))
          )
        }), toTaskBackendError("throughput")),
    runners: ({ limit }) =>
      withRetries(() =>
        Effect.gen(function*() {
          const rows = yield* readRunners(sql`SELECT r.id, r.since, r.renewed_at, r.expires_at, r.about,
              (SELECT COUNT(*) FROM perennial_tasks t WHERE t.runner_id = r.id) AS running,
              (SELECT SUM(t.waiting) FROM perennial_tasks t WHERE t.runner_id = r.id) AS waiting
            FROM perennial_runners r WHERE r.expires_at > ${yield* time} ORDER BY r.id LIMIT ${limit}`)
          return rows.map(({ about, expires_at, id, renewed_at, running, since, waiting }) =>
            fromLease({
              id,
              since: since === null ? null : Number(since),
              renewed: renewed_at === null ? null : Number(renewed_at),
              expires: Number(expires_at),
              about: decodeAbout(about),
              running: Number(running),
              waiting: Number(waiting ?? 0)
            })
          )
        }), toTaskBackendError("runners"))
  }
}
