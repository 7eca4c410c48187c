/**
 * Keeps conversations in Redis (6.2 or newer), through whatever `Redis` is provided: one primary, not Redis Cluster.
 *
 * Every method is one script, so one atomic step. `RedisTaskBackend` names the settings that Redis must have; this layer
 * also warns when Redis has others, and refuses a server that it cannot use.
 *
 * @since 0.1.0
 */
import type { Conversation } from "@perennial/domain/Conversation"
import { type ConversationKey, ConversationStore, maxSearched } from "@perennial/domain/ConversationStore"
import type { ConversationId, MessageId } from "@perennial/domain/Ids"
import * as MessagePayload from "@perennial/domain/MessagePayload"
import { prefixesOf, wordsOf, wordsOfMessages } from "@perennial/domain/SearchText"
import { ConversationNotFound } from "@perennial/domain/TaskError"
import { DateTime, Effect, Layer, Option, type Scope } from "effect"
import { Redis } from "effect/persistence"
import { toConversationStoreError } from "./internal/backendError.ts"
import * as EarlierWords from "./internal/earlierWords.ts"
import * as RedisConnection from "./internal/redisConnection.ts"
import * as scripts from "./internal/redisConversationScripts.ts"
import * as RedisScripts from "./internal/redisPrelude.ts"
import { withRetries } from "./internal/redisRetry.ts"
import * as RedisServer from "./internal/redisServer.ts"
import { tryCodec } from "./internal/storeRetry.ts"
import type { UnusableStore } from "./UnusableStore.ts"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The beginning of the name of every key; `perennial:` by default. */
  readonly prefix?: string | undefined
}

type Service = ConversationStore["Service"]

const toConversation = ([id, title, preview, createdAt, updatedAt]: scripts.ConversationValues): Conversation => ({
  id,
  ...(title === null ? undefined : { title }),
  ...(preview === null ? undefined : { preview }),
  createdAt: DateTime.makeUnsafe(Number(createdAt)),
  updatedAt: DateTime.makeUnsafe(Number(updatedAt))
})

/** The result of a script, or the error when the script found no conversation. */
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
  Redis.RedisError | UnusableStore,
  Redis.Redis | Scope.Scope
> {
  const redis = yield* Redis.Redis
  const send = yield* RedisConnection.make(redis)
  const prefix = options.prefix ?? RedisServer.defaultPrefix
  yield* RedisServer.check(redis, send, prefix)
  const run = RedisScripts.make(send, { prefix, origin: "" })

  const found = (script: typeof scripts.create) => (operation: string): Service["get"] => ({ id, userId }) =>
    withRetries(
      () => Effect.flatMap(run(script, [id, userId]), (values) => Effect.map(orNotFound(id, values), toConversation)),
      toConversationStoreError(operation)
    )

  const readPage = Effect.fnUntraced(function*(
    script: typeof scripts.messages,
    { id, userId }: ConversationKey,
    { after, limit }: { readonly after?: MessageId | undefined; readonly limit: number }
  ) {
    const page = yield* orNotFound(id, yield* run(script, [id, userId, after ?? "", limit]))
    const read = page.map(([position, payload]) => ({ position, payload, message: MessagePayload.decode(payload) }))
    const unreadable = read.filter(({ message }) => Option.isNone(message)).map(({ position }) => position)
    // Readable texts have their ids.
    const ids = new Map(unreadable.length === 0 ? [] : yield* run(scripts.idsAt, [id, ...unreadable]))
    return read.flatMap(({ message, payload, position }) => {
      const messageId = ids.get(position)
      if (Option.isSome(message)) return [message.value]
      return messageId === undefined ? [] : [MessagePayload.makeUnreadable(payload, messageId)]
    })
  })

  const get = found(scripts.get)("get")

  const messages: Service["messages"] = (key, { order, ...options }) =>
    withRetries(
      () => readPage(order === "newest" ? scripts.newestMessages : scripts.messages, key, options),
      toConversationStoreError("messages")
    )

  const listFailed = toConversationStoreError("list")

  const addEarlierWords = EarlierWords.make({ get, messages }, {
    find: (userId, limit) => withRetries(() => run(scripts.unsearched, [userId, limit]), listFailed),
    add: ({ id, userId }, conversation, words) =>
      withRetries(() => {
        const createdAt = conversation?.createdAt.epochMilliseconds ?? ""
        return Effect.asVoid(run(scripts.addEarlierWords, [id, userId, createdAt, words.join(" ")]))
      }, listFailed)
  })

  const listed = (
    { before, children, limit, order, userId }: Parameters<Service["list"]>[0],
    prefixes: ReadonlyArray<string>
  ) =>
    withRetries(
      () =>
        Effect.map(
          run(scripts.list, [
            userId,
            before?.id ?? "",
            before?.at.epochMilliseconds ?? "",
            limit,
            order === "updatedAt" ? 1 : 0,
            maxSearched,
            children === true ? 1 : 0,
            ...prefixes
          ]),
          (rows) => rows.map(toConversation)
        ),
      listFailed
    )

  const list: Service["list"] = (options) => {
    if (options.text === undefined) return listed(options, [])
    const prefixes = prefixesOf(options.text)
    if (prefixes.length === 0) return Effect.succeed([])
    return Effect.andThen(addEarlierWords(options.userId), listed(options, prefixes))
  }

  return {
    create: found(scripts.create)("create"),
    get,
    list,
    messages,
    replaced: (key, options) =>
      withRetries(() => readPage(scripts.replaced, key, options), toConversationStoreError("replaced")),
    append: (id, messages, options) =>
      withRetries(() =>
        Effect.gen(function*() {
          const args = yield* tryCodec(() =>
            messages.flatMap((message) => [message.id, MessagePayload.encode(message)])
          )
          const { follows = "", replaces = "" } = options ?? {}
          const preview = MessagePayload.previewOf(messages) ?? ""
          return yield* orMissing(
            id,
            yield* run(scripts.append, [id, replaces, follows, preview, wordsOfMessages(messages).join(" "), ...args])
          )
        }), toConversationStoreError("append")),
    setTitle: (id, title, options) =>
      withRetries(
        () =>
          Effect.flatMap(
            run(scripts.setTitle, [id, title, options?.chosen === true ? 1 : 0, wordsOf(title).join(" ")]),
            (found) => orMissing(id, found)
          ),
        toConversationStoreError("setTitle")
      ),
    delete: ({ id, userId }, options) => {
      const onlyEmpty = options?.onlyEmpty === true
      return withRetries(
        (again) =>
          Effect.flatMap(run(scripts.remove, [id, userId, onlyEmpty ? 1 : 0]), (messages) =>
            // An earlier try may have removed it.
            again || onlyEmpty ? Effect.succeed(messages ?? 0) : orNotFound(id, messages)),
        toConversationStoreError("delete")
      )
    }
  }
})

/**
 * Keeps conversations under the prefix `perennial:`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<ConversationStore, Redis.RedisError | UnusableStore, Redis.Redis> = Layer.effect(
  ConversationStore,
  make()
)

/**
 * @since 0.1.0
 * @category layers
 */
export const layerWith = (
  options: Options
): Layer.Layer<ConversationStore, Redis.RedisError | UnusableStore, Redis.Redis> =>
  Layer.effect(ConversationStore, make(options))
