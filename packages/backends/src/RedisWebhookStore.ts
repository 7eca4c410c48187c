/**
 * Keeps webhooks in Redis (6.2 or newer), through whatever `Redis` is provided: one primary, not Redis Cluster.
 *
 * Every method is one script, so one atomic step. `RedisTaskBackend` names the settings that Redis must have.
 *
 * @since 0.1.0
 */
import type { WebhookKey } from "@perennial/domain/Webhook"
import { type NewDelivery, WebhookStore } from "@perennial/domain/WebhookStore"
import { Effect, Layer, Option, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { toWebhookStoreError } from "./internal/backendError.ts"
import * as RedisConnection from "./internal/redisConnection.ts"
import * as RedisScripts from "./internal/redisPrelude.ts"
import { withRetries } from "./internal/redisRetry.ts"
import * as RedisServer from "./internal/redisServer.ts"
import * as scripts from "./internal/redisWebhookScripts.ts"
import { toMillis, tryCodec } from "./internal/storeRetry.ts"
import { encodeSettings, serverUser, toDelivery, toWebhook } from "./internal/webhookRow.ts"
import type { UnusableStore } from "./UnusableStore.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The beginning of the name of every key; `perennial:` by default. */
  readonly prefix?: string | undefined
}

type Service = WebhookStore["Service"]

const fromValues = ([id, userId, settings, createdAt, disabledAt, reason]: scripts.WebhookValues) =>
  toWebhook({
    id,
    userId,
    settings,
    createdAt: Number(createdAt),
    disabledAt: disabledAt === null ? undefined : Number(disabledAt),
    disabledReason: reason ?? ""
  })

const userOf = ({ userId }: Pick<WebhookKey, "userId">): string => userId ?? serverUser

const toArguments = (deliveries: ReadonlyArray<NewDelivery>) =>
  deliveries.flatMap((
    { body, id, traceparent, userId, webhookId }
  ) => [webhookId, id, body, userId ?? "", traceparent ?? ""])

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
  const prefix = options.prefix ?? RedisServer.defaultPrefix
  const send = yield* RedisConnection.make(redis)
  yield* RedisServer.check(redis, send, prefix)
  const run = RedisScripts.make(send, { prefix, origin: "" })

  const list = (operation: string, users: ReadonlyArray<string>, onlyEnabled: boolean) =>
    withRetries(() =>
      Effect.flatMap(
        run(scripts.list, [onlyEnabled ? 1 : 0, ...users]),
        (rows) => tryCodec(() => rows.map(fromValues))
      ), toWebhookStoreError(operation))

  const claim: Service["claim"] = ({ except, lease }) =>
    withRetries(() =>
      Effect.gen(function*() {
        const claimed = yield* run(scripts.claim, [toMillis(lease), ...except])
        if (claimed === null) return Option.none()
        const [id, body, traceparent, attempt, values] = claimed
        const webhook = yield* tryCodec(() => fromValues(values))
        return Option.some({ id, body, traceparent: traceparent ?? undefined, attempt, webhook, webhookId: webhook.id })
      }), toWebhookStoreError("claim"))

  return {
    put: (key, settings) =>
      withRetries(
        () =>
          Effect.flatMap(
            tryCodec(() => encodeSettings(settings)),
            (text) => Effect.asVoid(run(scripts.put, [key.id, userOf(key), text]))
          ),
        toWebhookStoreError("put")
      ),
    list: (userId) => list("list", [userOf({ userId })], false),
    remove: (key) =>
      withRetries(
        (again) => Effect.map(run(scripts.remove, [key.id, userOf(key)]), (removed) => removed === 1 || again),
        toWebhookStoreError("remove")
      ),
    forgetUser: (userId) =>
      withRetries(
        () =>
          Effect.map(
            run(scripts.forgetUser, [userId, serverUser]),
            ([webhooks, deliveries]) => ({ webhooks, deliveries })
          ),
        toWebhookStoreError("forgetUser")
      ),
    enabled: (userIds) => list("enabled", [serverUser, ...userIds], true),
    cursor: withRetries(() => Effect.map(run(scripts.cursor, []), Number), toWebhookStoreError("cursor")),
    enqueue: (deliveries) =>
      withRetries(
        () => Effect.asVoid(run(scripts.enqueue, toArguments(deliveries))),
        toWebhookStoreError("enqueue")
      ),
    advance: (deliveries, { from, to }) =>
      withRetries(
        () => Effect.map(run(scripts.advance, [from, to, ...toArguments(deliveries)]), (moved) => moved === 1),
        toWebhookStoreError("advance")
      ),
    claim,
    settle: ({ attempt, id, webhookId }, outcome) =>
      withRetries(() => {
        const ended = outcome.type === "delivered" ? [] : [
          outcome.retryAfter === undefined ? "" : toMillis(outcome.retryAfter),
          outcome.error
        ]
        return Effect.asVoid(run(scripts.settle, [webhookId, id, attempt, ...ended]))
      }, toWebhookStoreError("settle")),
    deliveries: (key, limit) =>
      withRetries(
        () =>
          Effect.map(run(scripts.deliveries, [key.id, userOf(key), limit]), (rows) =>
            rows.map(([id, attempts, lastError, createdAt, dueAt]) =>
              toDelivery({
                id,
                attempts: Number(attempts),
                lastError,
                createdAt: Number(createdAt),
                dueAt: dueAt === null ? undefined : Number(dueAt)
              })
            )),
        toWebhookStoreError("deliveries")
      )
  }
})

/**
 * Keeps webhooks under the prefix `perennial:`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<WebhookStore, Redis.RedisError | UnusableStore, Redis.Redis> = Layer.effect(
  WebhookStore,
  make()
)

/**
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<WebhookStore, Redis.RedisError | UnusableStore, Redis.Redis> =>
  Layer.effect(WebhookStore, make(options))
