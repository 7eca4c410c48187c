/**
 * What executes tasks: this process, or a cluster of processes. What the cluster needs is loaded only with
 * `PERENNIAL_ENGINE=cluster`.
 */
import { TaskEngine } from "@perennial/runtime/TaskEngine"
import { CurrentTaskLimits } from "@perennial/runtime/TaskLimits"
import { Effect, Layer, Option } from "effect"
import type { EngineConfig } from "./EngineConfig.ts"
import type { ServerConfig } from "./ServerConfig.ts"

type Cluster = Extract<EngineConfig, { readonly type: "cluster" }>

const cluster = Effect.fnUntraced(
  function*({ address, health, labels, listen }: Cluster, { execute, store }: ServerConfig) {
    const TaskEngineCluster = yield* Effect.promise(() => import("@perennial/runtime/TaskEngineCluster"))
    const PgCluster = yield* Effect.promise(() => import("@perennial/backends/PgCluster"))
    const shardingConfig = TaskEngineCluster.shardingConfig({}, yield* CurrentTaskLimits)
    if (store.type !== "postgres") {
      return yield* Effect.die(new Error("The settings allow a cluster on PostgreSQL only."))
    }
    const { url } = store
    if (!execute || Option.isNone(address)) {
      return TaskEngineCluster.layerClient({ cluster: PgCluster.layerClient({ url, shardingConfig }) })
    }
    return TaskEngineCluster.layer({
      cluster: PgCluster.layer({
        url,
        shardingConfig,
        address: address.value,
        listen: Option.getOrUndefined(listen),
        health: health === "ping" ? health : { labelSelector: Option.getOrUndefined(labels) }
      })
    })
  }
)

/** The engine of these settings. */
export const layer = (config: ServerConfig) =>
  config.engine.type === "local" ? TaskEngine.layerLocal : Layer.unwrap(cluster(config.engine, config))
