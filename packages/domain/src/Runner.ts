/**
 * A process that executes tasks, as its lease in the store shows it.
 *
 * @since 0.1.0
 */
import { DateTime, Option, Schema } from "effect"
import { AgentId, RunnerId } from "./Ids.ts"

/**
 * What a runner says about itself with each renewal of its lease.
 *
 * @since 0.1.0
 * @category models
 */
export const RunnerAbout = Schema.Struct({
  /** The version of Perennial. */
  version: Schema.String,
  /** How many tasks it runs at once. */
  capacity: Schema.Natural,
  /** The agents that it has, the first 100. */
  agents: Schema.Array(AgentId),
  /** In a cluster: how many shards it has. */
  shards: Schema.optionalKey(Schema.Natural),
  /** In a cluster: how many tasks wait there, for a place or for the end of another owner. */
  queued: Schema.optionalKey(Schema.Natural)
})

/**
 * @since 0.1.0
 * @category models
 */
export interface RunnerAbout extends Schema.Schema.Type<typeof RunnerAbout> {}

/**
 * A runner whose lease has not run out. All times are of the store's clock. A runner of an earlier version says nothing about
 * itself.
 *
 * @since 0.1.0
 * @category models
 */
export const Runner = Schema.Struct({
  /** `<host>-<pid>-<id>`, where the process has a name. */
  id: RunnerId,
  /** When the lease began. */
  since: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** When the lease was renewed last. */
  renewedAt: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** When the lease runs out, if it is not renewed. */
  expiresAt: Schema.DateTimeUtcFromString,
  /** How many tasks it owns. */
  running: Schema.Natural,
  /** How many of them have tool calls that wait for a person. */
  waiting: Schema.Natural,
  version: Schema.optionalKey(RunnerAbout.fields.version),
  capacity: Schema.optionalKey(RunnerAbout.fields.capacity),
  agents: Schema.optionalKey(RunnerAbout.fields.agents),
  shards: RunnerAbout.fields.shards,
  queued: RunnerAbout.fields.queued
}).annotate({ identifier: "Runner" })

/**
 * @since 0.1.0
 * @category models
 */
export interface Runner extends Schema.Schema.Type<typeof Runner> {}

const Text = Schema.fromJsonString(Schema.toCodecJson(RunnerAbout))

/**
 * The text that a store keeps.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeAbout: (self: RunnerAbout) => string = Schema.encodeSync(Text)

const decodeText = Schema.decodeOption(Text)

/**
 * Reads the text that a store kept: nothing of a text that cannot be read.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeAbout = (text: string | null | undefined): RunnerAbout | undefined =>
  text === null || text === undefined ? undefined : Option.getOrUndefined(decodeText(text))

/**
 * The runner of a lease. Times are milliseconds since 1970-01-01T00:00Z by the store's clock.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromLease = (lease: {
  readonly id: RunnerId
  readonly since: number | null
  readonly renewed: number | null
  readonly expires: number
  readonly about: RunnerAbout | undefined
  readonly running: number
  readonly waiting: number
}): Runner => ({
  id: lease.id,
  ...(lease.since === null ? undefined : { since: DateTime.makeUnsafe(lease.since) }),
  ...(lease.renewed === null ? undefined : { renewedAt: DateTime.makeUnsafe(lease.renewed) }),
  expiresAt: DateTime.makeUnsafe(lease.expires),
  running: lease.running,
  waiting: lease.waiting,
  ...lease.about
})
