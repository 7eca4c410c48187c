/**
 * The clients of the benchmark. They run in one process, and are the same for both servers.
 */
import { now, serve } from "./ipc.ts"
import { Connection, Frames } from "./rawHttp.ts"

const sse = "accept: text/event-stream\r\n"

const start = async (connection: Connection, message: string): Promise<string> => {
  const { body, status } = await connection.request("POST", "/tasks", JSON.stringify({ message }))
  if (status !== 201) throw new Error(`POST /tasks answered ${status}: ${body}`)
  return JSON.parse(body).id
}

interface Watcher {
  readonly connection: Connection
  readonly frames: Frames
  readonly ended: Promise<unknown>
}

let watchers: Array<Watcher> = []
let first = 0
let last = 0
let delivered = 0
let latencies: Array<number> = []

/** Opens a stream, and returns when it has delivered the events up to `seen`. */
const watch = async (
  port: number,
  taskId: string,
  options: { readonly seen: number; readonly stamps: boolean }
): Promise<Watcher> => {
  const connection = await Connection.open(port)
  const caughtUp = Promise.withResolvers<void>()
  const frames = new Frames(0, (seq, data, from) => {
    if (seq <= options.seen) return seq === options.seen ? caughtUp.resolve() : undefined
    if (first === 0) first = now()
    delivered++
    if (!options.stamps) return
    const stamp = data.indexOf("\"content\":\"", from, "latin1")
    const sent = stamp === -1 ? Number.NaN : Number.parseFloat(data.toString("latin1", stamp + 11, stamp + 31))
    if (!Number.isNaN(sent)) latencies.push(now() - sent)
  })
  const ended = connection.stream("GET", `/tasks/${taskId}/events`, sse, "", (slice) => frames.push(slice)).finally(
    () => {
      last = now()
    }
  )
  ended.catch(caughtUp.reject)
  await caughtUp.promise
  return { connection, frames, ended }
}

const closeWatchers = () => {
  for (const { connection, ended } of watchers) {
    ended.catch(() => {})
    connection.close()
  }
  watchers = []
}

/** Calls `run` `count` times, with `concurrency` concurrent workers. Each worker has its own connection. */
const many = async (
  port: number,
  options: { readonly count: number; readonly concurrency: number },
  run: (connection: Connection) => Promise<void>
): Promise<void> => {
  let left = options.count
  const worker = async (connection: Connection) => {
    while (left-- > 0) await run(connection)
    connection.close()
  }
  const connections = await Promise.all(Array.from({ length: options.concurrency }, () => Connection.open(port)))
  await Promise.all(connections.map(worker))
}

const handlers = {
  start: async (options: { readonly port: number; readonly message: string }): Promise<string> => {
    const connection = await Connection.open(options.port)
    const id = await start(connection, options.message)
    connection.close()
    return id
  },

  /** Opens streams, and waits until they have delivered the events up to `seen`. */
  watch: async (options: {
    readonly port: number
    readonly taskId: string
    readonly readers: number
    readonly seen: number
    readonly stamps?: boolean
  }): Promise<void> => {
    first = last = delivered = 0
    latencies = []
    const { port, seen, stamps = false, taskId } = options
    while (watchers.length < options.readers) {
      const batch = Math.min(100, options.readers - watchers.length)
      watchers.push(...await Promise.all(Array.from({ length: batch }, () => watch(port, taskId, { seen, stamps }))))
    }
  },

  /** Waits until all streams have ended. Times are in milliseconds. */
  watched: async (): Promise<{
    readonly millis: number
    readonly delivered: number
    readonly latencies: ReadonlyArray<number>
  }> => {
    await Promise.all(watchers.map(({ ended }) => ended))
    closeWatchers()
    return { millis: last - first, delivered, latencies }
  },

  /** Waits until all streams have ended. Returns when the last one ended, and how many ended after a goodbye. */
  goodbyes: async (): Promise<{ readonly last: number; readonly polite: number }> => {
    const ends = await Promise.allSettled(watchers.map(({ ended }) => ended))
    const polite = watchers.filter(({ frames }, i) => ends[i]?.status === "fulfilled" && frames.saidGoodbye)
    closeWatchers()
    return { last, polite: polite.length }
  },

  close: closeWatchers,

  /** Concurrent readers read the whole log of an ended task, `passes` times. Returns the milliseconds of each pass. */
  replay: async (options: {
    readonly port: number
    readonly taskId: string
    readonly readers: number
    readonly passes: number
    readonly events: number
  }): Promise<ReadonlyArray<number>> => {
    const connections = await Promise.all(
      Array.from({ length: options.readers }, () => Connection.open(options.port))
    )
    const passes: Array<number> = []
    for (let pass = 0; pass < options.passes; pass++) {
      const from = now()
      await Promise.all(connections.map(async (connection) => {
        const frames = new Frames(0, () => {})
        const path = `/tasks/${options.taskId}/events`
        await connection.stream("GET", path, sse, "", (slice) => frames.push(slice))
        if (frames.seq !== options.events) throw new Error(`replay ended at ${frames.seq} of ${options.events}`)
      }))
      passes.push(now() - from)
    }
    for (const connection of connections) connection.close()
    return passes
  },

  /** Starts `count` tasks, and returns the milliseconds for all of them. */
  starts: async (
    options: { readonly port: number; readonly count: number; readonly concurrency: number }
  ): Promise<number> => {
    const from = now()
    await many(options.port, options, async (connection) => {
      await start(connection, "wait")
    })
    return now() - from
  },

  /** Cancels `count` tasks. Returns for each the milliseconds from the request until a stream has the terminal event. */
  cancels: async (
    options: { readonly port: number; readonly count: number; readonly concurrency: number }
  ): Promise<ReadonlyArray<number>> => {
    const took: Array<number> = []
    await many(options.port, options, async (connection) => {
      const taskId = await start(connection, "wait")
      const { connection: stream, ended } = await watch(options.port, taskId, { seen: 2, stamps: false })
      const from = now()
      const [answer] = await Promise.all([
        connection.request("POST", `/tasks/${taskId}/cancel`),
        ended.then(() => took.push(now() - from))
      ])
      if (answer.status !== 200) throw new Error(`cancel answered ${answer.status}: ${answer.body}`)
      stream.close()
    })
    return took
  }
}

export type Client = typeof handlers

serve(handlers)
