/**
 * Group commit: one queue and one flusher fiber per process. What queued up during a commit goes into the next one, for
 * many tasks at once. Durable first, then the hub, then whoever waits (P5).
 */
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import { size, type StoredEvent } from "@perennial/domain/TaskEvent"
import { type Array as Arr, Clock, Deferred, Duration, Effect, Exit, Queue, Semaphore } from "effect"
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

  const isRefused = (journal: Journal, byAgent: boolean) => journal.closed || (byAgent && journal.sealed)

  const emitAs = (byAgent: boolean): Writer["emit"] => (journal, events) =>
    Effect.suspend(() => {
      if (isRefused(journal, byAgent)) return Effect.interrupt
      const sizes = events.map((event) => size(event))
      const refused = byAgent ? journal.refuse(sizes) : undefined
      if (refused !== undefined) return Effect.die(refused)
      const bytes = sizes.reduce((sum, n) => sum + n, 0)
      const entry: Emit = { journal, events, bytes, byAgent, done: Deferred.makeUnsafe(), state: "queued" }
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
      return bytes <= 1024 ? written : room.withPermits(Math.min(queueKib, Math.ceil(bytes / 1024)))(written)
    })

  /** After its commit: whatever happens here, happens to this task alone. */
  const settle = (group: Group, appended: Appended): Effect.Effect<void> =>
    Effect.suspend(() => {
      const { events, journal } = group
      if (!appended.ok) return lose(group, "fenced")
      return Effect.andThen(
        isNonEmpty(events) ? journal.publish(events) : Effect.void,
        Effect.suspend(() => {
          complete(group, Exit.succeed(journal.lastSeq))
          return journal.onIntents(appended.intents)
        })
      )
    }).pipe(
      Effect.catchCause((cause) =>
        Effect.andThen(Effect.logError("A task stops here as if crashed.", cause), lose(group, "store"))
      )
    )

  const commit = (groups: Arr.NonEmptyReadonlyArray<Group>): Effect.Effect<void> => {
    const batch = groups.flatMap(({ events, journal }) => isNonEmpty(events) ? [{ claim: journal.claim, events }] : [])
    if (!isNonEmpty(batch)) return Effect.forEach(groups, (group) => settle(group, nothing), { discard: true })
    return backend.append(batch).pipe(
      Effect.matchCauseEffect({
        onSuccess: (results) => {
          let next = 0
          return Effect.forEach(
            groups,
            (group) => settle(group, group.events.length === 0 ? nothing : results[next++] ?? lost),
            { discard: true }
          )
        },
        // Also defects: the flusher must outlive whatever a store does.
        onFailure: (cause) =>
          groups.length > 1
            // One task's bad event must not take the others with it.
            ? Effect.forEach(groups, (group) => commit([group]), { discard: true })
            : Effect.andThen(
              Effect.logError("The store refused a commit; its task stops here as if crashed.", cause),
              Effect.forEach(groups, (group) => lose(group, "store"), { discard: true })
            )
      })
    )
  }

  const take = Effect.gen(function*() {
    const first = yield* Queue.take(queue)
    if (waits) yield* Effect.sleep(backend.commitWindow)
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
  })

  const flush = Effect.gen(function*() {
    const emits = yield* Effect.interruptible(take)
    const at = yield* Clock.currentTimeMillis
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
    const all = [...groups.values()]
    if (isNonEmpty(all)) yield* commit(all)
  })

  yield* Effect.forkScoped(Effect.forever(Effect.uninterruptible(flush)))
  return { emit: emitAs(false), emitByAgent: emitAs(true) } satisfies Writer
})

const nothing: Appended = { ok: true, intents: 0 }
const lost: Appended = { ok: false, intents: 0 }

const complete = (group: Group, exit: Exit.Exit<number>): void => {
  for (const { done } of group.emits) Deferred.doneUnsafe(done, exit)
}

/** The task is stopped first, so that an emit that ends by interruption finds its reason recorded. */
const lose = (group: Group, loss: "fenced" | "store"): Effect.Effect<void> =>
  Effect.sync(() => {
    group.journal.closed = true
    group.journal.onLoss(loss)
    complete(group, Exit.interrupt())
  })
