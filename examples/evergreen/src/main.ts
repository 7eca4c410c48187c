/**
 * Evergreen: the complete server. Tasks outlive connections and, but for the store `memory`, the process.
 *
 *     npx -y pnpm@12.21.0 start
 *
 * docs/configuration.md lists the environment variables.
 */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import * as MemoryStore from "@perennial/backends/MemoryStore"
import * as PgRateLimiterStore from "@perennial/backends/PgRateLimiterStore"
import * as PgStore from "@perennial/backends/PgStore"
import * as RedisClient from "@perennial/backends/RedisClient"
import * as RedisStore from "@perennial/backends/RedisStore"
import * as SqliteStore from "@perennial/backends/SqliteStore"
import * as StoreSetting from "@perennial/backends/StoreSetting"
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { UserData } from "@perennial/domain/UserData"
import type { WebhookStore } from "@perennial/domain/WebhookStore"
import * as Authorization from "@perennial/http/Authorization"
import * as Jwt from "@perennial/http/Jwt"
import * as NodeServer from "@perennial/http/NodeServer"
import * as NodeWebhookClient from "@perennial/http/NodeWebhookClient"
import * as RateLimit from "@perennial/http/RateLimit"
import * as Server from "@perennial/http/Server"
import * as Tokens from "@perennial/http/Tokens"
import * as Webhooks from "@perennial/http/Webhooks"
import * as AnthropicModel from "@perennial/runtime/AnthropicModel"
import * as DemoModel from "@perennial/runtime/DemoModel"
import * as LlmAgent from "@perennial/runtime/LlmAgent"
import * as ModelScript from "@perennial/runtime/ModelScript"
import * as Retention from "@perennial/runtime/Retention"
import * as TaskLimits from "@perennial/runtime/TaskLimits"
import {
  Cause,
  Console,
  Data,
  Effect,
  Exit,
  FileSystem,
  Layer,
  Logger,
  Option,
  Predicate,
  Redacted,
  References,
  Runtime
} from "effect"
import { HttpServer } from "effect/http"
import { RateLimiter } from "effect/persistence"
import { SqlError } from "effect/sql"
import * as ServerConfig from "./ServerConfig.ts"
import * as Telemetry from "./Telemetry.ts"
import * as Tools from "./Tools.ts"
import * as Web from "./Web.ts"

const postgres = (url: Redacted.Redacted) => PgStore.layer({ url, applicationName: "evergreen" })

const redis = (url: Redacted.Redacted) => RedisStore.layer({ url: Redacted.value(url) })

const storage = (store: StoreSetting.StoreSetting): Layer.Layer<
  TaskBackend | ConversationStore | WebhookStore,
  Layer.Error<ReturnType<typeof SqliteStore.layer> | ReturnType<typeof postgres> | ReturnType<typeof redis>>
> => {
  switch (store.type) {
    case "memory":
      return MemoryStore.layer
    case "sqlite":
      return SqliteStore.layer({ filename: store.path })
    case "postgres":
      return postgres(store.url)
    case "redis":
      return redis(store.url)
  }
}

const scripted = (path: string) =>
  Layer.unwrap(Effect.gen(function*() {
    const files = yield* FileSystem.FileSystem
    return ModelScript.layer(yield* files.readFileString(path))
  })).pipe(Layer.provide(NodeServices.layer))

const models = (config: ServerConfig.ServerConfig["model"]) => {
  if (Option.isSome(config.script)) return { model: scripted(config.script.value) }
  if (Option.isNone(config.apiKey)) return { model: DemoModel.layer, titles: DemoModel.titles }
  const options = { apiKey: config.apiKey.value, baseUrl: Option.getOrUndefined(config.baseUrl) }
  const claude = (model: string) => AnthropicModel.layer({ ...options, model })
  return { model: claude(config.name), fallbacks: config.fallbacks.map(claude) }
}

const agents = (model: ServerConfig.ServerConfig["model"]) =>
  Layer.unwrap(Effect.map(Tools.make, (tools) =>
    LlmAgent.layer({
      agentId: "evergreen",
      systemPrompt: "You are a helpful assistant. Use the tools where they help; say what you did with them.",
      tools,
      // `wait` may take ten minutes.
      timeouts: { tool: "11 minutes" },
      ...models(model)
    })))

/** What a process does with tasks by itself: it executes them, and removes the logs of old ones. */
const work = ({ execute, maxActiveTasks, retention }: ServerConfig.ServerConfig) => {
  const limits = Layer.orDie(
    TaskLimits.layer({ activePerUser: maxActiveTasks, ...(execute ? undefined : { capacity: 0 }) })
  )
  if (!execute) return { limits, retention: Layer.empty }
  return {
    limits,
    retention: Option.match(retention, { onNone: () => Layer.empty, onSome: (keep) => Retention.layer({ keep }) })
  }
}

/** A copy of a store must not tell anybody what the original has told: a server that executes nothing sends nothing. */
const webhooks = ({ execute, webhook: { secrets, url } }: ServerConfig.ServerConfig) =>
  execute
    ? Webhooks.layer({ webhooks: Option.toArray(url).map((url) => ({ name: "server", url, secrets })) })
    : Layer.empty

/** Requests are counted on connections of their own: a busy store does not delay the count. */
const requestCounts = (
  { type, url }: Extract<StoreSetting.StoreSetting, { readonly url: unknown }>
): Layer.Layer<
  RateLimiter.RateLimiterStore,
  Layer.Error<ReturnType<typeof postgres> | ReturnType<typeof redis>>
> =>
  type === "postgres"
    ? Layer.provide(
      PgRateLimiterStore.layer,
      PgStore.layerClient({ url, maxConnections: 2, applicationName: "evergreen" })
    )
    : RateLimiter.layerStoreRedis({ prefix: "perennial:requests:" }).pipe(
      Layer.provide(RedisClient.layer({ url: Redacted.value(url) }))
    )

/** Processes that share a PostgreSQL or a Redis count together; a single process counts in memory. */
const requestLimit = (
  { maxRequests, store }: ServerConfig.ServerConfig
): Layer.Layer<never, Layer.Error<ReturnType<typeof requestCounts>>> => {
  if (maxRequests === undefined) return Layer.empty
  if (!("url" in store)) return RateLimit.layerMemory({ requests: maxRequests })
  return RateLimit.layer({ requests: maxRequests }).pipe(
    Layer.provide(RateLimiter.layer),
    Layer.provide(requestCounts(store))
  )
}

/** Static tokens, the tokens of an identity provider, or both. Without either, everybody on this machine is one user. */
const users = ({ jwt, operators, tokens }: ServerConfig.ServerConfig) => {
  const known = Tokens.makeVerify(tokens)
  if (Option.isNone(jwt)) return tokens.length === 0 ? Tokens.layerLocal : Authorization.layerVerify(known)
  const { userClaim = "sub" } = jwt.value
  const signed = Jwt.makeVerify({
    ...jwt.value,
    rolesOf: ({ [userClaim]: user }) => typeof user === "string" && operators.includes(user) ? ["operator"] : []
  })
  return Authorization.layerVerify((credential) =>
    Effect.filterOrElse(known(credential), Option.isSome, () => signed(credential))
  )
}

const server = (config: ServerConfig.ServerConfig) =>
  Server.serve(
    Layer.mergeAll(
      Server.layerRoutes({ ...config, tickets: { secret: config.ticketSecret } }),
      Telemetry.routes(config.telemetry),
      Web.layer
    ),
    {
      handOver: true,
      maxStreams: config.maxStreams,
      maxUserStreams: config.maxUserStreams
    }
  ).pipe(
    Layer.provide(users(config)),
    Layer.provide(requestLimit(config)),
    Layer.provide(UserData.layer),
    Layer.provide(Telemetry.streams(config.telemetry)),
    Layer.provideMerge(NodeServer.layer(config)),
    Layer.provide(Telemetry.tasks(config.telemetry)),
    Layer.provide(Webhooks.layerAgents(agents(config.model))),
    Layer.provide(work(config).limits),
    Layer.merge(work(config).retention),
    Layer.merge(webhooks(config)),
    Layer.provide(NodeWebhookClient.layer(config.webhook)),
    Layer.provide(storage(config.store)),
    Layer.provide(Telemetry.exporter(config.telemetry))
  )

/** Says if the answers come from a script and not from a language model. */
const answeredBy = ({ apiKey, script }: ServerConfig.ServerConfig["model"]): ReadonlyArray<string> => {
  if (Option.isSome(script)) return [`The script ${script.value} answers instead of a language model.`]
  return Option.isNone(apiKey)
    ? ["ANTHROPIC_API_KEY is not set: a scripted demo answers instead of a language model."]
    : []
}

const greeting = Effect.fnUntraced(function*(config: ServerConfig.ServerConfig) {
  const address = HttpServer.formatAddress((yield* HttpServer.HttpServer).address)
  const token = config.tokens.length === 0 && Option.isNone(config.jwt) ? "" : ` -H 'authorization: Bearer <token>'`
  // Whoever reads JSON reads every line.
  const say = config.log.format === "json" ? Effect.logInfo : Console.log
  yield* say(
    [
      ...config.execute ? [] : ["PERENNIAL_EXECUTE=false: this process serves and accepts tasks, and executes none."],
      ...answeredBy(config.model),
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

const why = ({ cause, message }: { readonly cause?: unknown; readonly message: string }) =>
  cause instanceof Error ? cause.message : message

/** Why a store failed, by the error of its client. */
const whyStore = (error: unknown): string => {
  if (SqlError.isSqlError(error)) return why(error.reason)
  const cause = Predicate.isTagged(error, "RedisError") && Predicate.hasProperty(error, "cause") ? error.cause : error
  return String(cause).replace(/^Error: /, "")
}

// An error that the person who starts the server can repair is one line. Any other error keeps its stack.
const run = (config: ServerConfig.ServerConfig) => {
  const refuseStore = (reason: string) => refuse(ServerConfig.unusable(config.store, reason))
  return Layer.launch(Layer.effectDiscard(greeting(config)).pipe(Layer.provide(server(config)))).pipe(
    Effect.catchTags({
      SqliteFileInUse: (error) => refuse(error.message),
      ScriptError: (error) => refuse(`PERENNIAL_SCRIPT cannot be played: ${error.message}`),
      PlatformError: (error) => refuse(`PERENNIAL_SCRIPT cannot be read: ${error.message}`),
      SqlError: (error) => refuseStore(whyStore(error)),
      UnusableStore: (error) => refuseStore(error.message),
      MigrationError: (error) => refuseStore(`its tables cannot be brought up to date: ${why(error)}`),
      RedisError: (error) => refuseStore(whyStore(error)),
      TaskBackendError: (error) => refuseStore(whyStore(error.cause)),
      WebhookStoreError: (error) => refuseStore(whyStore(error.cause)),
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

const warnOfMisspelt = Option.match(ServerConfig.misspelt(Object.keys(process.env)), {
  onNone: () => Effect.void,
  onSome: Effect.logWarning
})

const main = ServerConfig.load.pipe(
  Effect.catchTag("InvalidSetting", (error) => refuse(error.message)),
  Effect.flatMap((config) => Effect.provide(Effect.andThen(warnOfMisspelt, run(config)), logging(config.log)))
)

NodeRuntime.runMain(main, {
  // A signal is the usual end of a server. At this point its tasks have been handed over.
  teardown: (exit, onExit) =>
    Exit.isFailure(exit) && Cause.hasInterruptsOnly(exit.cause) ? onExit(0) : Runtime.defaultTeardown(exit, onExit)
})
