/**
 * The lease of this process: the sign of life that its store believes in, and what the process may still do because of it.
 *
 * A runner renews its lease every few seconds. Each renewal returns what the runner owns according to the store, and the
 * lease reconciles both views: a task that somebody else owns stops here as fenced, and a claim that nobody here answers
 * for is released (P8, P9). When the lease cannot be renewed in time, every task stops here: other processes may own them
 * by then.
 *
 * @since 0.1.0
 */
import { ClaimId, NewId, RunnerId, type TaskId } from "@perennial/domain/Ids"
import { type Claim, type Fence, type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import { type Cause, Clock, Context, Duration, Effect, Layer, Option, Schedule } from "effect"
import { CurrentTaskLimits } from "./TaskLimits.ts"

/**
 * What the lease asks of the execution that holds a claim.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClaimHolder {
  /** The claim is lost, or may be: nothing may be written any more. Called at most once for a lost claim. */
  readonly onFenced: () => void
  /** The store holds so many intents for the task. Reads them if there are new ones. */
  readonly onIntents: (recorded: number) => Effect.Effect<void, TaskBackendError>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Lease extends Context.Service<Lease, {
  /** A new id at every start of a process. */
  readonly runnerId: RunnerId

  /**
   * Claims a head for this runner; none if another runner owns it, or somebody has claimed it since it was seen. The
   * holder hears when the claim is lost, until `forget`.
   */
  readonly claim: (head: Head, holder: ClaimHolder) => Effect.Effect<Option.Option<Claim>, TaskBackendError>

  /** The holder answers for no claim any more. A claim that it has not given back by then is released. */
  readonly forget: (holder: ClaimHolder) => void

  /**
   * Whether this process may take tasks over from owners that seem dead. Not while its own lease is in doubt, and not
   * within a third of a lease after it was: after an outage of the store live owners need time to renew theirs.
   */
  readonly mayTakeOver: Effect.Effect<boolean>

  /**
   * The store's time, in milliseconds since 1970-01-01T00:00Z: its last answer and what has passed since. Events are
   * stamped with it, and waits that end at a stored time are measured by it, so that the clocks of processes may differ.
   */
  readonly now: () => number
}>()("@perennial/runtime/Lease") {
  /** The lease of this process. It ends when the scope closes. */
  static readonly layer: Layer.Layer<Lease, TaskBackendError, TaskBackend> = Layer.effect(
    Lease,
    Effect.suspend(() => make)
  )
}

/** One claim of this process. It is registered before the claim is made, so that no renewal releases a claim on its way. */
interface Held {
  readonly taskId: TaskId
  token: number | undefined
  fenced: boolean
}

/** A process whose clock differs by more from the store's says so. */
const maxSkewMillis = 5_000

const make = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const clock = yield* Clock.Clock
  const newId = yield* NewId
  const { heartbeat, leaseTtl } = yield* CurrentTaskLimits
  const runnerId = RunnerId.make(yield* newId)
  const ttl = Duration.toMillis(leaseTtl)
  // Durations are measured monotonically: a step of the wall clock changes no lease.
  const now = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  const held = new Map<ClaimHolder, Held>()
  let renewedAt = now()
  let takeOverFrom = 0

  /** What the last answer of the store adds to the monotonic clock to make the store's time. */
  let offset = 0
  const setStoreTime = (storeNow: number) => {
    offset = storeNow - now()
  }
  let skewed = false
  const checkClock = (storeNow: number) =>
    Effect.suspend(() => {
      const skew = clock.currentTimeMillisUnsafe() - storeNow
      const before = skewed
      skewed = Math.abs(skew) > maxSkewMillis
      return !skewed || before ? Effect.void : Effect.logWarning(
        `The clock of this process is ${Duration.format(Duration.millis(Math.abs(skew)))} ${
          skew > 0 ? "ahead of" : "behind"
        } the store's clock. The store's clock decides; set the clock of this machine.`
      )
    })

  const first = yield* backend.heartbeat(runnerId, leaseTtl)
  setStoreTime(first.now)
  yield* checkClock(first.now)
  yield* Effect.addFinalizer(() =>
    backend.heartbeat(runnerId, Duration.zero).pipe(
      Effect.timeout(heartbeat),
      Effect.ignore({ log: "Warn", message: "The lease could not be ended." })
    )
  )

  const fence = (holder: ClaimHolder, one: Held) => {
    if (one.fenced) return
    one.fenced = true
    holder.onFenced()
  }

  /** Trouble with one task must not keep the others from being looked after. */
  const alone = Effect.catchCause((cause: Cause.Cause<TaskBackendError>) =>
    Effect.logWarning("A task could not be looked after; it is tried again.", cause)
  )

  /** Compares one claim of this process with its row in the store. */
  const reconcile = (
    [holder, one]: readonly [ClaimHolder, Held],
    row: (Fence & { readonly intents: number }) | undefined
  ): Effect.Effect<void> => {
    if (!held.has(holder)) return Effect.void
    if (row?.token !== one.token) return Effect.sync(() => fence(holder, one))
    return row === undefined ? Effect.void : alone(holder.onIntents(row.intents))
  }

  const renew = Effect.gen(function*() {
    // A claim that is made from now on may be missing from the answer.
    const before = [...held].filter(([, { token }]) => token !== undefined)
    const asked = now()
    const { now: storeNow, owned } = yield* backend.heartbeat(runnerId, leaseTtl)
    setStoreTime(storeNow)
    yield* checkClock(storeNow)
    if (asked - renewedAt > ttl) takeOverFrom = now() + ttl / 3
    // The store counts from when it was asked, at the earliest.
    renewedAt = asked
    const rows = new Map(owned.map((row) => [row.taskId, row]))
    yield* Effect.forEach(before, (claimed) => reconcile(claimed, rows.get(claimed[1].taskId)), { discard: true })
    const here = new Set([...before, ...held].map(([, { taskId }]) => taskId))
    yield* Effect.forEach(owned, (row) => here.has(row.taskId) ? Effect.void : alone(backend.release(row)), {
      discard: true
    })
  })

  /** Without a lease this process cannot know any more whether its tasks have other owners (P9, P10). */
  const lapse = Effect.suspend(() => {
    if (now() - renewedAt < ttl) return Effect.void
    const lost = [...held].filter(([, { fenced, token }]) => token !== undefined && !fenced)
    for (const [holder, one] of lost) fence(holder, one)
    return lost.length === 0 ? Effect.void : Effect.logWarning(`The lease has run out: ${lost.length} tasks stop here.`)
  })

  // A store that never answers must not outlast the lease. Once the lease has run out, the store is asked as often again.
  const patience = () => Math.max(0, renewedAt + ttl - now()) || ttl
  yield* Effect.suspend(() => Effect.timeout(renew, patience())).pipe(
    Effect.catchCause((cause) => Effect.andThen(Effect.logWarning("The lease could not be renewed.", cause), lapse)),
    Effect.repeat(Schedule.spaced(heartbeat)),
    Effect.delay(heartbeat),
    Effect.forkScoped
  )

  const claim: Lease["Service"]["claim"] = (head, holder) =>
    Effect.suspend(() => {
      const one: Held = { taskId: head.taskId, token: undefined, fenced: false }
      held.set(holder, one)
      // A new id for each use: a claim that was given up is not won again by a stale head.
      return newId.pipe(
        Effect.flatMap((id) =>
          backend.claim(head.taskId, { runnerId, claimId: ClaimId.make(id), expectedToken: head.token })
        ),
        Effect.tap(Option.match({
          onNone: () => Effect.void,
          onSome: ({ now, token }) =>
            Effect.sync(() => {
              one.token = token
              setStoreTime(now)
            })
        }))
      )
    })

  return Lease.of({
    runnerId,
    claim,
    forget: (holder) => {
      held.delete(holder)
    },
    now: () => offset + now(),
    mayTakeOver: Effect.sync(() => now() >= takeOverFrom && now() - renewedAt <= ttl)
  })
})
