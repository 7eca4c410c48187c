/**
 * The sweep of a cluster: one process submits the heads without an owner (P8). It runs as a singleton, once for each shard
 * group.
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
  /** Executes a head of another agent, which only has to be ended. */
  readonly end: (head: Head) => Effect.Effect<void>
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
    if (!(yield* lease.mayTakeOver)) return
    const heads = yield* backend.unowned({ limit: page, agentIds: options.agentIds, staleFor: limits.taskTimeout })
    const now = Math.floor(lease.now())
    const seen = new Map(heads.map((head) => [head.taskId, see(head, now)]))
    const due = heads.filter(({ taskId }) => seen.get(taskId) !== submitted.get(taskId))
    submitted = seen
    yield* Effect.forEach(
      due,
      (head) => options.agentIds.includes(head.agentId) ? options.submitAgain(head, now) : options.end(head),
      { discard: true }
    )
  })

  return yield* look.pipe(
    Effect.catchCause((cause) => Effect.logWarning("The sweep of the cluster failed; it is tried again.", cause)),
    Effect.andThen(
      Effect.flatMap(Random.nextBetween(0.8, 1.2), (jitter) => Effect.sleep(Duration.times(limits.sweep, jitter)))
    ),
    Effect.forever
  )
})
