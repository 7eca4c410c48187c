/**
 * How many tasks began and ended in each minute of the last hour.
 *
 * @since 0.1.0
 */
import { DateTime, Schema } from "effect"
import type { TaskStatus } from "./Task.ts"

/**
 * @since 0.1.0
 * @category models
 */
export const ThroughputMinute = Schema.Struct({
  /** The beginning of the minute, by the store's clock. */
  at: Schema.DateTimeUtcFromString,
  /** Tasks that a runner took up for the first time. */
  started: Schema.Natural,
  completed: Schema.Natural,
  error: Schema.Natural,
  cancelled: Schema.Natural
}).annotate({ identifier: "ThroughputMinute" })

/**
 * @since 0.1.0
 * @category models
 */
export interface ThroughputMinute extends Schema.Schema.Type<typeof ThroughputMinute> {}

/**
 * The last 60 minutes, oldest first. The last one is the present minute, which is not over. The first ones are left out if so
 * many tasks began or ended that their numbers are not known.
 *
 * @since 0.1.0
 * @category models
 */
export const Throughput = Schema.Struct({
  minutes: Schema.Array(ThroughputMinute)
}).annotate({ identifier: "Throughput" })

/**
 * @since 0.1.0
 * @category models
 */
export interface Throughput extends Schema.Schema.Type<typeof Throughput> {}

/**
 * How many beginnings, and how many ends, a store counts at most: the newest.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxCounted = 50_000

const millis = 60_000

/**
 * The beginning of the hour at a time of the store, in milliseconds since 1970-01-01T00:00Z: the minutes are whole.
 *
 * @since 0.1.0
 * @category accessors
 */
export const begin = (now: number): number => (Math.floor(now / millis) - 59) * millis

/**
 * How many tasks began or ended in a minute: `minute` counts from 1970-01-01T00:00Z.
 *
 * @since 0.1.0
 * @category models
 */
export interface MinuteCount {
  readonly minute: number
  readonly kind: "started" | TaskStatus
  readonly count: number
}

/**
 * The throughput at a time of the store from the numbers of its minutes. Where a store has counted `maxCounted` beginnings or
 * ends, the oldest of their minutes is not complete.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (now: number, counts: ReadonlyArray<MinuteCount>): Throughput => {
  const known = Math.max(...[true, false].map((starts) => {
    const same = counts.filter(({ kind }) => (kind === "started") === starts)
    const total = same.reduce((sum, { count }) => sum + count, 0)
    return total < maxCounted ? Number.NEGATIVE_INFINITY : Math.min(...same.map(({ minute }) => minute)) + 1
  }))
  const first = begin(now) / millis
  const minutes: Array<ThroughputMinute> = []
  for (let minute = Math.max(first, known); minute < first + 60; minute++) {
    const of = (wanted: MinuteCount["kind"]) =>
      counts.find((one) => one.minute === minute && one.kind === wanted)?.count ?? 0
    minutes.push({
      at: DateTime.makeUnsafe(minute * millis),
      started: of("started"),
      completed: of("completed"),
      error: of("error"),
      cancelled: of("cancelled")
    })
  }
  return { minutes }
}
