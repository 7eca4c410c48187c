/**
 * Keeps tasks in PostgreSQL for any number of processes: `SqlTaskBackend`, with hints between them.
 *
 * What happens in one process reaches readers, owners and idle processes of all others within milliseconds, by `NOTIFY`
 * after the commit. Hints may be lost; nothing depends on them but speed. Beside the connections of the client's pool
 * each process has one that listens and one that renews its lease.
 *
 * Needs the package `@effect/sql-pg`.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import { isTerminal } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Layer, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { type Migrator, SqlClient, type SqlError } from "effect/sql"
import * as PgWakes from "./internal/pgWakes.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import * as SqlOwnership from "./internal/sqlOwnership.ts"
import * as SqlTaskBackend from "./SqlTaskBackend.ts"

type Service = TaskBackend["Service"]

/** Tells the other processes what they cannot see themselves, each time after the commit. */
const telling = (backend: Service, hint: PgWakes.PgWakes["hint"]): Service => ({
  ...backend,
  create: (task, options) =>
    Effect.tap(backend.create(task, options), ({ cancelled, cancelling }) =>
      Effect.sync(() => {
        for (const id of cancelled) hint("log", id)
        for (const id of cancelling) hint("intent", id)
      })),
  append: (batch) =>
    Effect.tap(backend.append(batch), (results) =>
      Effect.sync(() => {
        for (const [i, { claim }] of batch.entries()) if (results[i]?.ok === true) hint("log", claim.taskId)
      })),
  finish: (claim, events) =>
    Effect.tap(backend.finish(claim, events), () => Effect.sync(() => hint("log", claim.taskId))),
  release: (claim) => Effect.tap(backend.release(claim), () => Effect.sync(() => hint("head", claim.taskId))),
  heartbeat: (runnerId, ttl) =>
    Effect.tap(backend.heartbeat(runnerId, ttl), ({ owned: [left] }) =>
      Effect.sync(() => {
        if (left !== undefined && Duration.isZero(ttl)) hint("head", left.taskId)
      })),
  putIntent: (id, intent, options) =>
    Effect.tap(backend.putIntent(id, intent, options), ({ task, written }) =>
      Effect.sync(() => {
        if (written) hint(isTerminal(task.status) ? "log" : "intent", id)
      }))
})

const shared = "The client of PgTaskBackend has `multiplex: true`: statements share connections, and one that does not "
  + "answer any more cannot be given up. Leave it out."

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  Service,
  SqlError.SqlError,
  PgClient.PgClient | SqlClient.SqlClient | Reactivity.Reactivity | Scope.Scope
> = Effect.gen(function*() {
  const client = yield* PgClient.PgClient
  const backend = yield* SqlTaskBackend.make
  const { hint, wakes } = yield* PgWakes.make(client)
  if (client.config.multiplex === true) yield* Effect.logWarning(shared)
  // Not out of the pool: a lease must not run out because every connection is busy, and a task that is given up because
  // they do not answer must not be kept.
  const own = yield* PgClient.make({ ...PgWakes.ownConfig(client), maxConnections: 1 })
  const { heartbeat, release } = SqlOwnership.make(own.withoutTransforms(), undefined)
  return { ...telling({ ...backend, heartbeat, release }, hint), wakes }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<TaskBackend, SqlError.SqlError | Migrator.MigrationError, PgClient.PgClient> = Layer
  .effect(TaskBackend, make).pipe(
    Layer.provide(migrations.layer),
    Layer.provide(Layer.effect(SqlClient.SqlClient, PgClient.PgClient)),
    Layer.provide(Reactivity.layer)
  )
