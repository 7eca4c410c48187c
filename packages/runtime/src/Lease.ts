/**
 * The lease of this process in the store. It makes claims, and decides what this process may still do.
 *
 * A runner renews its lease every few seconds. Each renewal returns the tasks that the runner owns according to the store.
 * The lease compares them with the executions of this process: a task that another runner owns stops here as fenced, and a
 * claim without an execution is released (P8, P9). If the lease is not renewed in time, every task stops here, because other
 * processes may own the tasks by then.
 *
 * @since 0.1.0
 */
import { Agents } from "@perennial/domain/Agent"
import { ClaimId, NewId, RunnerId, type TaskId } from "@perennial/domain/Ids"
import { NotReady } from "@perennial/domain/Readiness"
import type { RunnerAbout } from "@perennial/domain/Runner"
import { RunnerName } from "@perennial/domain/RunnerName"
import { type Claim, type Fence, type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import { TaskBackendError } from "@perennial/domain/TaskError"
import { version } from "@perennial/domain/Version"
import { Clock, Context, Duration, Effect, FiberMap, Layer, Option, Predicate, Schedule } from "effect"
import { Strays } from "./internal/task/strays.ts"
import { CurrentTaskLimits } from "./TaskLimits.ts"

/**
 * The execution that holds a claim, as the lease sees it.
 *
 * @since 0.1.0
 * @category models
 */
export interface ClaimHolder {
  /** The claim is lost, or may be lost: this process may not write any more. Called at most once for a claim. */
  readonly onFenced: () => void
  /** How many intents of the task are applied here. */
  readonly appliedIntents: () => number
  /** Reads the intents of the task and applies them. */
  readonly readIntents: Effect.Effect<void, TaskBackendError>
}

/**
 * @since 0.1.0
 * @category services
 */
export class Lease extends Context.Service<Lease, {
  /** A new id at every start of a process. It begins with the `RunnerName` of the process. */
  readonly runnerId: RunnerId

  /**
   * Claims a head for this runner. None if another runner owns the task, or if the task was claimed since the head was read.
   * Until `forget`, the holder gets a call when the claim is lost.
   */
  readonly claim: (head: Head, holder: ClaimHolder) => Effect.Effect<Option.Option<Claim>, TaskBackendError>

  /**
   * Ends the responsibility of the holder. If it has not given its claim back, the next renewal releases the claim. A task that
   * the store gives to this runner again and again without an answer that can be read ends with an error (P8).
   */
  readonly forget: (holder: ClaimHolder) => void

  /**
   * Whether this process may take over tasks from owners that seem dead. It may not while its own lease is in doubt, and not
   * until a third of a lease later: after an outage of the store, live owners need time to renew their leases.
   */
  readonly mayTakeOver: Effect.Effect<boolean>

  /**
   * The store's time, in milliseconds since 1970-01-01T00:00Z: the time of its last answer, and the duration since. Events
   * have this time, and waits until a stored time use it, so that the clocks of processes may differ.
   */
  readonly now: () => number

  /** What an engine says of this process with each renewal, for operators. The last engine counts. */
  readonly describe: (placement: () => Pick<RunnerAbout, "shards" | "queued">) => void

  /**
   * Fails while the store does not accept the renewals of the lease: the last one failed, or has had no answer for two
   * heartbeats. A renewal is a write, so that this says whether the store accepts writes, without a write of its own.
   */
  readonly renewed: Effect.Effect<void, NotReady>
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

/** If the clock of this process differs by more than this from the store's clock, a warning is logged. */
const maxSkewMillis = 5_000

/** The first of many ids. */
const some = (ids: ReadonlyArray<TaskId>): string => ids.slice(0, 10).join(", ") + (ids.length > 10 ? ", ..." : "")

const notAClaim = () => new TaskBackendError({ operation: "claim", cause: "The answer is not a claim of the task." })

/** Whether a store, which may be written without types, answered with a claim that can be executed or ended. */
const isClaimOf = (head: Head, claim: Claim): boolean =>
  claim.taskId === head.taskId && [claim.token, claim.lastSeq, claim.now].every(Number.isFinite) &&
  Array.isArray(claim.input.content) && Predicate.isObject(claim.spec)

/** The id is unique without the name, which is for people. */
const runnerIdOf = (name: string, id: string): RunnerId =>
  RunnerId.make(name === "" ? id : `${name.replace(/[^\w.-]/g, "-").slice(0, 100)}-${id}`)

const make = Effect.gen(function*() {
  const backend = yield* TaskBackend
  const clock = yield* Clock.Clock
  const newId = yield* NewId
  const { capacity, failures, heartbeat, leaseTtl } = yield* CurrentTaskLimits
  const agents = yield* Effect.serviceOption(Agents)
  let placement: () => Pick<RunnerAbout, "shards" | "queued"> = () => ({})
  const about = {
    version,
    capacity,
    agents: Option.match(agents, { onNone: () => [], onSome: ({ ids }) => ids.slice(0, 100) })
  }
  const runnerId = runnerIdOf(yield* RunnerName, yield* newId)
  const ttl = Duration.toMillis(leaseTtl)
  // Durations are measured with the monotonic clock, so that a step of the wall clock changes no lease.
  const now = () => Number(clock.monotonicTimeNanosUnsafe() / 1_000_000n)
  const held = new Map<ClaimHolder, Held>()
  let renewedAt = now()
  let failing = false
  let takeOverFrom = 0

  /** The store's time minus the monotonic clock, from the last answer of the store. */
  let offset = 0
  const setStoreTime = (storeNow: number) => {
    offset = storeNow - now()
  }
  let skewed = false
  /** The store has read its clock between the request and its answer: how long the answer takes is no skew. */
  const checkClock = ({ now: storeNow, requestedAt }: { readonly now: number; readonly requestedAt: number }) =>
    Effect.suspend(() => {
      const ahead = requestedAt - storeNow
      const behind = storeNow - clock.currentTimeMillisUnsafe()
      const skew = Math.max(ahead, behind)
      const before = skewed
      skewed = skew > maxSkewMillis
      return !skewed || before ? Effect.void : Effect.logWarning(
        `The clock of this process is ${Duration.format(Duration.millis(skew))} ${
          ahead > behind ? "ahead of" : "behind"
        } the store's clock. The store's clock decides; set the clock of this machine.`
      )
    })

  /** Renews the lease. A store may be written without types. */
  const beat = Effect.filterOrFail(
    Effect.suspend(() => {
      const requestedAt = clock.currentTimeMillisUnsafe()
      return Effect.map(
        backend.heartbeat(runnerId, leaseTtl, { ...about, ...placement() }),
        (answer) => ({ ...answer, requestedAt })
      )
    }),
    ({ now, owned }) => Number.isFinite(now) && Array.isArray(owned),
    () => new TaskBackendError({ operation: "heartbeat", cause: "The answer has no time, or no list of tasks." })
  )

  const first = yield* beat
  setStoreTime(first.now)
  yield* checkClock(first)
  yield* Effect.logDebug(`This process is the runner ${runnerId} in the store.`)
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

  const strays = new Strays({ backend, now: () => offset + now(), most: failures })

  const care = yield* FiberMap.make<TaskId>()
  /** A failure with one task, or a slow answer about it, must not affect the other tasks, nor delay the next renewal. */
  const lookAfter = (id: TaskId, self: Effect.Effect<void, { readonly _tag: string }>) =>
    Effect.asVoid(FiberMap.run(
      care,
      id,
      Effect.catchCause(
        self,
        (cause) => Effect.logWarning(`Task ${id} could not be looked after; it is tried again.`, cause)
      ),
      { onlyIfMissing: true }
    ))

  /** Compares one claim of this process with its row in the store. */
  const reconcile = (
    [holder, one]: readonly [ClaimHolder, Held],
    row: (Fence & { readonly intents: number }) | undefined
  ): Effect.Effect<void> => {
    if (!held.has(holder)) return Effect.void
    if (row === undefined || row.token !== one.token) return Effect.sync(() => fence(holder, one))
    return row.intents > holder.appliedIntents() ? lookAfter(one.taskId, holder.readIntents) : Effect.void
  }

  const renew = Effect.gen(function*() {
    // The answer may lack claims that are made from now on.
    const before = [...held].filter(([, { token }]) => token !== undefined)
    const asked = now()
    const answer = yield* beat
    setStoreTime(answer.now)
    yield* checkClock(answer)
    if (asked - renewedAt > ttl) takeOverFrom = now() + ttl / 3
    // The new lease begins at the request or later.
    renewedAt = asked
    failing = false
    const rows = new Map(answer.owned.map((row) => [row.taskId, row]))
    yield* Effect.forEach(before, (claimed) => reconcile(claimed, rows.get(claimed[1].taskId)), { discard: true })
    const here = new Set([...before, ...held].map(([, { taskId }]) => taskId))
    yield* Effect.forEach(
      answer.owned,
      (row) => here.has(row.taskId) ? Effect.void : lookAfter(row.taskId, strays.giveBack(row)),
      { discard: true }
    )
  })

  /** Without a lease this process does not know whether its tasks have other owners (P9, P10): it stops them. */
  const lapse = Effect.suspend(() => {
    if (now() - renewedAt < ttl) return Effect.void
    const lost = [...held].filter(([, { fenced, token }]) => token !== undefined && !fenced)
    for (const [holder, one] of lost) fence(holder, one)
    return lost.length === 0 ? Effect.void : Effect.logWarning(
      `The lease has run out: ${lost.length} tasks stop here: ${some(lost.map(([, { taskId }]) => taskId))}.`
    )
  })

  // The request ends with the lease, even if the store never answers. After that, each request gets the length of a lease.
  const patience = () => Math.max(0, renewedAt + ttl - now()) || ttl
  yield* Effect.suspend(() => Effect.timeout(renew, patience())).pipe(
    Effect.catchCause((cause) => {
      failing = true
      return Effect.andThen(Effect.logWarning("The lease could not be renewed.", cause), lapse)
    }),
    Effect.repeat(Schedule.spaced(heartbeat)),
    Effect.delay(heartbeat),
    Effect.forkScoped
  )

  const overdue = 2 * Duration.toMillis(heartbeat)
  const renewed = Effect.suspend(() => {
    const age = now() - renewedAt
    if (!failing && age <= overdue) return Effect.void
    const since = Duration.format(Duration.seconds(Math.ceil(age / 1_000)))
    return Effect.fail(new NotReady({ problem: `The store is not ready: it has not accepted a write for ${since}.` }))
  })

  const claim: Lease["Service"]["claim"] = (head, holder) =>
    Effect.suspend(() => {
      const one: Held = { taskId: head.taskId, token: undefined, fenced: false }
      held.set(holder, one)
      // A new id for each use: a claim that was given up is not won again by a stale head.
      return newId.pipe(
        Effect.flatMap((id) =>
          backend.claim(head.taskId, { runnerId, claimId: ClaimId.make(id), expectedToken: head.token })
        ),
        Effect.tap((claim) => {
          if (Option.isNone(claim)) return Effect.sync(() => strays.claimed(head))
          if (!isClaimOf(head, claim.value)) return Effect.fail(notAClaim())
          return Effect.sync(() => {
            strays.claimed(head)
            one.token = claim.value.token
            setStoreTime(claim.value.now)
          })
        }),
        Effect.onError(() => Effect.sync(() => strays.claimFailed(head)))
      )
    })

  return Lease.of({
    runnerId,
    describe: (described) => {
      placement = described
    },
    claim,
    forget: (holder) => {
      held.delete(holder)
    },
    now: () => offset + now(),
    renewed,
    mayTakeOver: Effect.sync(() => now() >= takeOverFrom && now() - renewedAt <= ttl)
  })
})
