/**
 * Keeps tasks in PostgreSQL for any number of processes: `SqlTaskBackend`, with hints between them.
 *
 * Readers, owners and idle processes learn of a change in another process within milliseconds, by `NOTIFY` after the
 * commit. A lost hint costs latency alone. Besides the connections of the client's pool, each process has a connection
 * that listens and a connection that renews its lease.
 *
 * Needs the package `@effect/sql-pg`.
 *
 * @since 0.1.0
 */
import { PgClient } from "@effect/sql-pg"
import { isTerminal } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Layer, Option, type Scope } from "effect"
import { Reactivity } from "effect/reactivity"
import { type Migrator, SqlClient, type SqlError } from "effect/sql"
import * as PgRelease from "./internal/pgRelease.ts"
import * as PgWakes from "./internal/pgWakes.ts"
import { postgres } from "./internal/sqlDialect.ts"
import * as migrations from "./internal/sqlMigrations.ts"
import * as SqlOwnership from "./internal/sqlOwnership.ts"
import * as SqlTaskBackend from "./SqlTaskBackend.ts"
import type { UnusableStore } from "./UnusableStore.ts"

type Service = TaskBackend["Service"]

/** Sends hints to the other processes, after the commit of each change that they wait for. */
const withHints = (backend: Service, hint: PgWakes.PgWakes["hint"]): Service => ({
  ...backend,
  create: (task, options) =>
    Effect.tap(backend.create(task, options), ({ cancelled, cancelling, created }) =>
      Effect.sync(() => {
        if (created) hint("user", task.userId)
        for (const id of cancelled) hint("log", id)
        for (const id of cancelling) hint("intent", id)
      })),
  claim: (id, options) =>
    Effect.tap(backend.claim(id, options), (claim) =>
      Effect.sync(() => {
        if (Option.isSome(claim)) hint("user", claim.value.userId)
      })),
  append: (batch) =>
    Effect.tap(backend.append(batch), (results) =>
      Effect.sync(() => {
        for (const [i, { claim, summary }] of batch.entries()) {
          if (results[i]?.ok !== true) continue
          hint("log", claim.taskId)
          if (summary !== undefined && claim.userId !== undefined) hint("user", claim.userId)
        }
      })),
  finish: (claim, events) =>
    Effect.tap(backend.finish(claim, events), () =>
      Effect.sync(() => {
        hint("log", claim.taskId)
        if (claim.userId !== undefined) hint("user", claim.userId)
      })),
  release: (claim, options) =>
    Effect.tap(backend.release(claim, options), () =>
      Effect.sync(() => {
        if (options?.isMoving !== true) hint("head", claim.taskId)
      })),
  heartbeat: (runnerId, ttl, about) =>
    Effect.tap(backend.heartbeat(runnerId, ttl, about), ({ owned: [left] }) =>
      Effect.sync(() => {
        if (left !== undefined && Duration.isZero(ttl)) hint("head", left.taskId)
      })),
  putIntent: (id, intent, options) =>
    Effect.tap(backend.putIntent(id, intent, options), ({ task, written }) =>
      Effect.sync(() => {
        if (!written) return
        hint(isTerminal(task.status) ? "log" : "intent", id)
        if (isTerminal(task.status) && options?.userId !== undefined) hint("user", options.userId)
      }))
})

const multiplexed =
  "The client of PgTaskBackend has `multiplex: true`: statements share connections, and a connection that "
  + "does not answer any more cannot be closed. Leave `multiplex` out."

/**
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  Service,
  SqlError.SqlError | UnusableStore,
  PgClient.PgClient | SqlClient.SqlClient | Reactivity.Reactivity | Scope.Scope
> = Effect.gen(function*() {
  const client = yield* PgClient.PgClient
  const backend = yield* SqlTaskBackend.make
  const { hint, wakes } = yield* PgWakes.make(client)
  if (client.config.multiplex === true) yield* Effect.logWarning(multiplexed)
  // A connection outside the pool: a lease must not run out because all connections of the pool are busy, and a task must
  // not stay claimed because they do not answer.
  const own = yield* PgClient.make({ ...PgWakes.ownConfig(client), maxConnections: 1 })
  const dialect = postgres(own.withoutTransforms())
  const { heartbeat } = SqlOwnership.makeLease(dialect)
  const release = yield* PgRelease.make(dialect)
  return { ...withHints({ ...backend, heartbeat, release }, hint), wakes }
})

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  TaskBackend,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore,
  PgClient.PgClient
> = Layer
  .effect(TaskBackend, make).pipe(
    Layer.provide(migrations.layer),
    Layer.provide(Layer.effect(SqlClient.SqlClient, PgClient.PgClient)),
    Layer.provide(Reactivity.layer)
  )
