/**
 * An `HttpServer` on Node.js with the limits and the shutdown that event streams need.
 *
 * @since 0.1.0
 */
// @effect-diagnostics nodeBuiltinImport:off
import { NodeHttpServer } from "@effect/platform-node"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskManager } from "@perennial/domain/TaskManager"
import { type Config, Duration, Effect, Layer } from "effect"
import type { HttpServer, HttpServerError } from "effect/http"
import { createServer } from "node:http"
import * as Faces from "./Faces.ts"
import { layerMaxStreams } from "./internal/openFiles.ts"
import { config } from "./ListenConfig.ts"
import * as RateLimit from "./RateLimit.ts"
import * as Server from "./Server.ts"
import * as Tokens from "./Tokens.ts"

/**
 * The address of the server, and its time limits.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** An address of this machine; `127.0.0.1` by default. */
  readonly host?: string | undefined
  /** 0 to 65,535; 0 lets the system choose. */
  readonly port: number
  /**
   * How long a socket may neither send nor receive before the server closes it. It must be several heartbeats of the event
   * streams, or idle streams are cut: by default it is four heartbeats, and at least one minute.
   */
  readonly socketTimeout?: Duration.Input | undefined
  /** The heartbeat of the event streams, if `Server` has another one than its default of 15 seconds. */
  readonly heartbeat?: Duration.Input | undefined
  /** How long the headers of a request may take to arrive; 20 seconds by default. Then the answer is 408. */
  readonly headersTimeout?: Duration.Input | undefined
  /** How long a whole request may take to arrive; one minute by default. Then the answer is 408. */
  readonly requestTimeout?: Duration.Input | undefined
  /** How long open requests may take to end at shutdown; 20 seconds by default. Event streams end at once. */
  readonly shutdownTimeout?: Duration.Input | undefined
}

/** In milliseconds; 0 is no limit. */
const socketTimeout = ({ heartbeat = "15 seconds", socketTimeout }: Options): number => {
  const fourHeartbeats = Duration.times(Duration.fromInputUnsafe(heartbeat), 4)
  const millis = Duration.toMillis(socketTimeout ?? Duration.max(fourHeartbeats, Duration.minutes(1)))
  return Number.isFinite(millis) ? millis : 0
}

/** Node.js looks for requests that take too long at an interval, which is 30 seconds unless it is given. */
const arrival = ({ headersTimeout = "20 seconds", requestTimeout = "1 minute" }: Options) => {
  const headers = Duration.toMillis(headersTimeout)
  const request = Duration.toMillis(requestTimeout)
  return {
    headersTimeout: headers,
    requestTimeout: request,
    connectionsCheckingInterval: Math.min(5_000, headers, request)
  }
}

/**
 * An `HttpServer` on Node.js: provide it to `Server.layer`, or to a server of your own.
 *
 * **Details** A request must arrive within `requestTimeout`, its headers within `headersTimeout`. A reader that never reads, or that is
 * gone without closing its connection, is disconnected after `socketTimeout`. The number of event streams is bounded by the
 * files that the process may open: see `Sse.Options`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options) =>
  NodeHttpServer.layer(() => {
    const server = createServer({ ...arrival(options), keepAliveTimeout: 65_000 })
    server.setTimeout(socketTimeout(options))
    // `close` ends the connections that are idle at that moment. A connection that becomes idle later, such as when its
    // event stream has been drained, would hold the shutdown up for as long as the client keeps the connection. Each ends by
    // itself: `closeIdleConnections` goes through all connections, and destroys those that still have bytes to send.
    server.on("request", ({ socket }, response) => {
      response.once("finish", () => {
        if (!server.listening) socket.destroySoon()
      })
    })
    return server
  }, {
    host: options.host ?? "127.0.0.1",
    port: options.port,
    gracefulShutdownTimeout: options.shutdownTimeout ?? "20 seconds"
  }).pipe(Layer.merge(layerMaxStreams))

/**
 * Serves the API on Node.js with the settings of the environment: see `ListenConfig.config`. `faces` replaces the setting
 * `PERENNIAL_FACES`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options?: Omit<Server.Options, "publicUrl" | "maxStreams" | "maxUserStreams"> & Omit<Options, "host" | "port">
): Layer.Layer<
  HttpServer.HttpServer,
  HttpServerError.ServeError | Config.ConfigError | Tokens.NotLoopback,
  TaskManager | ConversationStore
> =>
  Layer.unwrap(
    Effect.gen(function*() {
      const { host, maxRequests, maxStreams, maxUserStreams, port, publicUrl, ticketSecret, tokens, ...listen } =
        yield* config
      return Server.layer({
        ...options,
        maxStreams,
        maxUserStreams,
        publicUrl,
        faces: options?.faces ?? (yield* Faces.load(listen.faces)),
        tickets: { ...options?.tickets, secret: ticketSecret }
      }).pipe(
        Layer.provide(tokens.length === 0 ? Tokens.layerLocal : Tokens.layer(tokens)),
        Layer.provide(maxRequests === undefined ? Layer.empty : RateLimit.layerMemory({ requests: maxRequests })),
        Layer.provideMerge(layer({ ...options, host, port }))
      )
    })
  )
