/** What the main program and its workers tell each other. */
import type { Violation } from "./oracle/violation.ts"

/** The work of one worker. */
export interface Work {
  readonly first: number
  readonly count: number
  /** The next seed, counted from `first`: all workers draw from it. */
  readonly next: SharedArrayBuffer
  /** No world begins after this time, in milliseconds of `performance.timeOrigin + performance.now()`. */
  readonly deadline: number
  /** Every so many seeds one is repeated by another worker. 0: none. */
  readonly repeatEvery: number
  /** Whether this worker repeats its own worlds: there is no other. */
  readonly alone: boolean
  /** The worker stops after so many failures. */
  readonly maxFailures: number
  /** A bug that is put into the sources. */
  readonly canary?: string | undefined
}

export type Report =
  | { readonly type: "failed"; readonly seed: number; readonly violations: ReadonlyArray<Violation> }
  /** The hash of a world that is compared with its repetition. */
  | { readonly type: "hash"; readonly seed: number; readonly hash: number; readonly repeated: boolean }
  | { readonly type: "ended"; readonly worlds: number; readonly steps: number }
