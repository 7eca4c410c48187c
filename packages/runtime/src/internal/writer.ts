/**
 * Group commit: one commit at a time per process. What queues up during one goes into the flusher's next, for many tasks
 * at once; an emit that meets no other is committed by its own fiber. Durable first, then the hub, then whoever waits
 * (P5).
 */
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { size, type StoredEvent } from "@perennial/domain/TaskEvent"
import { type Array as Arr, Clock, Deferred, Duration, Effect, Exit, Latch, Queue, Semaphore } from "effect"
import type { Journal, Unnumbered } from "./journal.ts"

/** Emits that may wait for the flusher; more wait in their own fibers. */
const queueEmits = 4096
/** KiB of events that may wait for the flusher. */
const queueKib = 64 * 1024
/** Bounds of one commit. */
const commitEvents = 512
const commitBytes = 1024 * 1024

interface Emit {
  readonly journal: Journal
  readonly events: ReadonlyArray<Unnumbered>
  readonly bytes: number
  readonly done: Deferred.Deferred<number>
  readonly byAgent: boolean
  state: "queued" | "withdrawn" | "taken"
}

interface Group {
  readonly journal: Journal
  readonly emits: Array<Emit>
  readonly events: Array<StoredEvent>
}

/** The last seq that is durable, or an interruption. */
type Emitted = Exit.Exit<number>

type Appended = Effect.Success<ReturnType<TaskBackend["Service"]["append"]>>[number]

export interface Writer {
  /** Returns the last seq when the events are durable; never returns to a task that lost its claim. */
  readonly emit: (journal: Journal, events: ReadonlyArray<Unnumbered>) => Effect.Effect<number>
  /** The same for an agent, which has limits and an end. */
  readonly emitByAgent: (journal: Journal, events: ReadonlyArray<Unnumbered>) => Effect.Effect<number>
}

const isNonEmpty = <A>(values: ReadonlyArray<A>): values is Arr.NonEmptyReadonlyArray<A> => values.length > 0

/** Runs until the scope closes; what was taken then is still written. */
export const make = Effect.fnUntraced(function*(backend: TaskBackend["Service"]) {
  const queue = yield* Queue.bounded<Emit>(queueEmits)
  const room = yield* Semaphore.make(queueKib)
  const waits = Duration.isGreaterThan(backend.commitWindow, Duration.zero)
  // What the fiber of an agent has, such as a transaction of its own, must not reach the store.
  const services = yield* Effect.context<never>()
  const clock = yield* Clock.Clock
  /** Whether the flusher has emits to commit, or does so. */
  let flushing = false
  /** Whether its last commit was for several emits: then the next ones are likely to meet, too. */
  let crowded = false
  /** Closed while a fiber commits its own emit. */
  const undisturbed = Latch.makeUnsafe(true)

  const isRefused = (journal: Journal, byAgent: boolean) => journal.closed || (byAgent && journal.sealed)

  const emitAs = (byAgent: boolean): Writer["emit"] => (journal, events) =>
    Effect.uninterruptibleMask((restore) => {
      if (isRefused(journal, byAgent)) return Effect.interrupt
      let bytes = 0
      let largest = 0
      for (const event of events) {
        const eventBytes = size(event)
        bytes += eventBytes
        if (eventBytes > largest) largest = eventBytes
      }
      const refused = byAgent ? journal.refuse(bytes, largest) : undefined
      if (refused !== undefined) return Effect.die(refused)
      const isAlone = !waits && !crowded && !flushing && undisturbed.isOpen() && Queue.sizeUnsafe(queue) === 0
      if (isAlone) return commitAlone(journal, events, byAgent)
      const entry: Emit = { journal, events, bytes, byAgent, done: Deferred.makeUnsafe(), state: "queued" }
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
    // Small ones are bounded by their number.
    return Effect.asVoid(
      entry.bytes <= 1024
        ? written
        : room.withPermits(Math.min(queueKib, Math.ceil(entry.bytes / 1024)))(written)
    )
  }

  /** After its commit: whatever happens here, happens to this task alone. */
  const settle = (journal: Journal, events: ReadonlyArray<StoredEvent>, appended: Appended): Effect.Effect<Emitted> =>
    Effect.suspend(() => {
      if (!appended.ok) return Effect.succeed(lose(journal, "fenced"))
      const published = isNonEmpty(events) ? journal.publish(events) : Effect.void
      return Effect.flatMap(published, () => {
        const noticed = journal.owner.onIntents(appended.intents)
        const emitted = succeed(journal)
        return noticed === Effect.void ? Effect.succeed(emitted) : Effect.as(noticed, emitted)
      })
    }).pipe(
      Effect.catchCause((cause) =>
        Effect.map(Effect.logError("A task stops here as if crashed.", cause), () => lose(journal, "store"))
      )
    )

  /** Events of one task. */
  const commitOne = (journal: Journal, events: ReadonlyArray<StoredEvent>): Effect.Effect<Emitted> =>
    !isNonEmpty(events)
      ? settle(journal, events, nothing)
      : Effect.matchCauseEffect(backend.append([{ claim: journal.claim, events }]), {
        onSuccess: ([appended = lost]) => settle(journal, events, appended),
        // Also defects: the flusher must outlive whatever a store does.
        onFailure: (cause) =>
          Effect.map(
            Effect.logError("The store refused a commit; its task stops here as if crashed.", cause),
            () => lose(journal, "store")
          )
      })

  const commitGroup = (group: Group): Effect.Effect<void> =>
    Effect.map(commitOne(group.journal, group.events), (emitted) => complete(group, emitted))

  const commit = (groups: ReadonlyArray<Group>): Effect.Effect<void> => {
    const batch = groups.flatMap(({ events, journal }) => isNonEmpty(events) ? [{ claim: journal.claim, events }] : [])
    const each = Effect.forEach(groups, commitGroup, { discard: true })
    if (groups.length === 1 || !isNonEmpty(batch)) return each
    return Effect.matchCauseEffect(backend.append(batch), {
      onSuccess: (results) => {
        let next = 0
        return Effect.forEach(groups, (group) => {
          const { events, journal } = group
          const appended = events.length === 0 ? nothing : results[next++] ?? lost
          return Effect.map(settle(journal, events, appended), (emitted) => complete(group, emitted))
        }, { discard: true })
      },
      // One task's bad event must not take the others with it.
      onFailure: () => each
    })
  }

  /** Numbers what is still wanted: from here on it will be written. */
  const numbered = (emits: ReadonlyArray<Emit>): ReadonlyArray<Group> => {
    const at = clock.currentTimeMillisUnsafe()
    const groups = new Map<Journal, Group>()
    for (const entry of emits) {
      if (entry.state === "withdrawn") continue
      entry.state = "taken"
      const { journal } = entry
      if (isRefused(journal, entry.byAgent)) {
        Deferred.doneUnsafe(entry.done, Exit.interrupt())
        continue
      }
      let group = groups.get(journal)
      if (group === undefined) groups.set(journal, group = { journal, emits: [], events: [] })
      group.emits.push(entry)
      for (const stored of journal.number(entry.events, at)) group.events.push(stored)
    }
    return [...groups.values()]
  }

  const done = Effect.sync(() => undisturbed.openUnsafe())

  /** By the fiber that emits: nobody else does. */
  const commitAlone = (
    journal: Journal,
    events: ReadonlyArray<Unnumbered>,
    byAgent: boolean
  ): Effect.Effect<number> => {
    const stored = journal.number(events, clock.currentTimeMillisUnsafe())
    undisturbed.closeUnsafe()
    const committed = Effect.ensuring(commitOne(journal, stored), done)
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
    yield* undisturbed.await
    if (waits) yield* Effect.interruptible(Effect.sleep(backend.commitWindow))
    const emits = drain(first)
    yield* commit(numbered(emits))
    crowded = emits.length > 1
    flushing = false
  })

  yield* Effect.forkScoped(Effect.forever(Effect.uninterruptible(flush)))
  return { emit: emitAs(false), emitByAgent: emitAs(true) } satisfies Writer
})

const nothing: Appended = { ok: true, intents: 0 }
const lost: Appended = { ok: false, intents: 0 }

const succeed = (journal: Journal): Emitted => Exit.succeed(journal.lastSeq)

const complete = (group: Group, emitted: Emitted): void => {
  for (const { done } of group.emits) Deferred.doneUnsafe(done, emitted)
}

/** The task is stopped first, so that an emit that ends by interruption finds its reason recorded. */
const lose = (journal: Journal, loss: "fenced" | "store"): Emitted => {
  journal.closed = true
  journal.owner.onLoss(loss)
  return Exit.interrupt()
}
