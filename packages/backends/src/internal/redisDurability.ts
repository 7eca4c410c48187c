/**
 * Checks how durable a Redis server is.
 */
import { Array, Effect, Option } from "effect"
import type { Redis } from "effect/persistence"
import { isRedisError, isTransient, type Send, withRetries } from "./redisRetry.ts"

/** The beginning of the name of every key, unless an option sets another. */
export const defaultPrefix = "perennial:"

/** Entries of a reply that is a map in RESP3 and a list of keys and values in RESP2. */
export const entries = (reply: unknown): ReadonlyArray<readonly [string, unknown]> => {
  if (reply instanceof Map) return [...reply].map(([key, value]) => [String(key), value])
  if (!globalThis.Array.isArray(reply)) {
    return typeof reply === "object" && reply !== null ? Object.entries(reply) : []
  }
  // XREAD answers with pairs in RESP2, CONFIG GET with a flat list.
  const list: ReadonlyArray<unknown> = reply
  const pairs = list.every(globalThis.Array.isArray) ? list : Array.chunksOf(list, 2)
  return pairs.map((pair) => [String(pair[0]), pair[1]])
}

const setting = (send: Send, name: string) =>
  Effect.map(send("CONFIG", "GET", name), (reply) => {
    const found = entries(reply).find(([key]) => key === name)
    return Option.map(Option.fromUndefinedOr(found), ([, value]) => String(value))
  })

/** The risks of the settings of a server, as parts of a sentence. */
const risks = Effect.fnUntraced(function*(send: Send) {
  const appendonly = yield* setting(send, "appendonly")
  const appendfsync = yield* setting(send, "appendfsync")
  const memory = yield* setting(send, "maxmemory")
  const policy = yield* setting(send, "maxmemory-policy")
  const is = (value: Option.Option<string>, expected: string) => Option.getOrUndefined(value) === expected
  return [
    ...is(appendonly, "yes") ? [] : ["it loses everything at a restart or a crash (appendonly is not `yes`)"],
    ...is(appendfsync, "always")
      ? []
      : ["it loses what it just accepted at a power failure (appendfsync is not `always`)"],
    ...is(memory, "0") || is(policy, "noeviction")
      ? []
      : ["it deletes keys when its memory is full (maxmemory-policy is not `noeviction`)"]
  ]
})

/** Servers whose settings were checked. */
const known = new WeakSet<Redis.Redis["Service"]>()

/** Warns, once, when the server may lose what it accepted: then P1 and P5 do not hold. */
export const warnUnlessDurable = (redis: Redis.Redis["Service"], send: Send): Effect.Effect<void, Redis.RedisError> =>
  Effect.suspend(() => {
    if (known.has(redis)) return Effect.void
    known.add(redis)
    return warn(send)
  })

const warn = (send: Send): Effect.Effect<void, Redis.RedisError> =>
  withRetries(() => risks(send), (cause) => cause).pipe(
    Effect.catchIf(
      (error) => isRedisError(error) && !isTransient(error),
      () => Effect.succeed(["its settings could not be read (CONFIG GET is not allowed)"])
    ),
    Effect.catchTag("CodecError", Effect.die),
    Effect.flatMap((risks) =>
      risks.length === 0 ? Effect.void : Effect.logWarning(
        `REDIS MAY LOSE TASKS AND CONVERSATIONS: ${risks.join("; ")}. `
          + "Perennial's promises need `appendonly yes`, `appendfsync always` and `maxmemory-policy noeviction`."
      )
    )
  )
