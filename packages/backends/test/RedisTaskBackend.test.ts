import { NodeRedis } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import * as RedisConversationStore from "@perennial/backends/RedisConversationStore"
import * as RedisTaskBackend from "@perennial/backends/RedisTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import type { UnusableStore } from "@perennial/backends/UnusableStore"
import { AgentId, ClaimId, MessageId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { cancelKey } from "@perennial/domain/Intent"
import { userText } from "@perennial/domain/Message"
import type { OnBusy } from "@perennial/domain/Task"
import { type Claim, TaskBackend } from "@perennial/domain/TaskBackend"
import type { Terminal } from "@perennial/domain/TaskEvent"
import type { TaskSpec } from "@perennial/domain/TaskSpec"
import { Context, Duration, Effect, Layer, Logger, Option, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { readByItsClaimAlone } from "./support/bodyReads.ts"
import { begin, create, firstClaim, ids, newTask, runnerId, text } from "./support/oneTask.ts"
import { layerEmpty, withRedis } from "./support/redis.ts"
import { spoilRedis } from "./support/spoil.ts"

class Prefix extends Context.Service<Prefix, { readonly prefix: string }>()(
  "@perennial/backends/test/RedisTaskBackend.test/Prefix"
) {}

/** A further process over the keys of a test. */
const process = (url: string, prefix: string, RESP: 2 | 3) =>
  Effect.map(
    Layer.build(Layer.fresh(
      RedisTaskBackend.layerWith({ prefix }).pipe(
        Layer.provide(NodeRedis.layer({ url, RESP })),
        Layer.provide(Logger.layer([]))
      )
    )),
    Context.get(TaskBackend)
  )

withRedis("RedisTaskBackend", (url) => {
  const layerPrefix = layerEmpty(url, (prefix) => Layer.succeed(Prefix, { prefix }))
  TaskBackendContract.suite(
    "RedisTaskBackend",
    layerEmpty(url, (prefix) => RedisTaskBackend.layerWith({ prefix })),
    {
      time: "store",
      processes: Effect.gen(function*() {
        const { prefix } = Context.get(yield* Layer.build(layerPrefix), Prefix)
        return [yield* process(url, prefix, 2), yield* process(url, prefix, 3)] as const
      }),
      spoilable: Effect.gen(function*() {
        const { prefix } = Context.get(yield* Layer.build(layerPrefix), Prefix)
        const redis = yield* Layer.build(NodeRedis.layer({ url }))
        return {
          backend: yield* process(url, prefix, 2),
          spoil: yield* Effect.provide(spoilRedis(prefix), redis)
        }
      })
    }
  )
})

withRedis("RedisTaskBackend, reads", (url) => {
  class Replies extends Context.Service<Replies, Array<unknown>>()(
    "@perennial/backends/test/RedisTaskBackend.test/Replies"
  ) {}
  const layerRecording = Layer.effect(
    Redis.Redis,
    Effect.gen(function*() {
      const replies = yield* Replies
      const redis = yield* Redis.Redis
      const recording = (send: Redis.Redis["Service"]["send"]): Redis.Redis["Service"]["send"] => (command, ...args) =>
        Effect.tap(send(command, ...args), (reply) => Effect.sync(() => replies.push(reply)))
      return Redis.Redis.of({
        ...redis,
        reserve: Effect.map(redis.reserve, (connection) => ({ ...connection, send: recording(connection.send) }))
      })
    })
  )
  const layer = layerEmpty(
    url,
    (prefix) => RedisTaskBackend.layerWith({ prefix }).pipe(Layer.provide(layerRecording))
  ).pipe(Layer.provideMerge(Layer.sync(Replies, () => [])))

  it.live("P6, P11: only the claim of a task reads the body of its message", () =>
    Effect.gen(function*() {
      const replies = yield* Replies
      yield* readByItsClaimAlone(yield* TaskBackend, () => replies.splice(0))
    }).pipe(Effect.provide(layer)))
})

const alice = UserId.make("alice")

withRedis("RedisTaskBackend, leases", (url) => {
  const layer = layerEmpty(
    url,
    (prefix) =>
      Layer.mergeAll(
        RedisTaskBackend.layerWith({ prefix }),
        Layer.effect(Redis.Redis, Redis.Redis),
        Layer.succeed(Prefix, { prefix })
      )
  )

  it.live("P8: a lease runs out by the clock of the server; the owner has it again when it renews it, also late", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const redis = yield* Redis.Redis
      // Blocks in the server, so that its clock moves on.
      const pass = (seconds: number) => redis.send("BLPOP", "perennial-test:nothing", `${seconds}`)
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

  it.live("no key of deleted conversations and of dead runners is kept", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const redis = yield* Redis.Redis
      const { prefix } = yield* Prefix
      const [dead, alive] = [RunnerId.make("dead"), RunnerId.make("alive")] as const
      for (const runner of [dead, alive]) yield* backend.heartbeat(runner, Duration.hours(1))
      const id = (n: number) => TaskId.make(`t${n}`)
      const accept = (n: number, onBusy: OnBusy) =>
        backend.create({
          id: id(n),
          conversationId: ids.conversationId,
          userId: alice,
          agentId: AgentId.make("agent"),
          input: userText("hello"),
          spec: {},
          idempotency: { key: `key ${n}`, requestHash: "hash" }
        }, { onBusy, maxQueued: 5 })
      const own = (n: number, runnerId: RunnerId, expectedToken: number) =>
        Effect.map(
          backend.claim(id(n), { runnerId, claimId: ClaimId.make(`${runnerId}/${expectedToken}`), expectedToken }),
          Option.getOrThrow
        )
      const end = (claim: Claim, seq: number) =>
        backend.finish(claim, [{ seq, at: 1, event: { ...ids, taskId: claim.taskId, type: "cancelled" } }])

      // Task 1 is handed over, gets intents, is claimed again after its owner died, ends, and loses its log to retention.
      yield* accept(1, "reject")
      yield* backend.release(yield* own(1, alive, 0))
      yield* own(1, dead, 1)
      yield* backend.putIntent(id(1), { key: "decision/call", value: { approved: true } })
      yield* accept(2, "enqueue")
      yield* accept(3, "interrupt")
      yield* backend.heartbeat(dead, Duration.zero)
      yield* end(yield* own(1, alive, 2), 2)
      // Task 4 is cancelled before it is claimed, task 3 afterwards.
      yield* accept(4, "enqueue")
      yield* backend.putIntent(id(4), { key: "cancel", value: {} })
      yield* backend.putIntent(id(3), { key: "cancel", value: {} })
      yield* accept(5, "reject")
      const last = yield* own(5, alive, 0)
      yield* backend.putIntent(id(5), { key: "cancel", value: {} })
      yield* end(last, 2)
      yield* backend.prune({ finishedFor: Duration.zero, limit: 2 })
      const ended = yield* backend.list({ userId: alice, status: ["cancelled"], limit: 10 })
      assert.strictEqual(ended.length, 5)
      yield* backend.deleteConversation({ conversationId: ids.conversationId, userId: alice })
      yield* backend.heartbeat(alive, Duration.zero)
      yield* backend.unowned({ limit: 10 })
      // The counter of ends stays, because a cursor of `ended` is never used twice.
      assert.sameMembers(yield* redis.send<Array<string>>("KEYS", `${prefix}*`), [
        `${prefix}wakes`,
        `${prefix}ends-count`
      ])
      assert.strictEqual(yield* redis.send("GET", `${prefix}ends-count`), "5")
    }).pipe(Effect.provide(layer)))

  it.live("retention removes the data that only an owner needs", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const redis = yield* Redis.Redis
      const { prefix } = yield* Prefix
      const spec = { userMetadata: { page: 1 }, logContext: { request: "r" }, metadata: { plan: "pro" } }
      yield* backend.create({ ...newTask(ids.taskId), spec }, { onBusy: "reject", maxQueued: 0 })
      yield* backend.putIntent(ids.taskId, { key: cancelKey, value: {} })
      yield* backend.prune({ finishedFor: Duration.zero, limit: 10 })
      assert.deepStrictEqual(yield* redis.send("HMGET", `${prefix}task:${ids.taskId}`, "input", "spec"), [
        "",
        `{"metadata":{"plan":"pro"}}`
      ])
      assert.strictEqual(yield* redis.send("EXISTS", `${prefix}intents:${ids.taskId}`), 0)
      assert.strictEqual((yield* backend.get(ids.taskId)).status, "cancelled")
    }).pipe(Effect.provide(layer)))

  it.live("an owner that has been alive for more than a minute clears the failures", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const redis = yield* Redis.Redis
      const { prefix } = yield* Prefix
      const { token } = yield* begin(backend)
      yield* backend.heartbeat(runnerId, Duration.zero)
      const next = { runnerId: RunnerId.make("next"), claimId: ClaimId.make("next"), expectedToken: token }
      yield* backend.heartbeat(next.runnerId, Duration.hours(1))
      const claim = Option.getOrThrow(yield* backend.claim(ids.taskId, next))
      yield* redis.send("HINCRBY", `${prefix}task:${ids.taskId}`, "claimed_at", "-60001")
      yield* backend.heartbeat(next.runnerId, Duration.hours(1))
      yield* backend.release(claim)
      const again = yield* backend.claim(ids.taskId, { ...firstClaim, expectedToken: claim.token })
      assert.deepStrictEqual([claim.failures, Option.getOrThrow(again).failures], [1, 0])
    }).pipe(Effect.provide(layer)))
})

withRedis("RedisTaskBackend, stored data", (url) => {
  const layer = layerEmpty(
    url,
    (prefix) =>
      Layer.mergeAll(
        RedisTaskBackend.layerWith({ prefix }),
        Layer.effect(Redis.Redis, Redis.Redis),
        Layer.succeed(Prefix, { prefix })
      )
  )

  it.live("an event is stored without the ids of its task and conversation; events that earlier versions wrote with ids are read", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const redis = yield* Redis.Redis
      const { prefix } = yield* Prefix
      const claim = yield* begin(backend)
      yield* backend.append([{ claim, events: [text(2)] }])
      const key = `${prefix}events:${ids.taskId}`
      const [[, fields] = []] = yield* redis.send<ReadonlyArray<[string, ReadonlyArray<string>]>>(
        "XRANGE",
        key,
        "2-0",
        "2-0"
      )
      assert.deepStrictEqual(fields, ["at", "1", "payload", `{"type":"text","content":"hi"}`])
      const older = JSON.stringify({ type: "text", ...ids, content: "older" })
      yield* redis.send("XADD", key, "3-0", "at", "1", "payload", older)
      yield* redis.send("HSET", `${prefix}task:${ids.taskId}`, "last_seq", "3")
      const { events } = yield* backend.events(ids.taskId, { after: 1, limit: 10, maxBytes: 1000 })
      assert.deepStrictEqual(events.map(({ event }) => event), [text(2).event, { ...text(2).event, content: "older" }])
    }).pipe(Effect.provide(layer)))

  it.live("P3: a conversation of an earlier version, which had no order of acceptance, has the order of its times", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const redis = yield* Redis.Redis
      const { prefix } = yield* Prefix
      yield* create(backend)
      yield* redis.send("DEL", `${prefix}order:${ids.conversationId}`)
      const id = TaskId.make("a later task with a smaller id")
      yield* create(backend, id)
      const { conversationId, userId } = newTask(id)
      const next = (after?: TaskId) => backend.nextTask({ conversationId, userId, after })
      assert.strictEqual(Option.getOrThrow(yield* next()).id, ids.taskId)
      assert.strictEqual(Option.getOrThrow(yield* next(ids.taskId)).id, id)
      // A process of that version, beside this one.
      const another = TaskId.make("another")
      yield* create(backend, another)
      yield* redis.send("ZREM", `${prefix}order:${ids.conversationId}`, another)
      assert.strictEqual(Option.getOrThrow(yield* next(id)).id, another)
    }).pipe(Effect.provide(layer)))

  it.live("tasks of an earlier version, which had no indexes of all users, are among the records of all users", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const redis = yield* Redis.Redis
      const { prefix } = yield* Prefix
      yield* create(backend)
      yield* redis.send("DEL", `${prefix}recorded:queued`, `${prefix}recorded-of-agent:queued:agent`)
      assert.strictEqual((yield* backend.countRecords({})).queued, 1)
      assert.deepStrictEqual((yield* backend.records({ limit: 10 })).map(({ id }) => id), [ids.taskId])
      // A process of that version, beside this one, knows nothing of the indexes.
      yield* redis.send("HSET", `${prefix}task:${ids.taskId}`, "status", "completed")
      assert.deepStrictEqual(yield* backend.records({ limit: 10 }), [])
      assert.strictEqual((yield* backend.countRecords({})).queued, 0)
      yield* redis.send("HSET", `${prefix}task:${ids.taskId}`, "status", "queued")
      // The tasks are looked for once.
      yield* redis.send("DEL", `${prefix}recorded:queued`)
      assert.deepStrictEqual(yield* backend.records({ limit: 10 }), [])
    }).pipe(Effect.provide(layer)))

  it.live("a row of an earlier version, which has a field for each part of the spec, is read and pruned", () =>
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const redis = yield* Redis.Redis
      const { prefix } = yield* Prefix
      const row = `${prefix}task:${ids.taskId}`
      yield* create(backend)
      yield* redis.send("HDEL", row, "spec")
      const spec: Required<Pick<TaskSpec, "userMetadata" | "metadata" | "replaces" | "logContext">> = {
        userMetadata: { page: 1 },
        metadata: { plan: "pro" },
        replaces: MessageId.make("t0/\"1"),
        logContext: { request: "r" }
      }
      yield* redis.send(
        "HSET",
        row,
        "user_metadata",
        JSON.stringify(spec.userMetadata),
        "metadata",
        JSON.stringify(spec.metadata),
        "replaces",
        spec.replaces,
        "log_context",
        JSON.stringify(spec.logContext)
      )
      const { logContext: _logContext, userMetadata: _userMetadata, ...shown } = spec
      const isShown = Effect.map(
        backend.get(ids.taskId),
        ({ metadata, replaces }) => assert.deepStrictEqual({ metadata, replaces }, shown)
      )
      yield* isShown
      yield* backend.heartbeat(runnerId, Duration.hours(1))
      const claim = Option.getOrThrow(yield* backend.claim(ids.taskId, firstClaim))
      assert.deepStrictEqual(claim.spec, spec)
      const failed: Terminal = { type: "error", ...ids, error: "Broken", detail: "It broke.", retryable: false }
      yield* backend.finish(claim, [{ seq: 2, at: 1, event: failed }])
      yield* redis.send("HDEL", row, "error_code")
      assert.deepStrictEqual((yield* backend.get(ids.taskId)).error, { code: "Unknown", detail: "It broke." })
      assert.strictEqual(yield* backend.prune({ finishedFor: Duration.zero, limit: 10 }), 1)
      yield* isShown
      const gone = ["user_metadata", "metadata", "replaces", "log_context"]
      assert.deepStrictEqual(yield* redis.send("HMGET", row, ...gone), [null, null, null, null])
    }).pipe(Effect.provide(layer)))
})

describe("RedisTaskBackend, settings of the server", () => {
  /** The warnings that are logged when the stores are made. `reply` answers `CONFIG GET`. */
  const warnings = (
    reply: (name: string) => Effect.Effect<unknown, Redis.RedisError>,
    stores: Effect.Effect<unknown, Redis.RedisError | UnusableStore, Redis.Redis | Scope.Scope> = RedisTaskBackend
      .make()
  ) =>
    Effect.gen(function*() {
      const logged: Array<string> = []
      // Besides CONFIG GET, the stores run a script: it succeeds.
      const send: Redis.Connection["send"] = (command, _get, name = "") =>
        (command === "CONFIG" ? reply(name) : Effect.succeed("the name of a script")) as Effect.Effect<
          never,
          Redis.RedisError
        >
      const redis = Redis.Redis.of({
        send: () => Effect.die("shared"),
        eval: () => () => Effect.die("no script"),
        reserve: Effect.succeed({ send, eval: () => () => Effect.die("no script") }),
        subscribe: () => Effect.die("no channel")
      })
      yield* stores.pipe(
        Effect.provideService(Redis.Redis, redis),
        Effect.provide(Logger.layer([Logger.make(({ message }) => logged.push(String(message)))]))
      )
      return logged
    })

  const durable: Record<string, string> = {
    appendonly: "yes",
    appendfsync: "always",
    maxmemory: "100000000",
    "maxmemory-policy": "noeviction"
  }

  it.effect("give a warning if Redis may lose acknowledged writes", () =>
    Effect.gen(function*() {
      assert.deepStrictEqual(yield* warnings((name) => Effect.succeed({ [name]: durable[name] })), [])
      const with_ = (change: Record<string, string>) =>
        Effect.map(
          warnings((name) => Effect.succeed([name, { ...durable, ...change }[name]])),
          (logged) => logged.join("\n")
        )
      assert.strictEqual(yield* with_({}), "")
      assert.include(yield* with_({ appendonly: "no" }), "appendonly")
      assert.include(yield* with_({ appendfsync: "everysec" }), "power failure")
      assert.strictEqual(yield* with_({ "maxmemory-policy": "volatile-lru" }), "")
      assert.strictEqual(yield* with_({ maxmemory: "0", "maxmemory-policy": "allkeys-lru" }), "")
      const [unread] = yield* warnings(() =>
        Effect.fail(new Redis.RedisError({ cause: new Error("NOPERM no permissions") }))
      )
      assert.include(unread, "could not be read")
    }))

  it.effect("give one warning for each server, also if both stores use it", () =>
    Effect.gen(function*() {
      const reply = (name: string) => Effect.succeed([name, "no"])
      assert.lengthOf(yield* warnings(reply, RedisConversationStore.make()), 1)
      assert.lengthOf(yield* warnings(reply, Effect.andThen(RedisTaskBackend.make(), RedisConversationStore.make())), 1)
    }))
})
