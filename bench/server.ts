/**
 * The commands for both servers of the benchmark, in addition to HTTP.
 */
// @effect-diagnostics globalTimers:off

/** An emission of events, one by one: at a rate, or one in each turn of the event loop. */
export interface Emission {
  readonly taskId: string
  readonly count: number
  /** Events per second. Without a rate, each turn of the event loop emits one event. */
  readonly rate?: number | undefined
}

/** The resources of a server process. */
export interface Resources {
  /** Milliseconds of user and system CPU time since the start of the process. */
  readonly cpuMillis: number
  /** Bytes of the heap in use. The garbage is collected before, if the process exposes `gc`. */
  readonly heapBytes: number
  readonly rssBytes: number
}

/** The handlers of a server process. */
export type Server = {
  readonly port: () => number
  /** Lets the agent of a task emit, and returns when the task has ended. */
  readonly emit: (emission: Emission) => Promise<void>
  readonly resources: () => Promise<Resources>
}

/** The text of an event. It begins with the time in milliseconds, by a clock that all processes share. */
export const content = (): string =>
  `${(Number(process.hrtime.bigint()) / 1e6).toFixed(6).padEnd(19, "0")} Lorem ipsum dolor sit amet, consectetur elit`

/** The complete message at the end of an emission. */
export const message = { role: "assistant" as const, content: [{ type: "text" as const, text: "That was all." }] }

/** Calls back when event `i + 1` is due. `began` is the time of `performance.now()` at the beginning of the emission. */
export const pace = ({ rate }: Emission, began: number, i: number, callback: () => void): void => {
  if (rate === undefined) setImmediate(callback)
  else setTimeout(callback, Math.max(0, began + (i + 1) * (1_000 / rate) - performance.now()))
}

export const resources = async (): Promise<Resources> => {
  if (globalThis.gc !== undefined) {
    // Finalizers and sockets free memory in later turns of the event loop.
    for (let i = 0; i < 4; i++) {
      globalThis.gc()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const cpu = process.cpuUsage()
  const memory = process.memoryUsage()
  return { cpuMillis: (cpu.user + cpu.system) / 1_000, heapBytes: memory.heapUsed, rssBytes: memory.rss }
}
