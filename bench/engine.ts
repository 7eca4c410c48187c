/**
 * The commands for Perennial and for other engines. Each engine runs in its own process, on the same store, without HTTP, and
 * does the same work.
 */

/** Jobs of one step: `count` jobs, started by `concurrency` concurrent workers. */
export interface Jobs {
  readonly count: number
  readonly concurrency: number
}

export interface JobTimes {
  /** Milliseconds until the last job was accepted. */
  readonly accepted: number
  /** Milliseconds until the last job had ended. */
  readonly ended: number
}

/** A stream of `values` values for `readers` concurrent readers. Each value is written before the next one. */
export interface Streamed {
  readonly values: number
  readonly readers: number
}

/** The commands of an engine. An engine may have only some of them. */
export type Engine = {
  readonly jobs: (options: Jobs) => Promise<JobTimes>
  /** Returns the milliseconds until all readers had the last value. */
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
