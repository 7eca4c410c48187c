/**
 * What saves a task that the cluster does not execute (P8): each process looks at the heads without an owner with every
 * heartbeat of its lease, and after each hint about heads. A head that has been without an owner for a second is executed here,
 * whatever the cluster says about its shard. The claim decides between processes.
 *
 * A head that another process gave back because it ends is executed at once: the cluster moves shards in rounds of a second. A
 * head that moves with its shard has no hint.
 *
 * It also takes tasks from runners without a free place, and tasks of agents that the runner of their shard does not have.
 */
import { Agents } from "@perennial/domain/Agent"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Random } from "effect"
import { Lease } from "../../Lease.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import type { Executions } from "./executions.ts"
import type { ReleasedHeads } from "./releasedHeads.ts"

/** The most heads that one query reads. */
const page = 1_000

/** The time that the cluster has to execute a head that was found: longer than that of the sweep, and within two seconds (P8). */
const chance = Duration.seconds(1)

/** A timer may be early, and the time of the store is an estimate. */
const inexact = Duration.millis(50)

const keyOf = ({ taskId, token }: Head): string => `${token} ${taskId}`

export const make = Effect.fnUntraced(function*({ capacity, execute }: Executions, released: ReleasedHeads) {
  const agents = yield* Agents
  const backend = yield* TaskBackend
  const lease = yield* Lease
  const limits = yield* CurrentTaskLimits
  /** Since when each head has been seen without an owner. */
  let seen = new Map<string, number>()

  /** Whether heads were found that the cluster may still execute. */
  const look = Effect.gen(function*() {
    const ids = released.take()
    if (capacity.free === 0 || !(yield* lease.mayTakeOver)) return false
    const heads = yield* backend.unowned({ limit: page, agentIds: agents.ids, staleFor: limits.taskTimeout })
    const now = lease.now()
    const before = seen
    seen = new Map(heads.map((head) => [keyOf(head), before.get(keyOf(head)) ?? now]))
    // A head that was never claimed is the cluster's to place.
    const due = heads.filter((head) =>
      (ids.has(head.taskId) && head.token > 0)
      || now - (before.get(keyOf(head)) ?? now) >= Duration.toMillis(Duration.subtract(chance, inexact))
    )
    yield* Effect.forEach(due, execute, { discard: true })
    return due.length < heads.length
  })

  const untilNextLook = (soon: boolean) =>
    Effect.flatMap(Random.nextBetween(0.8, 1.2), (jitter) =>
      Effect.timeoutOption(
        released.hinted,
        soon ? Duration.min(chance, limits.heartbeat) : Duration.times(limits.heartbeat, jitter)
      ))
  return yield* untilNextLook(false).pipe(
    Effect.andThen(Effect.forever(
      look.pipe(
        Effect.catchCause((cause) =>
          Effect.as(Effect.logWarning("Heads without an owner were not found; it is tried again.", cause), false)
        ),
        Effect.flatMap(untilNextLook)
      )
    ))
  )
})
