/**
 * Keeps tasks, conversations and webhooks in Redis (6.2 or newer), for any number of processes: all ports in one layer.
 *
 * `RedisTaskBackend` says which settings of Redis make the store durable.
 *
 * Needs the package `@effect/platform-node`.
 *
 * @since 0.1.0
 */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { WebhookStore } from "@perennial/domain/WebhookStore"
import { Layer, Logger } from "effect"
import type { Redis } from "effect/persistence"
import { layerRunnerName } from "./internal/nodeRunnerName.ts"
import * as RedisClient from "./RedisClient.ts"
import * as RedisConversationStore from "./RedisConversationStore.ts"
import * as RedisTaskBackend from "./RedisTaskBackend.ts"
import * as RedisWebhookStore from "./RedisWebhookStore.ts"
import type { UnusableStore } from "./UnusableStore.ts"

/**
 * The settings of `RedisClient`, such as `url`, and the prefix of the keys.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = RedisClient.Options & RedisTaskBackend.Options

/**
 * Uses a client of the application.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNoClient = (
  options: RedisTaskBackend.Options = {}
): Layer.Layer<TaskBackend | ConversationStore | WebhookStore, Redis.RedisError | UnusableStore, Redis.Redis> =>
  Layer.mergeAll(
    layerRunnerName,
    RedisTaskBackend.layerWith(options),
    RedisConversationStore.layerWith(options),
    RedisWebhookStore.layerWith(options)
  )

/**
 * Connects to Redis.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  { prefix, ...client }: Options
): Layer.Layer<TaskBackend | ConversationStore | WebhookStore, Redis.RedisError | UnusableStore> =>
  Layer.provide(
    layerNoClient({ prefix }),
    // The backend logs every failed connection. The log messages of the client would repeat that.
    Layer.provide(RedisClient.layer(client), Logger.layer([]))
  )
