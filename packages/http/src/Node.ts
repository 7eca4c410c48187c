/**
 * The server on Node.js.
 *
 * @since 0.1.0
 */
// @effect-diagnostics nodeBuiltinImport:off
import { NodeHttpServer } from "@effect/platform-node"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskManager } from "@perennial/runtime/TaskManager"
import { Config, Duration, Effect, Layer, Option, Schema, SchemaIssue } from "effect"
import type { HttpServer, HttpServerError } from "effect/http"
import { createServer } from "node:http"
import type { Authorization } from "./Authorization.ts"
import { isLoopback } from "./internal/origin.ts"
import * as Server from "./Server.ts"
import * as Tokens from "./Tokens.ts"

/**
 * Where the server listens and how it behaves.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Server.Options {
  /** As everywhere, but 5 milliseconds by default. */
  readonly gather?: Duration.Input | undefined
  /** An address of this machine; `127.0.0.1` by default. */
  readonly host?: string | undefined
  /** 0 to 65,535; 0 lets the system choose. */
  readonly port: number
  /** How long open requests may take to end at shutdown; 20 seconds by default. Event streams end at once. */
  readonly shutdownTimeout?: Duration.Input | undefined
}

/**
 * Serves on Node.js. The application provides `Authorization`, `TaskManager` and `ConversationStore`.
 *
 * **Details** A socket that takes and sends nothing for four heartbeats is closed, so that readers that are gone
 * without a word, or never read, cost nothing for long. A request must arrive within a minute, its headers within 20
 * seconds.
 *
 * **Gotchas** With `Tokens.layerLocal` listen on a loopback address only; `layerConfig` sees to that.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  options: Options
): Layer.Layer<
  HttpServer.HttpServer,
  HttpServerError.ServeError,
  Authorization | TaskManager | ConversationStore
> => {
  const heartbeatMillis = Duration.toMillis(options.heartbeat ?? "15 seconds")
  const evaluate = () => {
    const server = createServer({ requestTimeout: 60_000, headersTimeout: 20_000, keepAliveTimeout: 65_000 })
    server.setTimeout(4 * heartbeatMillis)
    // `close` ends the connections that are idle at that moment. One that becomes idle later, such as when its event
    // stream has been drained, would hold the shutdown up for as long as the client likes to keep it.
    server.on("request", (_, response) => {
      response.once("finish", () => {
        if (!server.listening) server.closeIdleConnections()
      })
    })
    return server
  }
  return Server.layer({ gather: "5 millis", ...options }).pipe(
    Layer.provideMerge(NodeHttpServer.layer(evaluate, {
      host: options.host ?? "127.0.0.1",
      port: options.port,
      gracefulShutdownTimeout: options.shutdownTimeout ?? "20 seconds"
    }))
  )
}

const refuse = (host: string) =>
  Effect.fail(
    new Config.ConfigError(
      new Schema.SchemaError(
        new SchemaIssue.InvalidValue({
          message: `HOST="${host}": without PERENNIAL_TOKENS the server listens only on a loopback address ` +
            "(127.0.0.1, ::1, localhost). Set PERENNIAL_TOKENS=<user>:<token>, or leave HOST out."
        })
      )
    )
  )

/**
 * Serves on Node.js as the environment says: `HOST` (127.0.0.1), `PORT` (3000), `PERENNIAL_TOKENS` (none).
 *
 * **Details** Without tokens everybody on this machine is the user `local`, and `HOST` must be a loopback address.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options?: Omit<Options, "host" | "port">
): Layer.Layer<
  HttpServer.HttpServer,
  HttpServerError.ServeError | Config.ConfigError,
  TaskManager | ConversationStore
> =>
  Layer.unwrap(Effect.gen(function*() {
    const host = yield* Config.NonEmptyString("HOST").pipe(Config.withDefault("127.0.0.1"))
    const port = yield* Config.Port("PORT").pipe(Config.withDefault(3000))
    const tokens = yield* Tokens.config()
    if (Option.isNone(tokens) && !isLoopback(host)) return yield* refuse(host)
    return layer({ ...options, host, port }).pipe(
      Layer.provide(Option.match(tokens, { onNone: () => Tokens.layerLocal, onSome: Tokens.layer }))
    )
  }))
