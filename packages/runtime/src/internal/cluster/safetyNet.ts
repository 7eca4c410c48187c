/**
 * What saves a task that the cluster does not execute (P8): each process looks at the heads without an owner with every
 * heartbeat of its lease and after each hint about heads, and once more after it found any. A head that it saw without an owner twice
 * is executed here, whatever the cluster says about its shard. The claim decides between processes.
 *
 * It also takes tasks from runners without a free place, and tasks of agents that the runner of their shard does not have.
 */
import { Agents } from "@perennial/domain/Agent"
import { type Head, TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, type Latch, Random } from "effect"
import { Lease } from "../../Lease.ts"
import { CurrentTaskLimits } from "../../TaskLimits.ts"
import type { Executions } from "./executions.ts"

/** The most heads that one query reads. */
const page = 1_000

/** The time that the cluster has to execute a head that was found: longer than that of the sweep, and within two seconds (P8). */
const chance = Duration.seconds(1)

const keyOf = ({ taskId, token }: Head): string => `${token} ${taskId}`

/** Hints open `hinted`: a task that was handed over must not wait for the next heartbeat. */
export const make = Effect.fnUntraced(function*({ capacity, execute }: Executions, hinted: Latch.Latch) {
  const agents = yield* Agents
  const backend = yield* TaskBackend
  const lease = yield* Lease
  const limits = yield* CurrentTaskLimits
  let seen = new Set<string>()

  /** Whether heads were found that the look before did not see. */
  const look = Effect.gen(function*() {
    hinted.closeUnsafe()
    if (capacity.free === 0 || !(yield* lease.mayTakeOver)) return false
    const heads = yield* backend.unowned({ limit: page, agentIds: agents.ids, staleFor: limits.taskTimeout })
    const before = seen
    seen = new Set(heads.map(keyOf))
    yield* Effect.forEach(heads.filter((head) => before.has(keyOf(head))), execute, { discard: true })
    return heads.some((head) => !before.has(keyOf(head)))
  })

  const pause = (found: boolean) =>
    found
      ? Effect.sleep(Duration.min(chance, limits.heartbeat))
      : Effect.flatMap(
        Random.nextBetween(0.8, 1.2),
        (jitter) => Effect.timeoutOption(hinted.await, Duration.times(limits.heartbeat, jitter))
      )
  return yield* pause(false).pipe(
    Effect.andThen(Effect.forever(
      look.pipe(
        Effect.catchCause((cause) =>
          Effect.as(Effect.logWarning("Heads without an owner were not found; it is tried again.", cause), false)
        ),
        Effect.flatMap(pause)
      )
    ))
  )
})
