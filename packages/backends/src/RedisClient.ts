/**
 * A `Redis` for `RedisTaskBackend` and `RedisConversationStore`: `NodeRedis` that notices a dead line and whose end has a
 * bound.
 *
 * Needs the package `@effect/platform-node`.
 *
 * @since 0.1.0
 */
import * as NodeRedis from "@effect/platform-node/NodeRedis"
import { Context, Effect, Layer } from "effect"
import type { Redis } from "effect/persistence"

/**
 * What the client of `redis` takes, such as `url`.
 *
 * **Details**
 *
 * Unless they are given here, `pingInterval` is 5 seconds, and a connection on which nothing happens for 15
 * (`socket.socketTimeout`) is given up. So a command that blocks must return within 15 seconds.
 *
 * @since 0.1.0
 * @category models
 */
export type Options = NonNullable<Parameters<typeof NodeRedis.layer>[0]>

/** How long answers are waited for at the end, before the connection is closed all the same. */
const grace = "2 seconds"

const make = Effect.fnUntraced(function*({ socket, ...options }: Options) {
  let connected = false
  const services = yield* Layer.build(NodeRedis.layer({
    pingInterval: 5_000,
    ...options,
    socket: {
      socketTimeout: 15_000,
      // The first connection says at once what is wrong; later ones are made again and again.
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
      // It was closed already.
      Effect.ignoreCause
    )
  )
  return services
})

/**
 * Connects, and ends with the scope: what is under way then has 2 seconds, also while Redis is away. The client of
 * `NodeRedis.layer` waits for it without end.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Redis.Redis | NodeRedis.NodeRedis, Redis.RedisError> =>
  Layer.effectContext(make(options))
