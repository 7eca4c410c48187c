/**
 * The server on Node.js.
 *
 * @since 0.1.0
 */
// @effect-diagnostics nodeBuiltinImport:off
import { NodeHttpServer } from "@effect/platform-node"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskManager } from "@perennial/domain/TaskManager"
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
    const server = createServer({
      requestTimeout: 60_000,
      headersTimeout: 20_000,
      keepAliveTimeout: 65_000
    })
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

const refuse = (variable: string, value: string, accepted: string) =>
  Effect.fail(
    new Config.ConfigError(
      new Schema.SchemaError(
        new SchemaIssue.InvalidValue({ message: `${variable}=${value} is not valid. Accepted: ${accepted}.` })
      )
    )
  )

const setting = <A>(variable: string, options: {
  readonly otherwise: A
  readonly accepted: string
  readonly parse: (value: string) => Option.Option<A>
}): Config.Config<A> =>
  Config.String(variable).pipe(
    Config.withDefault(""),
    Config.mapEffect((found) => {
      const value = found.trim()
      return value === "" ? Effect.succeed(options.otherwise) : Option.match(options.parse(value), {
        onNone: () => refuse(variable, value, options.accepted),
        onSome: Effect.succeed
      })
    })
  )

/**
 * Where the environment says to listen, and for whom.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listen {
  readonly host: string
  readonly port: number
  /** Empty: everybody on this machine is the user `local`. */
  readonly tokens: ReadonlyArray<Tokens.Token>
}

/**
 * Reads `HOST` (127.0.0.1), `PORT` (3000) and `PERENNIAL_TOKENS` (none). An empty variable counts as absent.
 *
 * **Details** Without tokens `HOST` must be a loopback address. A wrong value is an error of one line that names the
 * variable, the value and what is accepted; tokens are never shown.
 *
 * @since 0.1.0
 * @category config
 */
export const config: Config.Config<Listen> = Config.all({
  host: setting("HOST", {
    otherwise: "127.0.0.1",
    accepted: "a host name or address to listen on, such as 127.0.0.1 or 0.0.0.0",
    parse: Option.liftPredicate((value: string) => /^[\w.:-]+$/.test(value))
  }),
  port: setting("PORT", {
    otherwise: 3000,
    accepted: "a whole number from 0 (any free port) to 65535",
    parse: (value) => /^\d{1,5}$/.test(value) && Number(value) <= 65_535 ? Option.some(Number(value)) : Option.none()
  }),
  tokens: Config.map(Tokens.config(), Option.getOrElse((): ReadonlyArray<Tokens.Token> => []))
}).pipe(Config.mapEffect((listen) =>
  listen.tokens.length > 0 || isLoopback(listen.host)
    ? Effect.succeed(listen)
    : refuse("HOST", listen.host, "a loopback address such as 127.0.0.1, unless PERENNIAL_TOKENS is set")
))

/**
 * Serves on Node.js as the environment says: see `config`.
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
  Layer.unwrap(Effect.map(config, ({ host, port, tokens }) =>
    layer({ ...options, host, port }).pipe(
      Layer.provide(tokens.length === 0 ? Tokens.layerLocal : Tokens.layer(tokens))
    )))
