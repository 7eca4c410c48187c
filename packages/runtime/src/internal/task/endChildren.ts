/**
 * Ends the child tasks of a task that is about to end, so that none of them works on for nobody (P7).
 */
import { tasksBelow } from "@perennial/domain/Ids"
import { cancelKey, endKey } from "@perennial/domain/Intent"
import { isTerminal, type Task } from "@perennial/domain/Task"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import { Effect, Stream } from "effect"
import type { ExecutionHost } from "./executionHost.ts"
import type { OwnedTask } from "./ownedTask.ts"

/** Tasks in one query. */
const pageSize = 100

/** Why a child task is cancelled. */
export const parentEnded = "The task that started this task has ended."

const cancelTask = Effect.fnUntraced(function*(host: ExecutionHost, owned: OwnedTask, { id }: Task) {
  const { backend, readIntents, readers } = host
  const { task, written } = yield* backend.putIntent(id, { key: cancelKey, value: { reason: parentEnded } })
  if (written) yield* readers.tasksChanged(owned.claim.userId)
  // A task that had not begun has ended by this.
  yield* isTerminal(task.status) ? readers.logGrew(id) : Effect.ignore(readIntents(id), { log: "Warn" })
}, Effect.catchTag("TaskNotFound", () => Effect.void))

/** All active tasks below a task. */
const activeBelow = Effect.fnUntraced(function*({ backend }: ExecutionHost, { claim }: OwnedTask) {
  const { after, before } = tasksBelow(claim.taskId)
  const active: Array<Task> = []
  for (let from = before;;) {
    const page = yield* backend.list({
      userId: claim.userId,
      status: ["queued", "running"],
      after,
      before: from,
      limit: pageSize
    })
    active.push(...page)
    const last = page.at(-1)
    if (last === undefined || page.length < pageSize) return active
    from = last.id
  }
})

/**
 * A child may have been named whose start is still on its way to the store, also from an earlier owner. It is not found now, and
 * must not begin later: the end of this attempt is recorded before children are looked for.
 */
const recordEnd = ({ backend }: ExecutionHost, { claim, log }: OwnedTask): Effect.Effect<void, TaskBackendError> =>
  log.mayStartChildren
    ? backend.putIntent(claim.taskId, { key: endKey(claim.attempt), value: {} }).pipe(
      Effect.asVoid,
      // The task was deleted: no child of it begins.
      Effect.catchTag("TaskNotFound", () => Effect.void)
    )
    : Effect.void

/**
 * Records a cancel for every active task below this one, and then waits for their ends, for at most `TaskLimits.cancelGrace`.
 * The cancels are durable before the task ends: whatever process owns a child, or takes it up, ends it.
 */
export const endChildren = (host: ExecutionHost, owned: OwnedTask): Effect.Effect<void, TaskBackendError> =>
  owned.log.mayHaveChildren
    ? Effect.gen(function*() {
      yield* recordEnd(host, owned)
      const active = yield* activeBelow(host, owned)
      yield* Effect.forEach(active, (task) => cancelTask(host, owned, task), { concurrency: 16, discard: true })
      const ended = Effect.forEach(
        active,
        ({ id, lastSeq }) => Effect.ignore(Stream.runDrain(host.readers.read(id, lastSeq))),
        { discard: true }
      )
      yield* Effect.timeoutOption(Effect.interruptible(ended), host.limits.cancelGrace)
    })
    : Effect.void
