import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { ClaimId, RunnerId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Context, Duration, Effect, Layer, Option, type Redacted } from "effect"
import { SqlClient } from "effect/sql"
import { layerHurried } from "./support/hurried.ts"
import { begin, ids, runnerId } from "./support/oneTask.ts"
import { layerEmpty, makeSchema, withPostgres } from "./support/postgres.ts"
import { spoilSql } from "./support/spoil.ts"

const processes = (url: Redacted.Redacted) =>
  Effect.gen(function*() {
    const client = PgClient.layer(yield* makeSchema(url))
    const process = Layer.build(Layer.fresh(PgTaskBackend.layer.pipe(Layer.provide(client))))
    return [Context.get(yield* process, TaskBackend), Context.get(yield* process, TaskBackend)] as const
  })

withPostgres(
  "the contract of the task backend on PostgreSQL",
  (url) =>
    TaskBackendContract.suite(
      "PgTaskBackend",
      PgTaskBackend.layer.pipe(Layer.provide(layerEmpty(url)), Layer.merge(layerHurried)),
      {
        time: "store",
        processes: processes(url),
        spoilable: Effect.flatMap(
          Layer.build(Layer.fresh(PgTaskBackend.layer.pipe(Layer.provideMerge(layerEmpty(url))))),
          (context) =>
            Effect.map(
              Effect.provide(spoilSql, context),
              (spoil) => ({ backend: Context.get(context, TaskBackend), spoil })
            )
        )
      }
    )
)

withPostgres("PgTaskBackend, leases", (url) => {
  const layer = PgTaskBackend.layer.pipe(Layer.provideMerge(layerEmpty(url)))

  it.live("P8: a lease runs out by the clock of the database; the owner has it again when it renews it, also late", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const sql = yield* SqlClient.SqlClient
      // Sleeps in the database, so that its clock moves on.
      const pass = (seconds: number) => sql`SELECT pg_sleep(${seconds})`
      const { token } = yield* begin(backend)
      yield* backend.heartbeat(runnerId, Duration.millis(20))
      yield* pass(0.05)
      assert.strictEqual((yield* backend.unowned({ limit: 1 }))[0]?.token, token)
      yield* backend.heartbeat(runnerId, Duration.hours(1))
      assert.deepStrictEqual(yield* backend.unowned({ limit: 1 }), [])
      yield* backend.heartbeat(runnerId, Duration.millis(20))
      yield* pass(0.05)
      const next = { runnerId: RunnerId.make("next"), claimId: ClaimId.make("next"), expectedToken: token }
      const claim = Option.getOrThrow(yield* backend.claim(ids.taskId, next))
      assert.deepInclude(claim, { token: token + 1, attempt: 2, failures: 1 })
      assert.deepStrictEqual((yield* backend.heartbeat(runnerId, Duration.hours(1))).owned, [])
    }).pipe(Effect.provide(layer)))

  it.live("an owner that has been alive for more than a minute clears the failures", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const sql = yield* SqlClient.SqlClient
      const { token } = yield* begin(backend)
      yield* backend.heartbeat(runnerId, Duration.zero)
      const next = { runnerId: RunnerId.make("next"), claimId: ClaimId.make("next"), expectedToken: token }
      yield* backend.heartbeat(next.runnerId, Duration.hours(1))
      const claim = Option.getOrThrow(yield* backend.claim(ids.taskId, next))
      const failures = Effect.map(
        sql<{ readonly failures: number }>`SELECT failures FROM perennial_tasks`,
        ([row]) => row?.failures
      )
      yield* sql`UPDATE perennial_tasks SET claimed_at = claimed_at - 50000`
      yield* backend.heartbeat(next.runnerId, Duration.hours(1))
      assert.deepStrictEqual([claim.failures, yield* failures], [1, 1])
      yield* sql`UPDATE perennial_tasks SET claimed_at = claimed_at - 10001`
      yield* backend.heartbeat(next.runnerId, Duration.hours(1))
      assert.strictEqual(yield* failures, 0)
    }).pipe(Effect.provide(layer)))
})
