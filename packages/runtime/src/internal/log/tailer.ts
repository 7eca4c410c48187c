/**
 * Follows the tasks that have readers here and do not run here: one fiber reads their new events, and passes them to the hubs.
 * Hints wake it. Because hints may be lost, it also compares the newest seqs every 5 seconds.
 */
import type { TaskId } from "@perennial/domain/Ids"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { Array as Arr, Effect, Latch, Schedule } from "effect"
import type { Hub, Hubs } from "./hub.ts"

/** The number of tasks in one comparison. */
const compared = 1_000
/** The number of concurrent reads of logs. */
const concurrency = 8

export const make = Effect.fnUntraced(function*(backend: TaskBackend["Service"], hubs: Hubs) {
  const grown = new Set<TaskId>()
  const awake = yield* Latch.make(false)

  const logGrewUnsafe = (id: TaskId) => {
    const hub = hubs.get(id)
    if (hub === undefined || hub.readers === 0 || hub.local || hub.ended) return
    grown.add(id)
    awake.openUnsafe()
  }
  const logGrew = (id: TaskId) => Effect.sync(() => logGrewUnsafe(id))

  /**
   * Reads one page, so that a log that grows all the time does not delay the others. If a hub knows no seq yet, or if the log
   * was removed, the readers are sent to the log.
   */
  const feed = (hub: Hub): Effect.Effect<void> =>
    hub.local ? Effect.void : hub.lastSeq === 0 ? hub.sendToLog : backend.events(hub.taskId, {
      after: hub.lastSeq,
      limit: 256,
      maxBytes: 1024 * 1024
    }).pipe(
      Effect.flatMap(({ events, lastSeq }) =>
        Arr.isReadonlyArrayNonEmpty(events) && !hub.local
          ? Effect.andThen(
            hub.publish(events),
            Effect.suspend(() => hub.lastSeq < lastSeq ? logGrew(hub.taskId) : Effect.void)
          )
          : Effect.void
      ),
      Effect.catchTag("TaskBackendError", (error) => Effect.logWarning("A log could not be read.", error)),
      Effect.catch(() => hub.sendToLog),
      Effect.catchCause((cause) => Effect.logWarning("A log could not be read.", cause))
    )

  yield* Effect.gen(function*() {
    yield* awake.await
    awake.closeUnsafe()
    const ids = [...grown]
    grown.clear()
    yield* Effect.forEach(ids, (id) => {
      const hub = hubs.get(id)
      return hub === undefined ? Effect.void : feed(hub)
    }, { concurrency, discard: true })
  }).pipe(Effect.forever, Effect.forkScoped)

  const compare = Effect.suspend(() =>
    Effect.forEach(
      Arr.chunksOf(hubs.watched, compared),
      (watched) =>
        Effect.flatMap(backend.lastSeqs(watched.map((hub) => hub.taskId)), (rows) => {
          const stored = new Map(rows.map(({ lastSeq, taskId }) => [taskId, lastSeq]))
          return Effect.forEach(
            watched.filter((hub) => (stored.get(hub.taskId) ?? Number.POSITIVE_INFINITY) > hub.lastSeq),
            (hub) => logGrew(hub.taskId),
            { discard: true }
          )
        }),
      { discard: true }
    )
  )
  yield* compare.pipe(
    Effect.catchCause((cause) => Effect.logWarning("Logs could not be compared.", cause)),
    Effect.repeat(Schedule.spaced("5 seconds")),
    Effect.delay("5 seconds"),
    Effect.forkScoped
  )

  return {
    logGrew,
    logGrewUnsafe,
    recheckAll: Effect.suspend(() => Effect.forEach(hubs.watched, (hub) => logGrew(hub.taskId), { discard: true }))
  }
})
