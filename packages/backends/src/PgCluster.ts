/**
 * The cluster of `TaskEngineCluster` on Node.js: runners keep messages, locks and their addresses in PostgreSQL, and tell each
 * other about messages over WebSockets. The tables `cluster_*` are created.
 *
 * Needs the packages `@effect/platform-node` and `@effect/sql-pg`. docs/scaling.md explains the settings.
 *
 * **Example**
 *
 * ```ts
 * import * as PgCluster from "@perennial/backends/PgCluster"
 * import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
 * import * as TaskRuntime from "@perennial/runtime/TaskRuntime"
 *
 * const url = "postgres://perennial:secret@db.internal/perennial"
 *
 * export const Tasks = TaskRuntime.layerWithEngine(TaskEngineCluster.layer({
 *   cluster: PgCluster.layer({
 *     url,
 *     address: { host: "10.0.0.7", port: 24431 },
 *     shardingConfig: TaskEngineCluster.shardingConfig()
 *   })
 * }))
 * ```
 *
 * @since 0.1.0
 */
import { NodeClusterHttp } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { type Config, ConfigProvider, Effect, Layer, Option, Redacted, References } from "effect"
import { RunnerAddress, type Sharding, type ShardingConfig } from "effect/cluster"
import type { HttpServerError } from "effect/http"
import { Reactivity } from "effect/reactivity"
import { SqlClient, type SqlError } from "effect/sql"
import * as PgWritable from "./internal/pgWritable.ts"

/**
 * Where a process of the cluster is.
 *
 * @since 0.1.0
 * @category models
 */
export interface Address {
  readonly host: string
  /** Below 32,768: the system gives higher ports to outgoing connections. */
  readonly port: number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface ClientOptions {
  /** A direct connection. A pooler in transaction mode loses the locks, which belong to a session. */
  readonly url: string | Redacted.Redacted
  /** `TaskEngineCluster.shardingConfig()`. */
  readonly shardingConfig: Partial<ShardingConfig.ShardingConfig["Service"]>
  /** The most connections to the database: 6 if absent. One of them is reserved for the locks. */
  readonly maxConnections?: number | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Options extends ClientOptions {
  /** The address by which other processes reach this one. No two living processes have the same address. */
  readonly address: Address
  /** Where this process listens, if it is not the address. */
  readonly listen?: Address | undefined
  /** How runners find out that another one is dead, before its locks run out: by calls, or from Kubernetes. By calls if absent. */
  readonly health?: "ping" | {
    /** Which pods are runners, such as `app=perennial`. */
    readonly labelSelector?: string | undefined
    readonly namespace?: string | undefined
  } | undefined
}

/**
 * Locks belong to a session, which lives as long as this process: no connection is replaced because of its age. effect/cluster
 * would use a connection for ever that may only read, after a fail-over.
 */
const client = ({ maxConnections = 6, url }: ClientOptions) =>
  Layer.effect(SqlClient.SqlClient, Effect.flatMap(PgClient.PgClient, PgWritable.make)).pipe(
    Layer.provide([
      Reactivity.layer,
      PgClient.layer({
        applicationName: "perennial-cluster",
        keepAlive: "10 seconds",
        maxConnections,
        url: typeof url === "string" ? Redacted.make(url) : url
      })
    ])
  )

/** effect/cluster would also read settings from variables such as `HOST` and `PORT`, which mean something else here. */
const noVariables = ConfigProvider.layer(ConfigProvider.fromUnknown({}))

/** Without variables no variable can be wrong. */
const unreadable = (error: Config.ConfigError) => Layer.effectContext(Effect.die(error))

/**
 * effect/cluster logs the end of each connection between runners. At an orderly shutdown it adds the stack traces of the fibers that
 * it interrupts. Operators need only its warnings and errors. With the minimum level `Debug` they get everything.
 */
const quiet = Layer.effect(
  References.MinimumLogLevel,
  Effect.map(References.MinimumLogLevel, (level) => level === "Info" ? "Warn" : level)
)

const toAddress = ({ host, port }: Address) => Option.some(RunnerAddress.make(host, port))

/**
 * A runner of the cluster. With `SqlClient`, so that the engine prunes the tables.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  { address, health = "ping", listen, ...options }: Options
): Layer.Layer<
  Sharding.Sharding | SqlClient.SqlClient,
  HttpServerError.ServeError | SqlError.SqlError
> =>
  NodeClusterHttp.layer({
    transport: "websocket",
    storage: "sql",
    ...(health === "ping" ? {} : { runnerHealth: "k8s", runnerHealthK8s: health }),
    shardingConfig: {
      ...options.shardingConfig,
      runnerAddress: toAddress(address),
      ...(listen && { runnerListenAddress: toAddress(listen) })
    }
  }).pipe(
    Layer.provide([noVariables, quiet]),
    Layer.catchTag("ConfigError", unreadable),
    Layer.provideMerge(client(options))
  )

/**
 * A client of the cluster: it sends messages to runners, and is none.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerClient = (
  options: ClientOptions
): Layer.Layer<Sharding.Sharding | SqlClient.SqlClient, SqlError.SqlError> =>
  NodeClusterHttp.layer({
    transport: "websocket",
    storage: "sql",
    clientOnly: true,
    shardingConfig: { ...options.shardingConfig, runnerAddress: Option.none() }
  }).pipe(Layer.provide(noVariables), Layer.catchTag("ConfigError", unreadable), Layer.provideMerge(client(options)))
