/** Runs many worlds on several threads. */
import { Effect } from "effect"
import { Worker } from "node:worker_threads"
import type { Violation } from "./oracle/violation.ts"
import type { Report, Work } from "./work.ts"

export interface Options {
  readonly first: number
  readonly count: number
  readonly seconds: number
  readonly workers: number
  readonly repeatEvery: number
  readonly maxFailures: number
  readonly canary?: string | undefined
}

export interface Failure {
  readonly seed: number
  readonly violations: ReadonlyArray<Violation>
}

export interface Results {
  readonly worlds: number
  readonly steps: number
  readonly failures: ReadonlyArray<Failure>
  /** How many worlds were repeated by another thread, and the seeds of those that differed. */
  readonly repeated: number
  readonly differing: ReadonlyArray<number>
}

/** One thread to its end. An error of the thread is a defect. */
const runWorker = (work: Work, onReport: (report: Report) => void) =>
  Effect.callback<void>((resume) => {
    const worker = new Worker(new URL("worker.ts", import.meta.url), { workerData: work })
    worker.on("message", onReport)
    worker.on("error", (error) => resume(Effect.die(error)))
    worker.on("exit", () => resume(Effect.void))
    return Effect.promise(() => worker.terminate())
  })

export const runWorlds = Effect.fnUntraced(function*(
  { canary, count, first, maxFailures, repeatEvery, seconds, workers }: Options,
  onFailure: (failure: Failure) => void = () => {}
) {
  const failures: Array<Failure> = []
  const hashes = new Map<number, number>()
  const repetitions = new Map<number, number>()
  let worlds = 0
  let steps = 0
  const onReport = (report: Report) => {
    switch (report.type) {
      case "failed":
        failures.push(report)
        return onFailure(report)
      case "hash":
        return void (report.repeated ? repetitions : hashes).set(report.seed, report.hash)
      case "ended":
        worlds += report.worlds
        steps += report.steps
    }
  }
  const work: Work = {
    first,
    count,
    next: new SharedArrayBuffer(4),
    deadline: performance.timeOrigin + performance.now() + seconds * 1_000,
    repeatEvery,
    alone: workers === 1,
    maxFailures,
    canary
  }
  yield* Effect.forEach(Array.from({ length: workers }), () => runWorker(work, onReport), {
    concurrency: "unbounded",
    discard: true
  })
  const compared = [...repetitions].filter(([seed]) => hashes.has(seed))
  return {
    worlds,
    steps,
    failures,
    repeated: compared.length,
    differing: compared.filter(([seed, hash]) => hashes.get(seed) !== hash).map(([seed]) => seed)
  } satisfies Results
})
