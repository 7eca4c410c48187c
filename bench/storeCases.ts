/**
 * The cases on stores: starts, appended events, streams, and events from one process to another. Other engines do the same
 * work on the same stores.
 */
import { setTimeout } from "node:timers/promises"
import { watchLive } from "./cases.ts"
import type { Client } from "./client.ts"
import type { Engine } from "./engine.ts"
import { type Child, spawn } from "./ipc.ts"
import { type Figure, median, quantile } from "./report.ts"
import type { Server } from "./server.ts"
import type { Servers, StoreName } from "./stores.ts"
import type { Tasks } from "./tasks.ts"
import type { Mode } from "./telemetry.ts"

/** The figures of one round. There are none if the store is not installed. */
export interface Round {
  readonly perennial: ReadonlyArray<Figure>
  readonly baseline: ReadonlyArray<Figure>
}

type StoreCase = (servers: Servers, quick: boolean) => Promise<Round>

const nothing: Round = { perennial: [], baseline: [] }

const titles: { readonly [name in StoreName]: string } = {
  memory: "memory",
  sqlite: "SQLite",
  postgres: "PostgreSQL",
  redis: "Redis"
}

/** Runs a module as a process on an empty store. Returns undefined if the store is not installed. */
const on = async <H extends Engine | Pick<Engine, "jobs"> | Pick<Engine, "stream">, A>(
  servers: Servers,
  store: StoreName,
  module: string,
  run: (child: Child<H>) => Promise<A>,
  env: { readonly [variable: string]: string } = {}
): Promise<A | undefined> => {
  const url = await servers.emptyStore(store)
  if (url === undefined) return undefined
  await using child = await spawn<H>(module, { env: { BENCH_STORE: store, BENCH_URL: url, ...env } })
  return await run(child)
}

/** Starts of jobs. The first starts are not measured, because the code is not compiled yet and a server runs for a long time. */
const jobs = (store: StoreName, beside: string, quick: boolean, ratio?: number) => {
  const count = (store === "memory" ? 5_000 : 4_000) / (quick ? 10 : 1)
  const target = ratio === undefined ? undefined : { ratio }
  return async (child: Child<Pick<Engine, "jobs">>): Promise<ReadonlyArray<Figure>> => {
    await child.call("jobs", { count: count / 2, concurrency: 32 })
    const { accepted, ended } = await child.call("jobs", { count, concurrency: 32 })
    return [
      { name: `${titles[store]}: starts${beside}`, unit: "tasks/s", value: count / accepted * 1_000, target },
      { name: `${titles[store]}: start to end${beside}`, unit: "tasks/s", value: count / ended * 1_000, target }
    ]
  }
}

const appends =
  (store: StoreName, quick: boolean, beside = "", ratio?: number) =>
  async (child: Child<Tasks>): Promise<ReadonlyArray<Figure>> => {
    const figures: Array<Figure> = []
    const target = ratio === undefined ? undefined : { ratio }
    for (const tasks of [1, 100]) {
      const values = (tasks === 1 ? 2_000 : 200) / (quick ? 10 : 1)
      await child.call("appends", { tasks, values: values / 2 })
      const millis = await child.call("appends", { tasks, values })
      const name = `${titles[store]}: events appended, ${tasks === 1 ? "1 task" : `${tasks} tasks`}${beside}`
      figures.push({ name, unit: "events/s", value: tasks * values / millis * 1_000, target })
    }
    return figures
  }

/** Starts and appends, and starts of another engine. */
const store =
  (name: StoreName, other?: { readonly title: string; readonly module: string; readonly ratio?: number }): StoreCase =>
  async (servers, quick) => {
    const beside = other === undefined ? "" : ` (${other.title})`
    const perennial = await on<Tasks, ReadonlyArray<Figure>>(servers, name, "./tasks.ts", async (child) => [
      ...await jobs(name, beside, quick, other?.ratio)(child),
      ...await appends(name, quick)(child)
    ])
    const baseline = other === undefined
      ? []
      : await on<Pick<Engine, "jobs">, ReadonlyArray<Figure>>(servers, name, other.module, jobs(name, beside, quick))
    return perennial === undefined || baseline === undefined ? nothing : { perennial, baseline }
  }

/** The same work with telemetry and without. */
const telemetry = (name: StoreName, mode: Mode, ratio?: number): StoreCase => async (servers, quick) => {
  const beside = ` (telemetry: ${mode})`
  const work = (mode: Mode) =>
    on<Tasks, ReadonlyArray<Figure>>(servers, name, "./tasks.ts", async (child) => [
      ...await jobs(name, beside, quick, ratio)(child),
      ...await appends(name, quick, beside, ratio)(child)
    ], { BENCH_TELEMETRY: mode })
  const perennial = await work(mode)
  const baseline = await work("off")
  return perennial === undefined || baseline === undefined ? nothing : { perennial, baseline }
}

/** The same work on a cluster of one runner and without a cluster: what the messages of the cluster cost. */
const cluster: StoreCase = async (servers, quick) => {
  const beside = " (cluster)"
  const work = (env: { readonly [variable: string]: string }) =>
    on<Tasks, ReadonlyArray<Figure>>(servers, "postgres", "./tasks.ts", async (child) => {
      // A runner has its shards after a second.
      await setTimeout(2_000)
      const first = await child.call("firstEvents", { count: quick ? 50 : 300 })
      return [
        ...await jobs("postgres", beside, quick, 0.5)(child),
        ...await appends("postgres", quick, beside, 0.9)(child),
        { name: `PostgreSQL: start to first event, p50${beside}`, unit: "ms", value: median(first) },
        { name: `PostgreSQL: start to first event, p99${beside}`, unit: "ms", value: quantile(first, 0.99) }
      ]
    }, env)
  const perennial = await work({ RUNNER_PORT: "24530" })
  const baseline = await work({})
  return perennial === undefined || baseline === undefined ? nothing : { perennial, baseline }
}

/** CPU time with telemetry and without. The store does the least work, so that telemetry is the largest part of it. */
const telemetryCpu: StoreCase = async (servers, quick) => {
  const perennial: Array<Figure> = []
  const baseline: Array<Figure> = []
  for (const mode of ["metrics", "traces"] as const) {
    const work = (telemetry: Mode) =>
      on<Tasks, ReadonlyArray<Figure>>(servers, "memory", "./tasks.ts", async (child) => {
        const cpuOf = async (work: (part: number) => Promise<unknown>) => {
          await work(0.5)
          const before = await child.call("cpuMillis")
          await work(1)
          return await child.call("cpuMillis") - before
        }
        const count = quick ? 2_000 : 20_000
        const tasks = await cpuOf((part) => child.call("jobs", { count: count * part, concurrency: 32 }))
        const events = await cpuOf((part) => child.call("appends", { tasks: 1, values: count * part }))
        return [
          { name: `memory: CPU of a task (telemetry: ${mode})`, unit: "us", value: tasks / count * 1_000 },
          {
            name: `memory: CPU of an event committed alone (telemetry: ${mode})`,
            unit: "us",
            value: events / count * 1_000
          }
        ]
      }, { BENCH_TELEMETRY: telemetry })
    perennial.push(...await work(mode) ?? [])
    baseline.push(...await work("off") ?? [])
  }
  return { perennial, baseline }
}

/** One task or workflow that writes, and readers in the same process. */
const stream = (
  name: StoreName,
  other: { readonly title: string; readonly module: string; readonly ratio?: number }
): StoreCase =>
async (servers, quick) => {
  const values = quick ? 100 : 1_000
  const run = async (child: Child<Pick<Engine, "stream">>): Promise<ReadonlyArray<Figure>> => {
    const figures: Array<Figure> = []
    for (const readers of [1, 50]) {
      await child.call("stream", { values: values / 4, readers })
      const millis = await child.call("stream", { values, readers })
      figures.push({
        name: `${titles[name]}: ${values.toLocaleString("en")} values, live 1 -> ${readers} (${other.title})`,
        unit: "deliveries/s",
        value: readers * values / millis * 1_000,
        target: readers === 50 && other.ratio !== undefined ? { ratio: other.ratio } : undefined
      })
    }
    return figures
  }
  const perennial = await on<Tasks, ReadonlyArray<Figure>>(servers, name, "./tasks.ts", run)
  const baseline = await on<Pick<Engine, "stream">, ReadonlyArray<Figure>>(servers, name, other.module, run)
  return perennial === undefined || baseline === undefined ? nothing : { perennial, baseline }
}

/** A task that runs on one server, with readers on another server. */
const across = (name: StoreName): StoreCase => async (servers, quick) => {
  const url = await servers.emptyStore(name)
  if (url === undefined) return nothing
  const env = { BENCH_STORE: name, BENCH_URL: url }
  await using owner = await spawn<Server>("./perennial.ts", { env })
  await using other = await spawn<Server>("./perennial.ts", { env })
  await using client = await spawn<Client>("./client.ts")
  const setting = { port: await owner.call("port"), server: owner, client, quick, watchPort: await other.call("port") }
  const title = `${titles[name]}, process to process`
  const count = quick ? 200 : 2_000
  await watchLive(setting, { readers: 50, count: count / 4 })
  const burst = await watchLive(setting, { readers: 50, count })
  const paced = await watchLive(setting, { readers: 50, count: quick ? 100 : 400, rate: 100, stamps: true })
  return {
    perennial: [
      { name: `${title}: live 1 -> 50`, unit: "deliveries/s", value: burst.delivered / burst.millis * 1_000 },
      { name: `${title}: 100 events/s -> 50, p50`, unit: "ms", value: median(paced.latencies) },
      { name: `${title}: 100 events/s -> 50, p99`, unit: "ms", value: quantile(paced.latencies, 0.99) }
    ],
    baseline: []
  }
}

/** The cases, in alternating rounds. */
export const onStores: { readonly [name: string]: StoreCase } = {
  memory: store("memory"),
  telemetryMetrics: telemetry("sqlite", "metrics", 0.95),
  telemetryTraces: telemetry("sqlite", "traces", 0.95),
  telemetryCpu,
  sqlite: store("sqlite"),
  postgres: store("postgres", { title: "DBOS", module: "./dbos.ts", ratio: 1.2 }),
  redis: store("redis", { title: "BullMQ", module: "./bullmq.ts" }),
  cluster,
  streamPostgres: stream("postgres", { title: "DBOS", module: "./dbos.ts", ratio: 5 }),
  streamRedis: stream("redis", { title: "resumable-stream", module: "./resumableStream.ts" }),
  acrossPostgres: across("postgres"),
  acrossRedis: across("redis")
}
