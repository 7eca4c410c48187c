/**
 * Checks at the start of a store what a Redis server does, and how durable it is.
 */
import { Array, Effect, Option } from "effect"
import type { Redis } from "effect/persistence"
import { UnusableStore } from "../UnusableStore.ts"
import * as RedisScripts from "./redisPrelude.ts"
import { isReadOnly, isRedisError, isReply, isTransient, messageOf, type Send, withRetries } from "./redisRetry.ts"

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

/** Writes and removes a key of each type, in a script: what every method of a store does. */
const probe: RedisScripts.Script<null> = {
  lua: String.raw`
local key = ARGV[1] .. "check"
local writes = { { "SET", "1" }, { "HSET", "f", "1" }, { "RPUSH", "1" }, { "ZADD", "0", "m" }, { "XADD", "*", "f", "1" } }
for _, write in ipairs(writes) do
  redis.call(write[1], key, unpack(write, 2))
  redis.call("UNLINK", key)
end
`
}

const refuse = (problem: string) => new UnusableStore({ problem })

/** Why the server refuses the probe. A failure of the connection stays what it is. */
const refusal = (prefix: string) => (error: Redis.RedisError): Redis.RedisError | UnusableStore => {
  if (!isReply(error)) return error
  if (isReadOnly(error)) return refuse("Redis is a replica, which accepts no writes. Connect to the primary.")
  const reply = messageOf(error).replace(/\.?(?: script: .*)?$/s, "")
  return /NOPERM|The user executing the script/.test(reply)
    ? refuse(`The user of Redis may not run the scripts of the store: ${reply}. Allow \`+@all ~${prefix}*\`.`)
    : refuse(`Redis accepts no writes: ${reply}.`)
}

/** The risks of the settings of a server, as parts of a sentence. Refuses a server that deletes what it has accepted. */
const risks = Effect.fnUntraced(function*(send: Send) {
  const appendonly = yield* setting(send, "appendonly")
  const appendfsync = yield* setting(send, "appendfsync")
  const memory = yield* setting(send, "maxmemory")
  const policy = yield* setting(send, "maxmemory-policy")
  const is = (value: Option.Option<string>, expected: string) => Option.getOrUndefined(value) === expected
  const evicts = !is(memory, "0") && Option.exists(policy, (name) => name.startsWith("allkeys-"))
  if (evicts) {
    return yield* refuse(
      "Redis deletes tasks when its memory is full (maxmemory-policy "
        + `${Option.getOrElse(policy, () => "")}). Set \`maxmemory-policy noeviction\`.`
    )
  }
  return [
    ...is(appendonly, "yes") ? [] : ["it loses everything at a restart or a crash (appendonly is not `yes`)"],
    ...is(appendfsync, "always")
      ? []
      : ["it loses what it just accepted at a power failure (appendfsync is not `always`)"]
  ]
})

/** Servers that were checked. */
const known = new WeakSet<Redis.Redis["Service"]>()

/**
 * Refuses a server that a store cannot use. Waits up to 30 seconds for a server that accepts no writes at present. Warns when
 * the server may lose what it accepted: then P1 and P5 do not hold. Once for each server.
 */
export const check = (
  redis: Redis.Redis["Service"],
  send: Send,
  prefix: string
): Effect.Effect<void, Redis.RedisError | UnusableStore> =>
  Effect.suspend(() => {
    if (known.has(redis)) return Effect.void
    known.add(redis)
    const run = RedisScripts.make(send, { prefix, origin: "" })
    const writes = withRetries(() => run(probe, []), (cause) => cause)
    return writes.pipe(
      Effect.catchTags({ CodecError: Effect.die, RedisError: (error) => Effect.fail(refusal(prefix)(error)) }),
      Effect.andThen(warnUnlessDurable(send)),
      Effect.onError(() => Effect.sync(() => known.delete(redis)))
    )
  })

const warnUnlessDurable = (send: Send): Effect.Effect<void, Redis.RedisError | UnusableStore> =>
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
