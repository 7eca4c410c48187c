/**
 * The commands for both servers of the bench, besides HTTP.
 */
// @effect-diagnostics globalTimers:off

/** How events are emitted: one by one, either one in each turn of the event loop or at a rate. */
export interface Emission {
  readonly taskId: string
  readonly count: number
  /** Events per second; without it the next event comes with the next turn of the event loop. */
  readonly rate?: number | undefined
}

/** Resources of a server process. */
export interface Resources {
  /** Milliseconds of user and system time since the start. */
  readonly cpuMillis: number
  /** Bytes in use after a full collection (where it is exposed). */
  readonly heapBytes: number
  readonly rssBytes: number
}

/** The handlers of a server process. */
export type Server = {
  readonly port: () => number
  /** Emits `count` text events into a task, and resolves when the task has ended. */
  readonly emit: (emission: Emission) => Promise<void>
  readonly resources: () => Promise<Resources>
}

/** The text of the next event; begins with the time in milliseconds, by the clock that all processes share. */
export const content = (): string =>
  `${(Number(process.hrtime.bigint()) / 1e6).toFixed(6).padEnd(19, "0")} Lorem ipsum dolor sit amet, consectetur elit`

/** Stands for the complete message at the end of an emission. */
export const message = { role: "assistant" as const, content: [{ type: "text" as const, text: "That was all." }] }

/** Calls back when event `i + 1` is due, `began` milliseconds after `performance.timeOrigin`. */
export const pace = ({ rate }: Emission, began: number, i: number, callback: () => void): void => {
  if (rate === undefined) setImmediate(callback)
  else setTimeout(callback, Math.max(0, began + (i + 1) * (1_000 / rate) - performance.now()))
}

export const resources = async (): Promise<Resources> => {
  if (globalThis.gc !== undefined) {
    // Finalizers and sockets free memory in later turns.
    for (let i = 0; i < 4; i++) {
      globalThis.gc()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
  const cpu = process.cpuUsage()
  const memory = process.memoryUsage()
  return { cpuMillis: (cpu.user + cpu.system) / 1_000, heapBytes: memory.heapUsed, rssBytes: memory.rss }
}
