/**
 * Keeps tasks in Redis (6.2 or newer), through whatever `Redis` is provided: one primary, not Redis Cluster.
 *
 * Every write is one script, so one atomic step (P2, P4, P9). Logs are streams whose entry ids are the seqs. With
 * `appendonly yes` and `appendfsync always` Redis answers after the write is on disk, so an accepted task survives a crash
 * (P1, P5); the layer warns when Redis has other settings. Asynchronous fail-over to a replica may lose the newest writes.
 *
 * The layer refuses a server that it cannot use: a replica, a user who may not run scripts, and a `maxmemory-policy` that
 * deletes keys.
 *
 * @since 0.1.0
 */
import * as EventPayload from "@perennial/domain/EventPayload"
import { NewId, RunnerId } from "@perennial/domain/Ids"
import { decodeValue } from "@perennial/domain/Intent"
import { aliveMillis } from "@perennial/domain/OwnerLoss"
import { encodeAbout } from "@perennial/domain/Runner"
import { isTerminal as isEnded } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { CursorAhead, EventsExpired, TaskNotFound } from "@perennial/domain/TaskError"
import * as TaskSpec from "@perennial/domain/TaskSpec"
import { Array, Duration, Effect, Layer, Option, type Schema, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { toTaskBackendError } from "./internal/backendError.ts"
import { progress, summaryText, waitingFlag } from "./internal/eventPayload.ts"
import * as RedisConnection from "./internal/redisConnection.ts"
import * as RedisScripts from "./internal/redisPrelude.ts"
import * as RedisQueue from "./internal/redisQueue.ts"
import * as RedisRecords from "./internal/redisRecords.ts"
import { isTransient, withRetries } from "./internal/redisRetry.ts"
import * as RedisServer from "./internal/redisServer.ts"
import { nextTask } from "./internal/redisTaskLists.ts"
import { toClaimRow, toEnded, toHead, toHeadOption, toPayloads, toRow } from "./internal/redisTaskRow.ts"
import * as scripts from "./internal/redisTaskScripts.ts"
import * as RedisWakes from "./internal/redisWakes.ts"
import { logFirst, toMillis, tryCodec } from "./internal/storeRetry.ts"
import { toClaim, toTask } from "./internal/taskRow.ts"
import type { UnusableStore } from "./UnusableStore.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The beginning of the name of every key; `perennial:` by default. Processes with the same prefix share their tasks. */
  readonly prefix?: string | undefined
}

type Service = TaskBackend["Service"]

const makeOwnership = (
  run: RedisScripts.RunScript
): Pick<Service, "head" | "claim" | "release" | "owners" | "heartbeat" | "unowned"> => ({
  head: (id) => withRetries(() => Effect.map(run(scripts.head, [id]), toHeadOption), toTaskBackendError("head")),
  claim: (id, { claimId, expectedToken, runnerId }) =>
    withRetries(() =>
      Effect.flatMap(run(scripts.claim, [id, runnerId, expectedToken, claimId]), (won) =>
        won === null
          ? Effect.succeedNone
          : tryCodec(() => Option.some(toClaim(toClaimRow(won[1]), runnerId, won[0])))), toTaskBackendError("claim")),
  release: ({ taskId, token }, { isMoving = false, reason = "handover" } = {}) =>
    withRetries(
      () => Effect.asVoid(run(scripts.release, [taskId, token, reason, isMoving ? 1 : 0])),
      toTaskBackendError("release")
    ),
  owners: (ids) =>
    withRetries(() =>
      Effect.map(run(scripts.owners, ids), (runners) =>
        ids.flatMap((taskId, i) => {
          const runner = runners[i]
          return typeof runner === "string" ? [{ taskId, runnerId: RunnerId.make(runner) }] : []
        })), toTaskBackendError("owners")),
  heartbeat: (runnerId, ttl, about) =>
    withRetries(
      (again) =>
        tryCodec(() => about === undefined ? "" : encodeAbout(about)).pipe(
          Effect.flatMap((said) => run(scripts.heartbeat, [runnerId, toMillis(ttl), aliveMillis, said])),
          Effect.map(([now, owned]) => ({
            now,
            owned: owned.map(([taskId, token, intents]) => ({ taskId, token: Number(token), intents: Number(intents) }))
          })),
          logFirst(again, isTransient)
        ),
      toTaskBackendError("heartbeat")
    ),
  unowned: ({ agentIds, limit, staleFor = Duration.infinity }) =>
    withRetries(() =>
      Effect.map(
        run(scripts.unowned, [limit, agentIds === undefined ? 1 : 0, toMillis(staleFor), ...agentIds ?? []]),
        (heads) => heads.map(toHead)
      ), toTaskBackendError("unowned"))
})

const makeLog = (run: RedisScripts.RunScript): Pick<Service, "append" | "events" | "lastSeqs" | "prune"> => ({
  append: (batch) => {
    const toArguments = () =>
      batch.flatMap(({ claim, events, summary }) => [
        claim.taskId,
        claim.token,
        events[0].seq,
        progress(events),
        summaryText(summary),
        waitingFlag(summary),
        events.length,
        ...toPayloads(events)
      ])
    return withRetries((again) =>
      Effect.gen(function*() {
        const results = yield* run(scripts.append, [again ? 1 : 0, ...yield* tryCodec(toArguments)])
        return batch.map((_, i) => ({ ok: results[2 * i] === 1, intents: results[2 * i + 1] ?? 0 }))
      }), toTaskBackendError("append"))
  },
  events: (id, { after, limit, maxBytes }) =>
    withRetries(() =>
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
            const [, lastSeq, status, conversationId, entries] = result
            const ids = { taskId: id, conversationId }
            const events = yield* tryCodec(() =>
              entries.map(([entry, at, payload]) => ({
                seq: Number.parseInt(entry, 10),
                at: Number(at),
                event: EventPayload.decode(payload, ids)
              }))
            )
            return { events, lastSeq, ended: isEnded(status) }
          }
        }
      }), toTaskBackendError("events")),
  lastSeqs: (ids) =>
    withRetries(() =>
      Effect.map(run(scripts.lastSeqs, ids), (seqs) =>
        ids.flatMap((taskId, i) => {
          const seq = seqs[i]
          return typeof seq === "string" ? [{ taskId, lastSeq: Number(seq) }] : []
        })), toTaskBackendError("lastSeqs")),
  prune: ({ finishedFor, limit }) =>
    withRetries(
      () =>
        Effect.flatMap(run(scripts.prunable, [toMillis(finishedFor), limit]), (found) =>
          found.length === 0
            ? Effect.succeed(0)
            // A spec does not change, so that it is the same in the second script.
            : run(scripts.prune, Array.map(found, (text, i) => i % 2 === 0 ? text : TaskSpec.pruneText(text)))),
      toTaskBackendError("prune")
    )
})

const makeReads = (
  run: RedisScripts.RunScript
): Pick<Service, "get" | "nextTask" | "intents" | "ended"> => ({
  get: (id, options) =>
    withRetries(() =>
      Effect.gen(function*() {
        const values = yield* run(scripts.get, [id, options?.userId === undefined ? "" : `=${options.userId}`])
        return values === null
          ? yield* new TaskNotFound({ taskId: id })
          : yield* tryCodec(() => toTask(toRow(values)))
      }), toTaskBackendError("get")),
  nextTask: ({ after, conversationId, userId }) =>
    withRetries(() =>
      Effect.gen(function*() {
        const values = yield* run(nextTask, [conversationId, userId, after ?? ""])
        if (values === 0 && after !== undefined) return yield* new TaskNotFound({ taskId: after })
        return values === null || values === 0
          ? Option.none()
          : yield* tryCodec(() => Option.some(toTask(toRow(values))))
      }), toTaskBackendError("nextTask")),
  ended: ({ after, limit }) =>
    withRetries(
      () => Effect.flatMap(run(scripts.ended, [after, limit]), (ends) => tryCodec(() => ends.map(toEnded))),
      toTaskBackendError("ended")
    ),
  intents: (id) =>
    withRetries(() =>
      Effect.flatMap(run(scripts.intents, [id]), (found) =>
        tryCodec(() => {
          const intents: Array<{ readonly ordinal: number; readonly key: string; readonly value: Schema.Json }> = []
          for (let i = 0; i < found.length; i += 2) {
            const [key = "", recorded = ""] = found.slice(i, i + 2)
            const end = recorded.indexOf(":")
            const value = decodeValue(recorded.slice(end + 1))
            intents.push({ ordinal: Number(recorded.slice(0, end)), key, value })
          }
          return intents.toSorted((a, b) => a.ordinal - b.ordinal).map(({ key, value }) => ({ key, value }))
        })), toTaskBackendError("intents"))
})

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.fnUntraced(function*(options: Options = {}): Effect.fn.Return<
  Service,
  Redis.RedisError | UnusableStore,
  Redis.Redis | Scope.Scope
> {
  const redis = yield* Redis.Redis
  const send = yield* RedisConnection.make(redis)
  const prefix = options.prefix ?? RedisServer.defaultPrefix
  yield* RedisServer.check(redis, send, prefix)
  const origin = yield* yield* NewId
  const run = RedisScripts.make(send, { prefix, origin })
  // A lease must not run out, and a release must not be late, because of commands that wait on the other connection.
  const leases = makeOwnership(RedisScripts.make(yield* RedisConnection.make(redis), { prefix, origin }))
  return {
    // Events that arrive during a commit go into the next one.
    commitWindow: Duration.zero,
    ...RedisQueue.make(run),
    ...makeOwnership(run),
    heartbeat: leases.heartbeat,
    release: leases.release,
    ...makeLog(run),
    ...makeReads(run),
    ...RedisRecords.make(run),
    wakes: RedisWakes.make(redis, { stream: `${prefix}wakes`, origin })
  }
})

/**
 * Keeps tasks under the prefix `perennial:`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<TaskBackend, Redis.RedisError | UnusableStore, Redis.Redis> = Layer.effect(
  TaskBackend,
  make()
)

/**
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<TaskBackend, Redis.RedisError | UnusableStore, Redis.Redis> =>
  Layer.effect(TaskBackend, make(options))
