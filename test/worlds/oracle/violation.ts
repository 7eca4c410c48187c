/** A promise that a world broke. */
export interface Violation {
  /** `P1` to `P12`. */
  readonly promise: string
  readonly what: string
  /** The tasks, conversations and processes that it is about: the trace is cut to them. */
  readonly about: ReadonlyArray<string>
}

export type Broken = (promise: string, what: string, ...about: ReadonlyArray<string>) => void
