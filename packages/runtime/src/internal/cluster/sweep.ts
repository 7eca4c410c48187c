/**
 * The sweep of a cluster: one process submits the heads without an owner, and executes those that the cluster does not (P8). It
 * runs as a singleton, once for each shard group.
 */
import type { AgentId, TaskId } from "@perennial/domain/Ids"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Random } from "effect"
import { Lease } from "../../Lease.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"

/** The most heads that one query reads. */
const page = 1_000

/** Until a head that still has no owner is submitted again: at first, and at most. */
const firstDelayMillis = 2_000
const longestDelayMillis = 60_000

/** The time that the cluster has to execute a head that was submitted again; within two seconds after a lease (P8). */
const chance = Duration.millis(700)

interface Submitted {
  readonly token: number
  readonly delayMillis: number
  readonly dueAt: number
}

export const make = Effect.fnUntraced(function*(options: {
  /** The agents of the group that this process has. */
  readonly agentIds: ReadonlyArray<AgentId>
  /** Submits a head with a new key, so that an earlier message of the task does not hide it. */
  readonly submitAgain: (head: Head, n: number) => Effect.Effect<void>
  /** Executes a head in this process, if there is a place. */
  readonly execute: (head: Head) => Effect.Effect<void>
}) {
  const backend = yield* TaskBackend
  const lease = yield* Lease
  const limits = yield* CurrentTaskLimits
  let submitted = new Map<TaskId, Submitted>()

  /** What is known of a head after this look. A head that waits for a place is submitted less and less often. */
  const see = (head: Head, now: number): Submitted => {
    const known = submitted.get(head.taskId)
    if (known?.token === head.token && now < known.dueAt) return known
    const delayMillis = known?.token === head.token
      ? Math.min(2 * known.delayMillis, longestDelayMillis)
      : firstDelayMillis
    return { token: head.token, delayMillis, dueAt: now + delayMillis }
  }

  const look = Effect.gen(function*() {
    if (!(yield* lease.mayTakeOver)) return false
    const heads = yield* backend.unowned({ limit: page, agentIds: options.agentIds, staleFor: limits.taskTimeout })
    const now = Math.floor(lease.now())
    const seen = new Map(heads.map((head) => [head.taskId, see(head, now)]))
    const before = submitted
    submitted = seen
    let fresh = false
    for (const head of heads) {
      const known = before.get(head.taskId)
      const isFresh = known?.token !== head.token
      fresh ||= isFresh
      // Heads of other agents come only if they have to be ended.
      const isOurs = options.agentIds.includes(head.agentId)
      if (isOurs && known !== seen.get(head.taskId)) yield* options.submitAgain(head, now)
      // The cluster had its chance.
      if (!isOurs || !isFresh) yield* options.execute(head)
    }
    return fresh
  })

  const pause = (fresh: boolean) =>
    fresh
      ? Effect.sleep(Duration.min(chance, limits.sweep))
      : Effect.flatMap(Random.nextBetween(0.8, 1.2), (jitter) => Effect.sleep(Duration.times(limits.sweep, jitter)))
  return yield* look.pipe(
    Effect.catchCause((cause) =>
      Effect.as(Effect.logWarning("The sweep of the cluster failed; it is tried again.", cause), false)
    ),
    Effect.flatMap(pause),
    Effect.forever
  )
})
