/**
 * Group commit: a process makes one commit at a time. Emits that arrive during a commit wait in a queue and go together
 * into the next commit, for many tasks at once. An emit without concurrent emits is committed by its own fiber. Events are
 * durable first, then readers see them, then the emit returns (P5).
 */
import { size } from "@perennial/domain/EventPayload"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { type Array as Arr, Deferred, Duration, Effect, Exit, Latch, Predicate, Queue, Semaphore } from "effect"
import type { Batch } from "./hub.ts"
import type { LossReason, OwnedLog, Unnumbered } from "./ownedLog.ts"

/** The largest number of emits in the queue. Further emits wait in their own fibers. */
const queueEmits = 4096
/** The largest size of the queue, in KiB of events. */
const queueKib = 64 * 1024
/** Bounds of one commit. */
const commitEvents = 512
const commitBytes = 1024 * 1024

interface Emit {
  readonly log: OwnedLog
  readonly events: ReadonlyArray<Unnumbered>
  readonly bytes: number
  readonly done: Deferred.Deferred<number>
  readonly byAgent: boolean
  state: "queued" | "withdrawn" | "taken"
}

/** The emits of one task in one commit. */
interface Group {
  readonly log: OwnedLog
  readonly emits: Array<Emit>
  readonly events: Array<StoredEvent>
}

/** The last seq that is durable, or an interruption. */
type Emitted = Exit.Exit<number>

type Appended = Effect.Success<ReturnType<TaskBackend["Service"]["append"]>>[number]

export interface GroupCommit {
  /** Returns the last seq when the events are durable. If the task has lost its claim, it is interrupted and does not return. */
  readonly emit: (log: OwnedLog, events: ReadonlyArray<Unnumbered>) => Effect.Effect<number>
  /** The same for events of an agent. They have limits, and are refused after the agent has ended. */
  readonly emitByAgent: (log: OwnedLog, events: ReadonlyArray<Unnumbered>) => Effect.Effect<number>
}

const entryOf = (log: OwnedLog, events: Batch): Parameters<TaskBackend["Service"]["append"]>[0][number] => {
  const summary = log.summaryWith(events)
  return summary === undefined ? { claim: log.claim, events } : { claim: log.claim, events, summary }
}

const isNonEmpty = <A>(values: ReadonlyArray<A>): values is Arr.NonEmptyReadonlyArray<A> => values.length > 0

/**
 * Works until the scope closes; a commit that has begun by then is completed. `now` is the time that events are stamped
 * with, in milliseconds since 1970-01-01T00:00Z.
 */
export const make = Effect.fnUntraced(function*(backend: TaskBackend["Service"], now: () => number) {
  const queue = yield* Queue.bounded<Emit>(queueEmits)
  const room = yield* Semaphore.make(queueKib)
  const waits = Duration.isGreaterThan(backend.commitWindow, Duration.zero)
  // The store must not see a transaction or another service of the agent's fiber.
  const services = yield* Effect.context<never>()
  /** Whether the flusher has emits to commit, or commits them. */
  let flushing = false
  /** Whether the flusher's last commit held several emits: then further concurrent emits are likely. */
  let concurrent = false
  /** Closed while a fiber commits its own emit. */
  const idle = Latch.makeUnsafe(true)

  const emitAs = (byAgent: boolean): GroupCommit["emit"] => (log, events) =>
    Effect.uninterruptibleMask((restore) => {
      if (log.isRefused(byAgent)) return Effect.interrupt
      let bytes = 0
      let largest = 0
      for (const event of events) {
        const eventBytes = size(event)
        bytes += eventBytes
        if (eventBytes > largest) largest = eventBytes
      }
      const refused = byAgent ? log.refuse(bytes, largest) : undefined
      if (refused !== undefined) return Effect.die(refused)
      const isAlone = !waits && !concurrent && !flushing && idle.isOpen() && Queue.sizeUnsafe(queue) === 0
      if (isAlone) return commitAlone(log, events, byAgent)
      const entry: Emit = { log, events, bytes, byAgent, done: Deferred.makeUnsafe(), state: "queued" }
      return restore(Effect.andThen(enqueue(entry), Deferred.await(entry.done)))
    })

  const enqueue = (entry: Emit): Effect.Effect<void> => {
    const written = Effect.andThen(Queue.offer(queue, entry), Deferred.await(entry.done)).pipe(
      Effect.onInterrupt(() =>
        Effect.suspend(() => {
          if (entry.state === "taken") return Effect.asVoid(Effect.exit(Deferred.await(entry.done)))
          entry.state = "withdrawn"
          return Effect.void
        })
      )
    )
    // The number of emits already bounds small ones.
    return Effect.asVoid(
      entry.bytes <= 1024
        ? written
        : room.withPermits(Math.min(queueKib, Math.ceil(entry.bytes / 1024)))(written)
    )
  }

  /** A store may be written without types: what does not answer each entry is a failure. */
  const append = (batch: Parameters<typeof backend.append>[0]) =>
    Effect.flatMap(
      Effect.suspend(() => backend.append(batch)),
      (results) =>
        Array.isArray(results) && results.length === batch.length && results.every(isAppended)
          ? Effect.succeed<ReadonlyArray<Appended>>(results)
          : Effect.die(new Error("The store did not answer each entry of a commit."))
    )

  /** Completes the commit of one task. A failure in this step affects only this task. */
  const settle = (log: OwnedLog, events: ReadonlyArray<StoredEvent>, appended: Appended): Effect.Effect<Emitted> =>
    Effect.suspend(() => {
      if (!appended.ok) return Effect.succeed(lose(log, "fenced"))
      const published = isNonEmpty(events) ? log.publish(events) : Effect.void
      return Effect.as(Effect.andThen(published, log.reported(appended.intents)), Exit.succeed(log.lastSeq))
    }).pipe(
      Effect.catchCause((cause) =>
        Effect.map(
          Effect.logError(`Task ${log.claim.taskId} stops here as if crashed.`, cause),
          () => lose(log, "store")
        )
      )
    )

  /** Commits events of one task. */
  const commitOne = (log: OwnedLog, events: ReadonlyArray<StoredEvent>): Effect.Effect<Emitted> =>
    !isNonEmpty(events)
      ? settle(log, events, unchanged)
      : Effect.matchCauseEffect(append([entryOf(log, events)]), {
        onSuccess: ([appended = fenced]) => settle(log, events, appended),
        // This catches defects, too: the flusher must survive any failure of a store.
        onFailure: (cause) =>
          Effect.map(
            Effect.logError(`The store refused a commit; task ${log.claim.taskId} stops here as if crashed.`, cause),
            () => lose(log, "store")
          )
      })

  const commitGroup = (group: Group): Effect.Effect<void> =>
    Effect.map(commitOne(group.log, group.events), (emitted) => complete(group, emitted))

  const commit = (groups: ReadonlyArray<Group>): Effect.Effect<void> => {
    const batch = groups.flatMap(({ events, log }) => isNonEmpty(events) ? [entryOf(log, events)] : [])
    const each = Effect.forEach(groups, commitGroup, { discard: true })
    if (groups.length === 1 || !isNonEmpty(batch)) return each
    return Effect.matchCauseEffect(append(batch), {
      onSuccess: (results) => {
        let next = 0
        return Effect.forEach(groups, (group) => {
          const { events, log } = group
          const appended = events.length === 0 ? unchanged : results[next++] ?? fenced
          return Effect.map(settle(log, events, appended), (emitted) => complete(group, emitted))
        }, { discard: true })
      },
      // An event that the store refuses must not affect the other tasks.
      onFailure: () => each
    })
  }

  /** Numbers the emits that were not withdrawn. From here on they will be written. */
  const numbered = (emits: ReadonlyArray<Emit>): ReadonlyArray<Group> => {
    const at = now()
    const groups = new Map<OwnedLog, Group>()
    for (const entry of emits) {
      if (entry.state === "withdrawn") continue
      entry.state = "taken"
      const { log } = entry
      if (log.isRefused(entry.byAgent)) {
        Deferred.doneUnsafe(entry.done, Exit.interrupt())
        continue
      }
      let group = groups.get(log)
      if (group === undefined) groups.set(log, group = { log, emits: [], events: [] })
      group.emits.push(entry)
      for (const stored of log.number(entry.events, at)) group.events.push(stored)
    }
    return [...groups.values()]
  }

  const becomeIdle = Effect.sync(() => idle.openUnsafe())

  /** Commits an emit in its own fiber, because there is no concurrent emit. */
  const commitAlone = (
    log: OwnedLog,
    events: ReadonlyArray<Unnumbered>,
    byAgent: boolean
  ): Effect.Effect<number> => {
    const stored = log.number(events, now())
    idle.closeUnsafe()
    const committed = Effect.ensuring(commitOne(log, stored), becomeIdle)
    return Effect.flatten(byAgent ? Effect.updateContext<never, never>(() => services)(committed) : committed)
  }

  const drain = (first: Emit): ReadonlyArray<Emit> => {
    const emits = [first]
    let events = first.events.length
    let bytes = first.bytes
    while (events < commitEvents && bytes < commitBytes) {
      const next = Queue.takeUnsafe(queue)
      if (next === undefined || Exit.isFailure(next)) break
      emits.push(next.value)
      events += next.value.events.length
      bytes += next.value.bytes
    }
    return emits
  }

  const flush = Effect.gen(function*() {
    const first = yield* Effect.interruptible(Queue.take(queue))
    flushing = true
    yield* idle.await
    if (waits) yield* Effect.interruptible(Effect.sleep(backend.commitWindow))
    const emits = drain(first)
    yield* commit(numbered(emits))
    concurrent = emits.length > 1
    flushing = false
  })

  yield* Effect.forkScoped(Effect.forever(Effect.uninterruptible(flush)))
  return { emit: emitAs(false), emitByAgent: emitAs(true) } satisfies GroupCommit
})

const isAppended = (result: unknown): boolean => Predicate.hasProperty(result, "ok") && Predicate.isBoolean(result.ok)

const unchanged: Appended = { ok: true, intents: 0 }
const fenced: Appended = { ok: false, intents: 0 }

const complete = (group: Group, emitted: Emitted): void => {
  for (const { done } of group.emits) Deferred.doneUnsafe(done, emitted)
}

const lose = (log: OwnedLog, reason: LossReason): Emitted => {
  log.lose(reason)
  return Exit.interrupt()
}
