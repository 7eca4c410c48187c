/**
 * Tasks that this runner owns according to the store, and that this process does not execute: the answer to a claim was lost
 * or could not be read, or a task could not be released.
 *
 * Such a task is released, so that any process claims it again. If its claims fail every time after the store has recorded
 * them, it would be claimed for ever: after some times it ends with an error (P8).
 */
import type { TaskId } from "@perennial/domain/Ids"
import type { Fence, Head, TaskBackend } from "@perennial/domain/TaskBackend"
import type { LeaseLost, TaskBackendError, TaskNotFound } from "@perennial/domain/TaskError"
import type { OfType } from "@perennial/domain/TaskEvent"
import { Effect } from "effect"

/** The number of tasks that are remembered. The oldest are forgotten first. */
const maxTasks = 10_000

/** A task that could not be released is whole. It ends only if the store refuses to release it for half a minute or more. */
const maxReleases = 10

interface Suspect {
  /** The head whose claim failed. Undefined if the task could not be released. */
  readonly head: Head | undefined
  /** How often the task was found without an execution. */
  readonly times: number
}

export class Strays {
  readonly #backend: TaskBackend["Service"]
  readonly #now: () => number
  readonly #most: number
  /** Tasks whose last claim failed, or that could not be released. */
  readonly #suspects = new Map<TaskId, Suspect>()

  /** `now` is the store's time. A suspect whose claims failed is ended when it is found more often than `most`. */
  constructor(options: {
    readonly backend: TaskBackend["Service"]
    readonly now: () => number
    readonly most: number
  }) {
    this.#backend = options.backend
    this.#now = options.now
    this.#most = options.most
  }

  /** The store answered a claim of a task. */
  claimed({ taskId }: Head): void {
    this.#suspects.delete(taskId)
  }

  /** A claim failed. The store may have recorded it. */
  claimFailed(head: Head): void {
    this.#suspect(head.taskId, { head, times: this.#suspects.get(head.taskId)?.times ?? 0 })
  }

  /** Releases a task that this process does not execute, or ends it. */
  giveBack(fence: Fence): Effect.Effect<void, TaskBackendError | TaskNotFound | LeaseLost> {
    return Effect.suspend(() => {
      const { taskId } = fence
      const suspect = this.#suspects.get(taskId)
      if (suspect !== undefined) this.#suspect(taskId, { ...suspect, times: suspect.times + 1 })
      const most = suspect?.head === undefined ? maxReleases : this.#most
      if (suspect !== undefined && suspect.times >= most) return this.#end(fence, suspect.head)
      return Effect.onError(this.#backend.release(fence, { reason: "storeFailure" }), () =>
        Effect.sync(() => {
          if (suspect === undefined) this.#suspect(taskId, { head: undefined, times: 0 })
        }))
    })
  }

  #suspect(id: TaskId, suspect: Suspect): void {
    this.#suspects.delete(id)
    this.#suspects.set(id, suspect)
    for (const oldest of this.#suspects.keys()) if (this.#suspects.size > maxTasks) this.#suspects.delete(oldest)
  }

  #end({ taskId, token }: Fence, head: Head | undefined) {
    const backend = this.#backend
    const why = head === undefined
      ? { error: "CrashLoop", detail: "The task was given up, and the store did not release it." }
      : { error: "TaskUnreadable", detail: "The store has the task, but it cannot be read." }
    const suspects = this.#suspects
    const now = this.#now
    return Effect.gen(function*() {
      const { conversationId } = head ?? (yield* backend.get(taskId))
      const [log] = yield* backend.lastSeqs([taskId])
      const event: OfType<"error"> = { type: "error", taskId, conversationId, ...why, retryable: false }
      // A sweep finds the next task of the conversation.
      if (log !== undefined) yield* backend.finish({ taskId, token }, [{ seq: log.lastSeq + 1, at: now(), event }])
      suspects.delete(taskId)
    })
  }
}
