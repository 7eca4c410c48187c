/**
 * Keeps tasks in Redis (6.2 or newer), through whatever `Redis` is provided: one primary, not Redis Cluster.
 *
 * Every method is one script, so one atomic step (P2, P4, P9); logs are streams whose entry ids are the seqs. What Redis
 * accepted survives a crash with `appendonly yes` and `appendfsync always`, since Redis answers nobody before the append
 * is on disk (P1, P5); the layer warns when it is set otherwise. Asynchronous fail-over to a replica may lose what was
 * accepted last.
 *
 * @since 0.1.0
 */
import { NewId } from "@perennial/domain/Ids"
import { isTerminal as isEnded } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { CursorAhead, EventsExpired, TaskBackendError, TaskNotFound } from "@perennial/domain/TaskError"
import { Duration, Effect, Layer, Option, Schema, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { decodeEvent, progress } from "./internal/eventPayload.ts"
import { read } from "./internal/persistence.ts"
import * as RedisConnection from "./internal/redisConnection.ts"
import { defaultPrefix, persistently, warnUnlessDurable } from "./internal/redisPersistence.ts"
import { type Run, runner } from "./internal/redisPrelude.ts"
import * as RedisQueue from "./internal/redisQueue.ts"
import { toClaimRow, toHead, toPayloads, toRow } from "./internal/redisTaskRow.ts"
import * as scripts from "./internal/redisTaskScripts.ts"
import * as RedisWakes from "./internal/redisWakes.ts"
import { toClaim, toTask } from "./internal/taskRow.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the name of every key begins with; `perennial:` by default. Processes with the same one share their tasks. */
  readonly prefix?: string | undefined
}

type Service = TaskBackend["Service"]

/** An owner that has been alive this long on a task, in milliseconds, is not what kills its owners. */
const aliveMillis = 60_000

const statuses: ReadonlyArray<string> = ["queued", "running", "completed", "error", "cancelled"]

const failed = (operation: string) => (cause: unknown) => new TaskBackendError({ operation, cause })

const decodeValue = Schema.decodeSync(Schema.fromJsonString(Schema.Json))

const makeOwnership = (run: Run): Pick<Service, "claim" | "release" | "heartbeat" | "unowned"> => ({
  claim: (id, { expectedToken, runnerId }) =>
    persistently(() =>
      Effect.flatMap(run(scripts.claim, [id, runnerId, expectedToken]), (values) =>
        values === null
          ? Effect.succeedNone
          : read(() => Option.some(toClaim(toClaimRow(values), runnerId)))), failed("claim")),
  release: ({ taskId, token }) =>
    persistently(() => Effect.asVoid(run(scripts.release, [taskId, token])), failed("release")),
  heartbeat: (runnerId, ttl) =>
    persistently(
      () =>
        Effect.map(run(scripts.heartbeat, [runnerId, Math.ceil(Duration.toMillis(ttl)), aliveMillis]), (owned) => ({
          owned: owned.map(([taskId, token, intents]) => ({ taskId, token: Number(token), intents: Number(intents) }))
        })),
      failed("heartbeat")
    ),
  unowned: ({ agentIds, limit, staleBefore = 0 }) =>
    persistently(() =>
      Effect.map(
        run(scripts.unowned, [limit, agentIds === undefined ? 1 : 0, staleBefore, ...agentIds ?? []]),
        (heads) => heads.map(toHead)
      ), failed("unowned"))
})

const makeLog = (run: Run): Pick<Service, "append" | "events" | "lastSeqs" | "prune"> => ({
  append: (batch) => {
    const args = batch.flatMap(({ claim, events }) => [
      claim.taskId,
      claim.token,
      events[0].seq,
      progress(events),
      events.length,
      ...toPayloads(events)
    ])
    return persistently(
      (again) =>
        Effect.map(
          run(scripts.append, [again ? 1 : 0, ...args]),
          (results) => batch.map((_, i) => ({ ok: results[2 * i] === 1, intents: results[2 * i + 1] ?? 0 }))
        ),
      failed("append")
    )
  },
  events: (id, { after, limit, maxBytes }) =>
    persistently(() =>
      Effect.gen(function*() {
        const result = yield* run(scripts.events, [id, after, limit, maxBytes])
        switch (result[0]) {
          case "missing":
            return yield* new TaskNotFound({ taskId: id })
          case "expired":
            return yield* new EventsExpired({ taskId: id })
          case "ahead":
            return yield* new CursorAhead({ taskId: id, after, lastSeq: result[1] })
          case "page": {
            const [, lastSeq, status, entries] = result
            const events = yield* read(() =>
              entries.map(([entry, at, payload]) => ({
                seq: Number.parseInt(entry, 10),
                at: Number(at),
                event: decodeEvent(payload)
              }))
            )
            return { events, lastSeq, ended: isEnded(status) }
          }
        }
      }), failed("events")),
  lastSeqs: (ids) =>
    persistently(() =>
      Effect.map(run(scripts.lastSeqs, ids), (seqs) =>
        ids.flatMap((taskId, i) => {
          const seq = seqs[i]
          return typeof seq === "string" ? [{ taskId, lastSeq: Number(seq) }] : []
        })), failed("lastSeqs")),
  prune: ({ finishedBefore, limit }) => persistently(() => run(scripts.prune, [finishedBefore, limit]), failed("prune"))
})

const makeReads = (run: Run): Pick<Service, "get" | "list" | "intents"> => ({
  get: (id, options) =>
    persistently(() =>
      Effect.gen(function*() {
        const values = yield* run(scripts.get, [id, options?.userId === undefined ? "" : `=${options.userId}`])
        return values === null
          ? yield* new TaskNotFound({ taskId: id })
          : yield* read(() => toTask(toRow(values)))
      }), failed("get")),
  list: ({ before, conversationId, limit, status = statuses, userId }) =>
    persistently(() =>
      Effect.flatMap(
        run(scripts.list, [userId, conversationId ?? "", before ?? "", limit, ...new Set(status)]),
        (rows) => read(() => rows.map((values) => toTask(toRow(values))))
      ), failed("list")),
  intents: (id) =>
    persistently(() =>
      Effect.flatMap(run(scripts.intents, [id]), (found) =>
        read(() => {
          const intents: Array<{ readonly ordinal: number; readonly key: string; readonly value: Schema.Json }> = []
          for (let i = 0; i < found.length; i += 2) {
            const [key = "", recorded = ""] = found.slice(i, i + 2)
            const end = recorded.indexOf(":")
            const value = decodeValue(recorded.slice(end + 1))
            intents.push({ ordinal: Number(recorded.slice(0, end)), key, value })
          }
          return intents.toSorted((a, b) => a.ordinal - b.ordinal).map(({ key, value }) => ({ key, value }))
        })), failed("intents"))
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: Options = {}): Effect.fn.Return<
  Service,
  Redis.RedisError,
  Redis.Redis | Scope.Scope
> {
  const redis = yield* Redis.Redis
  const send = yield* RedisConnection.make(redis)
  yield* warnUnlessDurable(redis, send)
  const prefix = options.prefix ?? defaultPrefix
  const origin = yield* yield* NewId
  const run = runner(send, { prefix, origin })
  // A lease must not run out because of what waits on the other connection, nor a task be kept that was given up.
  const leases = makeOwnership(runner(yield* RedisConnection.make(redis), { prefix, origin }))
  return {
    // What queues up during a commit goes into the next one.
    commitWindow: Duration.zero,
    ...RedisQueue.make(run),
    ...makeOwnership(run),
    heartbeat: leases.heartbeat,
    release: leases.release,
    ...makeLog(run),
    ...makeReads(run),
    wakes: RedisWakes.make(redis, { stream: `${prefix}wakes`, origin })
  }
})

/**
 * Keeps tasks under the prefix `perennial:`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<TaskBackend, Redis.RedisError, Redis.Redis> = Layer.effect(TaskBackend, make())

/**
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<TaskBackend, Redis.RedisError, Redis.Redis> =>
  Layer.effect(TaskBackend, make(options))
