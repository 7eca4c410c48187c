/** Removes what the cluster's tables have no more use for: handled messages and their replies. effect/cluster keeps them. */
import { Duration, Effect, Random } from "effect"
import { MachineId, Snowflake } from "effect/cluster"
import { SqlClient } from "effect/sql"

/** A sender may still ask for the reply of a message for this long. Nothing of Perennial does. */
const keep = Duration.minutes(1)

/** Between two deletions; and without a pause if the last one removed as many rows as it may. */
const interval = Duration.seconds(10)
const rows = 5_000

/** `prefix` is that of the message storage: `cluster` by default. */
export const make = Effect.fnUntraced(function*(prefix: string) {
  const sql = (yield* SqlClient.SqlClient).withoutTransforms()
  const messages = sql(`${prefix}_messages`)
  const replies = sql(`${prefix}_replies`)

  /** The id of a reply has the time at which it was made. */
  const remove = Effect.gen(function*() {
    const now = yield* Effect.clockWith((clock) => clock.currentTimeMillis)
    const before = String(
      Snowflake.make({
        timestamp: Math.floor(now) - Duration.toMillis(keep),
        machineId: MachineId.make(0),
        sequence: 0
      })
    )
    const handled = yield* sql<{ readonly request_id: string }>`
      SELECT ${sql.literal("CAST(request_id AS VARCHAR(20)) AS request_id")} FROM ${replies}
      WHERE kind = 0 AND id < ${before} LIMIT ${rows}`
    if (handled.length === 0) return 0
    const ids = handled.map(({ request_id }) => request_id)
    yield* sql`DELETE FROM ${messages} WHERE ${sql.in("request_id", ids)}`
    yield* sql`DELETE FROM ${replies} WHERE ${sql.in("request_id", ids)}`
    return ids.length
  })

  return yield* remove.pipe(
    Effect.catchCause((cause) =>
      Effect.as(Effect.logWarning("Handled messages of the cluster were not removed.", cause), 0)
    ),
    Effect.flatMap((removed) =>
      removed === rows ?
        Effect.void :
        Effect.flatMap(Random.nextBetween(0.8, 1.2), (jitter) => Effect.sleep(Duration.times(interval, jitter)))
    ),
    Effect.forever
  )
})
