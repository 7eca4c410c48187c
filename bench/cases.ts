/**
 * The cases over HTTP. Each case uses one server, and returns the figures of one round.
 */
import type { Client } from "./client.ts"
import type { InProcess } from "./inProcess.ts"
import { type Child, now, spawn } from "./ipc.ts"
import { type Figure, median, quantile } from "./report.ts"
import type { Server } from "./server.ts"

/** One server process, and one process with all clients. */
export interface Setting {
  readonly port: number
  readonly server: Child<Server>
  readonly client: Child<Client>
  /** Whether only a tenth of the work is done, for a first look. */
  readonly quick: boolean
  /** The server at which tasks are watched, if it is not the server that executes them. */
  readonly watchPort?: number | undefined
}

type Case = (setting: Setting) => Promise<ReadonlyArray<Figure>>

const scaled = (quick: boolean, count: number): number => quick ? Math.ceil(count / 10) : count

/** Runs one task that a number of readers watch live. */
export const watchLive = async (
  { client, port, server, watchPort }: Setting,
  options: { readonly readers: number; readonly count: number; readonly rate?: number; readonly stamps?: boolean }
) => {
  const { count, rate, readers, stamps } = options
  const taskId = await client.call("start", { port, message: "emit" })
  await client.call("watch", {
    port: watchPort ?? port,
    taskId,
    readers,
    seen: 2,
    ...(stamps === undefined ? {} : { stamps })
  })
  const before = await server.call("resources")
  const watched = client.call("watched")
  await server.call("emit", { taskId, count, rate })
  const { delivered, latencies, millis } = await watched
  const after = await server.call("resources")
  return { delivered, latencies, millis, cpuMicros: (after.cpuMillis - before.cpuMillis) * 1_000 }
}

/** Live events as fast as possible: the agent emits one event in each turn of the event loop. */
const live = (readers: number, events: number, ratio?: number): Case => async (setting) => {
  const count = scaled(setting.quick, events)
  // The first requests are not measured, because a server runs for a long time.
  await watchLive(setting, { readers, count: Math.ceil(count / 4) })
  const { cpuMicros, delivered, millis } = await watchLive(setting, { readers, count })
  return [
    {
      name: `live 1 -> ${readers}`,
      unit: "deliveries/s",
      value: delivered / millis * 1_000,
      target: ratio === undefined ? undefined : { ratio }
    },
    {
      name: `live 1 -> ${readers}: server CPU`,
      unit: "us/delivery",
      value: cpuMicros / delivered
    }
  ]
}

/** Events at the pace of a model: the latency for a reader, and the cost of a delivery. */
const paced = (readers: number, rate: number): Case => async (setting) => {
  const count = rate * (setting.quick ? 1 : 4)
  await watchLive(setting, { readers, count: rate })
  const { cpuMicros, delivered, latencies } = await watchLive(setting, { readers, count, rate, stamps: true })
  const name = `${rate} events/s -> ${readers}`
  return [
    { name: `${name}: emit to client, p50`, unit: "ms", value: median(latencies) },
    { name: `${name}: emit to client, p99`, unit: "ms", value: quantile(latencies, 0.99) },
    {
      name: `${name}: server CPU`,
      unit: "us/delivery",
      value: cpuMicros / delivered
    }
  ]
}

const replay = (readers: number, events: number, ratio: number): Case => async ({ client, port, quick, server }) => {
  const taskId = await client.call("start", { port, message: "emit" })
  // The task also has the events `ack`, `started`, `message` and `done`.
  await server.call("emit", { taskId, count: events - 4 })
  const passes = await client.call("replay", { port, taskId, readers, events, passes: quick ? 5 : 30 })
  return [{
    name: `replay of ${events.toLocaleString("en")} events -> ${readers}`,
    unit: "deliveries/s",
    value: readers * events / median(passes) * 1_000,
    target: { ratio }
  }]
}

const starts: Case = async ({ client, port, quick }) => {
  const count = scaled(quick, 5_000)
  await client.call("starts", { port, count: scaled(quick, 20_000), concurrency: 32 })
  const millis = await client.call("starts", { port, count, concurrency: 32 })
  return [{ name: "starts, 32 connections", unit: "tasks/s", value: count / millis * 1_000 }]
}

const cancel: Case = async ({ client, port, quick }) => {
  await client.call("cancels", { port, count: scaled(quick, 200), concurrency: 8 })
  const took = await client.call("cancels", { port, count: scaled(quick, 1_000), concurrency: 8 })
  return [
    { name: "cancel to terminal event, p50", unit: "ms", value: median(took) },
    { name: "cancel to terminal event, p99", unit: "ms", value: quantile(took, 0.99), target: { value: 250 } }
  ]
}

const streamHeap: Case = async ({ client, port, quick, server }) => {
  const streams = scaled(quick, 2_000)
  const taskId = await client.call("start", { port, message: "wait" })
  await client.call("watch", { port, taskId, readers: 100, seen: 2 })
  const before = await server.call("resources")
  await client.call("watch", { port, taskId, readers: 100 + streams, seen: 2 })
  const after = await server.call("resources")
  await client.call("close")
  return [
    {
      name: "heap of an HTTP stream that waits",
      unit: "KiB",
      value: (after.heapBytes - before.heapBytes) / 1_024 / streams,
      target: { value: 30 }
    },
    {
      name: "resident memory of an HTTP stream that waits",
      unit: "KiB",
      value: (after.rssBytes - before.rssBytes) / 1_024 / streams
    }
  ]
}

/** Cases that both servers run, in alternating rounds. */
export const overHttp: { readonly [name: string]: Case } = {
  live1: live(1, 20_000),
  live50: live(50, 4_000, 0.9),
  live500: live(500, 500, 0.9),
  paced: paced(50, 100),
  paced500: paced(500, 20),
  replay: replay(50, 1_000, 0.55),
  starts,
  cancel
}

/** Cases that both servers run in processes that can collect garbage on demand. */
export const memory: { readonly [name: string]: Case } = { streamHeap }

/** The end of a server that has all of its streams open: those of an idle task, and those of a task in the middle of its work. */
const sigterm = async (quick: boolean): Promise<ReadonlyArray<Figure>> => {
  await using server = await spawn<Server>("./perennial.ts")
  await using client = await spawn<Client>("./client.ts")
  const port = await server.call("port")
  const idle = scaled(quick, 2_000)
  const readers = idle + scaled(quick, 500)
  const waiting = await client.call("start", { port, message: "wait" })
  await client.call("watch", { port, taskId: waiting, readers: idle, seen: 2 })
  const taskId = await client.call("start", { port, message: "emit" })
  // The server ends before this task does.
  server.call("emit", { taskId, count: 1_000_000, rate: 20 }).catch(() => {})
  await client.call("watch", { port, taskId, readers, seen: 10 })
  const goodbyes = client.call("goodbyes")
  const from = now()
  await server.terminate()
  const exited = now()
  const { last, polite } = await goodbyes
  const name = `SIGTERM with ${readers.toLocaleString("en")} open streams`
  return [
    { name: `${name}: all have ended`, unit: "ms", value: last - from, target: { value: 2_000 } },
    { name: `${name}: without a goodbye`, unit: "streams", value: readers - polite, target: { value: 0 } },
    { name: `${name}: the process has ended`, unit: "ms", value: exited - from }
  ]
}

const inProcessFigures = async (
  process: Child<InProcess>,
  options: { readonly readers: number; readonly count: number }
): Promise<ReadonlyArray<Figure>> => {
  const { latencies, millis } = await process.call("deliver", options)
  const name = `in process, 1 -> ${options.readers.toLocaleString("en")}`
  return [
    { name, unit: "deliveries/s", value: options.count * options.readers / millis * 1_000 },
    { name: `${name}: emit to reader, p50`, unit: "ms", value: median(latencies) },
    { name: `${name}: emit to reader, p99`, unit: "ms", value: quantile(latencies, 0.99) }
  ]
}

/** Cases that only Perennial runs. */
export const alone: { readonly [name: string]: (quick: boolean) => Promise<ReadonlyArray<Figure>> } = {
  reader1: async (quick) => {
    await using child = await spawn<InProcess>("./inProcess.ts")
    return await inProcessFigures(child, { readers: 1, count: scaled(quick, 20_000) })
  },
  reader1000: async (quick) => {
    await using child = await spawn<InProcess>("./inProcess.ts")
    return await inProcessFigures(child, { readers: 1_000, count: scaled(quick, 1_000) })
  },
  readerHeap: async (quick) => {
    await using child = await spawn<InProcess>("./inProcess.ts", { exposeGc: true })
    const bytes = await child.call("readerHeap", scaled(quick, 5_000))
    return [{ name: "heap of an in-process reader", unit: "KiB", value: bytes / 1_024, target: { value: 10 } }]
  },
  taskHeap: async (quick) => {
    await using child = await spawn<InProcess>("./inProcess.ts", { exposeGc: true })
    const { heapBytes } = await child.call("waitingTasks", scaled(quick, 5_000))
    return [{ name: "heap of a task that waits", unit: "KiB", value: heapBytes / 1_024, target: { value: 12 } }]
  },
  manyTasks: async (quick) => {
    await using child = await spawn<InProcess>("./inProcess.ts", { exposeGc: true })
    const tasks = scaled(quick, 100_000)
    const { heapBytes, millis, rssBytes } = await child.call("waitingTasks", tasks)
    const name = `${tasks.toLocaleString("en")} tasks that wait in one process`
    return [
      { name: `${name}: heap of each`, unit: "KiB", value: heapBytes / 1_024, target: { value: 12 } },
      { name: `${name}: resident memory`, unit: "MiB", value: rssBytes / 1_024 / 1_024 },
      { name: `${name}: time of one more start`, unit: "ms", value: millis }
    ]
  },
  sigterm
}
