/**
 * Starts the server: reads the settings, says where the server is, and runs it until a signal ends it. If it cannot start for a
 * reason that a person can repair, it prints the reason in one line. Any other error keeps its stack.
 */
import * as StoreSetting from "@perennial/backends/StoreSetting"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import type { WebhookStoreError } from "@perennial/domain/WebhookStore"
import type * as NodeServer from "@perennial/http/NodeServer"
import * as SettingNames from "@perennial/http/SettingNames"
import * as ModelSetting from "@perennial/runtime/ModelSetting"
import { Cause, Console, Data, Effect, Exit, Layer, Logger, Option, References, Runtime } from "effect"
import { HttpServer } from "effect/http"
import type * as RequestCounts from "./RequestCounts.ts"
import * as ServerConfig from "./ServerConfig.ts"
import type * as Users from "./Users.ts"

/** Why the server may not start. */
type StartError =
  | Layer.Error<ReturnType<typeof Users.layer>>
  | Layer.Error<ReturnType<typeof RequestCounts.layer>>
  | Layer.Error<ReturnType<typeof NodeServer.layer>>
  | Layer.Error<ReturnType<typeof ModelSetting.models>["model"]>
  | Layer.Error<ReturnType<typeof StoreSetting.layer>>
  | TaskBackendError
  | WebhookStoreError

const greeting = Effect.fnUntraced(function*(config: ServerConfig.ServerConfig) {
  const address = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
  const token = config.tokens.length === 0 && Option.isNone(config.jwt) ? "" : ` -H 'authorization: Bearer <token>'`
  // Whoever reads JSON reads every line.
  const say = config.log.format === "json" ? Effect.logInfo : Console.log
  yield* say(
    [
      ...config.execute ? [] : ["PERENNIAL_EXECUTE=false: this process serves and accepts tasks, and executes none."],
      ...Option.toArray(ModelSetting.notice(config.model)),
      `Tasks and conversations are in ${StoreSetting.format(config.store)}.`,
      `Evergreen listens on ${address}, documentation on ${address}/docs, process ${process.pid}. Try:`,
      `  curl -N ${address}/chat${token} -H 'content-type: application/json' -d '{"message":"Hello"}'`
    ].join("\n")
  )
})

/** The server cannot start. The reason has been printed. */
class StartRefused extends Data.TaggedError("StartRefused") {
  override readonly [Runtime.errorReported] = false
}

const refuse = (reason: string) => Effect.andThen(Console.error(reason), new StartRefused())

const run = (config: ServerConfig.ServerConfig, server: Layer.Layer<HttpServer.HttpServer, StartError>) => {
  const refuseStore = (reason: string) => refuse(ServerConfig.unusable(config.store, reason))
  const refuseFailed = (error: unknown) => refuseStore(StoreSetting.reasonOf(error))
  return Layer.launch(Layer.effectDiscard(greeting(config)).pipe(Layer.provide(server))).pipe(
    Effect.catchTags({
      SqliteFileInUse: (error) => refuse(error.message),
      InvalidModelSetting: (error) => refuse(error.message),
      ScriptError: (error) => refuse(`PERENNIAL_SCRIPT cannot be played: ${error.message}`),
      PlatformError: (error) => refuse(`PERENNIAL_SCRIPT cannot be read: ${error.message}`),
      MigrationError: (error) =>
        refuseStore(`its tables cannot be brought up to date: ${StoreSetting.reasonOf(error)}`),
      UnusableStore: (error) => refuseStore(error.message),
      SqlError: refuseFailed,
      RedisError: refuseFailed,
      TaskBackendError: refuseFailed,
      WebhookStoreError: refuseFailed,
      NotLoopback: (error) => refuse(error.message),
      ServeError: (error) => refuse(`The server cannot listen on HOST and PORT: ${String(error.cause)}`)
    })
  )
}

/** Log lines have a date, because a server runs for days. */
const logging = ({ format, level }: ServerConfig.ServerConfig["log"]) =>
  Layer.merge(
    Logger.layer([
      format === "json" ? Logger.consoleJson : Logger.consolePretty({ formatDate: (date) => date.toISOString() })
    ]),
    Layer.succeed(References.MinimumLogLevel, level)
  )

const warnOfMisspelt = Option.match(SettingNames.misspelt(Object.keys(process.env)), {
  onNone: () => Effect.void,
  onSome: Effect.logWarning
})

/** Runs the server that these settings make. */
export const launch = (
  server: (config: ServerConfig.ServerConfig) => Layer.Layer<HttpServer.HttpServer, StartError>
) =>
  ServerConfig.load.pipe(
    Effect.catchTag("InvalidSetting", (error) => refuse(error.message)),
    Effect.flatMap((config) =>
      Effect.provide(Effect.andThen(warnOfMisspelt, run(config, server(config))), logging(config.log))
    )
  )

/** A signal is the usual end of a server. At this point its tasks have been handed over. */
export const teardown: Runtime.Teardown = (exit, onExit) =>
  Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
