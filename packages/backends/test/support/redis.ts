/**
 * Redis for tests: prefixes on the server in `sharedServers.ts`. Without a server the tests are skipped.
 */
import { NodeRedis } from "@effect/platform-node"
import { describe, it } from "@effect/vitest"
import { Context, Effect, Layer, Logger } from "effect"
import { Redis } from "effect/persistence"
import { randomUUID } from "node:crypto"
import { inject } from "vitest"

/** The server that all tests share, or undefined when there is none. */
const url = inject("redis") || undefined

/** Prints one line: which tests are skipped, and what to do about it. */
export const sayIsSkipped = (tests: string): void => {
  process.stderr.write(
    `Skipped: ${tests}. There is no Redis; \`apt-get install redis-server\` installs and starts one.\n`
  )
}

/** Defines tests that use the shared server. Without a server they are skipped. */
export const withRedis = (tests: string, define: (url: string) => void): void => {
  if (url !== undefined) return define(url)
  sayIsSkipped(tests)
  describe.skip(tests, () => it("needs Redis", () => {}))
}

/** The layer over a new prefix each time it is built. The keys of the prefix are deleted at the end of the scope. */
export const layerEmpty = <A, E, R>(url: string, make: (prefix: string) => Layer.Layer<A, E, R>) =>
  Layer.unwrap(Effect.sync(() => {
    const prefix = `perennial-test:${randomUUID()}:`
    const cleared = Layer.effectDiscard(
      Effect.flatMap(
        Redis.Redis,
        (redis) =>
          Effect.addFinalizer(() =>
            redis.send<ReadonlyArray<string>>("KEYS", `${prefix}*`).pipe(
              Effect.flatMap((keys) => keys.length === 0 ? Effect.void : redis.send("UNLINK", ...keys)),
              Effect.orDie
            )
          )
      )
    )
    return make(prefix).pipe(
      // The settings of the shared server may cause a warning.
      Layer.provide(Logger.layer([])),
      Layer.provide(cleared),
      Layer.provide(NodeRedis.layer({ url }))
    )
  }))

type Reply = string | ReadonlyArray<Reply>

const readers: Readonly<Record<string, (key: string) => readonly [string, ...ReadonlyArray<string>]>> = {
  string: (key) => ["GET", key],
  hash: (key) => ["HGETALL", key],
  list: (key) => ["LRANGE", key, "0", "-1"],
  set: (key) => ["SMEMBERS", key],
  zset: (key) => ["ZRANGE", key, "0", "-1", "WITHSCORES"],
  stream: (key) => ["XRANGE", key, "-", "+"]
}

/**
 * A new prefix, and all texts under it: names of keys, values, and each value as Redis writes it to its files, where a stream
 * still has what was deleted from it. The keys are deleted at the end of the scope.
 */
export const dumpOf = Effect.fnUntraced(function*(url: string) {
  const prefix = `perennial-test:${randomUUID()}:`
  const redis = Context.get(yield* Layer.build(NodeRedis.layer({ url })), Redis.Redis)
  const keys = redis.send<ReadonlyArray<string>>("KEYS", `${prefix}*`)
  const read = Effect.fnUntraced(function*(key: string) {
    const type = yield* redis.send<string>("TYPE", key)
    const command = readers[type]?.(key)
    if (command === undefined) return yield* Effect.die(new Error(`The key ${key} has the unknown type ${type}.`))
    const value = yield* redis.send<Reply>(...command)
    return `${key} ${JSON.stringify(value)} ${yield* redis.send<string>("DUMP", key)}`
  })
  yield* Effect.addFinalizer(() =>
    Effect.orDie(Effect.flatMap(keys, (all) => all.length === 0 ? Effect.void : redis.send("UNLINK", ...all)))
  )
  return { prefix, dump: Effect.map(Effect.flatMap(keys, Effect.forEach(read)), (texts) => texts.join("\n")) }
})
