/**
 * The engine of a program that a test starts: with `RUNNER_PORT` a runner of a cluster over the PostgreSQL of a URL, with 0 a
 * client of it, otherwise this process alone. `RUNNER_LISTEN_PORT` is where the runner listens, if others
 * reach it there by another port.
 */
import * as PgCluster from "@perennial/backends/PgCluster"
import { TaskEngine } from "@perennial/runtime/TaskEngine"
import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
import { CurrentTaskLimits } from "@perennial/runtime/TaskLimits"
import { Effect, Layer } from "effect"
import { createServer } from "node:net"

const host = "127.0.0.1"

/** Runners see each other and their messages sooner. Locks keep their times, which must be longer than a busy machine stalls. */
const fast = {
  refreshAssignmentsInterval: "500 millis",
  runnerHealthCheckInterval: "2 seconds",
  entityMessagePollInterval: "500 millis"
} as const

/** A client of the cluster over the PostgreSQL of a URL: it accepts tasks, and executes none. */
export const layerClient = (url: string) =>
  TaskEngineCluster.layerClient({
    cluster: PgCluster.layerClient({ url, shardingConfig: TaskEngineCluster.shardingConfig(fast) })
  })

export const layer = (url: string) => {
  const setting = process.env["RUNNER_PORT"] ?? ""
  if (setting === "") return TaskEngine.layerLocal
  return Layer.unwrap(Effect.map(CurrentTaskLimits, (limits) => {
    const shardingConfig = TaskEngineCluster.shardingConfig(fast, limits)
    const port = Number(setting)
    const listen = { host, port: Number(process.env["RUNNER_LISTEN_PORT"] ?? setting) }
    return port === 0
      ? layerClient(url)
      : TaskEngineCluster.layer({ cluster: PgCluster.layer({ url, shardingConfig, address: { host, port }, listen }) })
  }))
}

/** Processes with neighbouring ids run at the same time: each begins 40 ports after the one before. */
let last = 20_000 + process.pid % 250 * 40

/** A free port below those that the system gives to connections, which a runner keeps through restarts. */
export const runnerPort: Effect.Effect<number> = Effect.suspend(() => {
  const port = ++last
  return Effect.callback<boolean>((resume) => {
    const server = createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, host, () => server.close(() => resume(Effect.succeed(true))))
  }).pipe(Effect.flatMap((free) => free ? Effect.succeed(port) : runnerPort))
})

/** The first of some free ports that follow one another. */
export const runnerPorts = Effect.fnUntraced(function*(count: number) {
  let first = yield* runnerPort
  for (let newest = first; newest - first + 1 < count;) {
    const next = yield* runnerPort
    if (next !== newest + 1) first = next
    newest = next
  }
  return first
})
