/**
 * A `Redis` for `RedisTaskBackend` and `RedisConversationStore`: effect's `NodeRedis` that notices dead connections and closes
 * within a time limit.
 *
 * Needs the package `@effect/platform-node`.
 *
 * @since 0.1.0
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Context, Effect, Layer } from "effect"
import type { Redis } from "effect/persistence"

/**
 * The options of the client of `redis`, such as `url`.
 *
 * **Details**
 *
 * By default `pingInterval` is 5 seconds, and `socket.socketTimeout` 15 seconds: the client closes a connection that was idle
 * for so long. A command that blocks must therefore return within 15 seconds.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = NonNullable<Parameters<typeof NodeRedis.layer>[0]>

/** How long the close waits for missing answers. */
const grace = "2 seconds"

const make = Effect.fnUntraced(function*({ socket, ...options }: Options) {
  let connected = false
  const services = yield* Layer.build(NodeRedis.layer({
    pingInterval: 5_000,
    ...options,
    socket: {
      socketTimeout: 15_000,
      // The first connection fails at once when something is wrong. The client repeats later connections without a limit.
      reconnectStrategy: (retries, cause) => connected ? Math.min(50 * 2 ** retries, 2_000) : cause,
      ...socket
    }
  }))
  connected = true
  const { client } = Context.get(services, NodeRedis.NodeRedis)
  yield* Effect.addFinalizer(() =>
    Effect.promise(() => client.close()).pipe(
      Effect.timeoutOption(grace),
      Effect.andThen(Effect.sync(() => client.destroy())),
      // The connection was closed already.
      Effect.ignoreCause
    )
  )
  return services
})

/**
 * Connects, and closes with the scope. Commands that wait for an answer then have 2 seconds, also while Redis is not
 * reachable. The client of `NodeRedis.layer` waits for these answers without a limit.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Redis.Redis | NodeRedis.NodeRedis, Redis.RedisError> =>
  Layer.effectContext(make(options))
