/**
 * Keeps conversations in Redis (6.2 or newer), through whatever `Redis` is provided: one primary, not Redis Cluster.
 *
 * Every method is one script, so one atomic step. `RedisTaskBackend` says what Redis must be set to; this layer, too,
 * warns when it is not.
 *
 * @since 0.1.0
 */
import { type Conversation, StoredMessage } from "@perennial/domain/Conversation"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import type { ConversationId } from "@perennial/domain/Ids"
import { ConversationNotFound, ConversationStoreError } from "@perennial/domain/TaskError"
import { DateTime, Effect, Layer, Schema, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { read } from "./internal/persistence.ts"
import * as RedisConnection from "./internal/redisConnection.ts"
import * as scripts from "./internal/redisConversationScripts.ts"
import { defaultPrefix, persistently, warnUnlessDurable } from "./internal/redisPersistence.ts"
import { runner } from "./internal/redisPrelude.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** What the name of every key begins with; `perennial:` by default. */
  readonly prefix?: string | undefined
}

type Service = ConversationStore["Service"]

const failed = (operation: string) => (cause: unknown) => new ConversationStoreError({ operation, cause })

const toConversation = ([id, title, createdAt, updatedAt]: scripts.ConversationValues): Conversation => ({
  id,
  ...(title === null ? undefined : { title }),
  createdAt: DateTime.makeUnsafe(Number(createdAt)),
  updatedAt: DateTime.makeUnsafe(Number(updatedAt))
})

const Payload = Schema.fromJsonString(StoredMessage)
const decode = Schema.decodeSync(Payload)
const encode = Schema.encodeSync(Payload)

/** What a script returns, or the error when it found nothing. */
const orNotFound = <A>(conversationId: ConversationId, found: A | null) =>
  found === null ? Effect.fail(new ConversationNotFound({ conversationId })) : Effect.succeed(found)

const orMissing = (conversationId: ConversationId, found: 0 | 1) =>
  found === 0 ? Effect.fail(new ConversationNotFound({ conversationId })) : Effect.void

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
  const run = runner(send, { prefix: options.prefix ?? defaultPrefix, origin: "" })

  const found = (script: typeof scripts.create) => (operation: string): Service["get"] => ({ id, userId }) =>
    persistently(
      () => Effect.flatMap(run(script, [id, userId]), (values) => Effect.map(orNotFound(id, values), toConversation)),
      failed(operation)
    )

  return {
    create: found(scripts.create)("create"),
    get: found(scripts.get)("get"),
    list: ({ before, limit, userId }) =>
      persistently(
        () => Effect.map(run(scripts.list, [userId, before ?? "", limit]), (rows) => rows.map(toConversation)),
        failed("list")
      ),
    messages: ({ id, userId }, { after, limit }) =>
      persistently(() =>
        Effect.gen(function*() {
          const payloads = yield* orNotFound(id, yield* run(scripts.messages, [id, userId, after ?? "", limit]))
          return yield* read(() => payloads.map((payload) => decode(payload)))
        }), failed("messages")),
    append: (id, messages, options) => {
      const args = messages.flatMap((message) => [message.id, encode(message)])
      return persistently(
        () =>
          Effect.flatMap(run(scripts.append, [id, options?.replaces ?? "", ...args]), (found) => orMissing(id, found)),
        failed("append")
      )
    },
    setTitle: (id, title) =>
      persistently(
        () => Effect.flatMap(run(scripts.setTitle, [id, title]), (found) => orMissing(id, found)),
        failed("setTitle")
      ),
    delete: ({ id, userId }, options) => {
      const onlyEmpty = options?.onlyEmpty === true
      return persistently((again) =>
        Effect.flatMap(run(scripts.remove, [id, userId, onlyEmpty ? 1 : 0]), (found) =>
          // An earlier try may have removed it.
          again || onlyEmpty ? Effect.void : orMissing(id, found)), failed("delete"))
    }
  }
})

/**
 * Keeps conversations under the prefix `perennial:`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ConversationStore, Redis.RedisError, Redis.Redis> = Layer.effect(
  ConversationStore,
  make()
)

/**
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (options: Options): Layer.Layer<ConversationStore, Redis.RedisError, Redis.Redis> =>
  Layer.effect(ConversationStore, make(options))
