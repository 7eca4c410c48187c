/**
 * The commands for Perennial and for the engines beside it: the same work, each in a process of its own, without HTTP, on the
 * same store.
 */

/** `count` jobs of one step, `concurrency` at once. */
export interface Jobs {
  readonly count: number
  readonly concurrency: number
}

export interface JobTimes {
  /** Milliseconds until the last job was accepted. */
  readonly accepted: number
  /** Milliseconds until the last one had ended. */
  readonly ended: number
}

/** Writes `values` one after the other, each durable before the next, while `readers` read. */
export interface Streamed {
  readonly values: number
  readonly readers: number
}

/** Every engine has some of these. */
export type Engine = {
  readonly jobs: (options: Jobs) => Promise<JobTimes>
  /** Milliseconds until the last reader had the last value. */
  readonly stream: (options: Streamed) => Promise<number>
}

/** One value of a stream. */
export const value = (i: number): string => `${i} Lorem ipsum dolor sit amet, consectetur adipiscing elit`

/** Starts jobs with `concurrency` workers, and waits for their ends concurrently. */
export const runJobs = async (
  { concurrency, count }: Jobs,
  start: () => Promise<{ readonly ended: Promise<unknown> }>
): Promise<JobTimes> => {
  const from = performance.now()
  const ends: Array<Promise<unknown>> = []
  let left = count
  const worker = async () => {
    while (left-- > 0) ends.push((await start()).ended)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
  const accepted = performance.now() - from
  await Promise.all(ends)
  return { accepted, ended: performance.now() - from }
}
