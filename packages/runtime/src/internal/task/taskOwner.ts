/**
 * One execution of a task, as its lease and its log see it. They report a lost claim and new intents to it.
 */
import type { TaskId } from "@perennial/domain/Ids"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import { Effect } from "effect"
import type { ClaimHolder } from "../../Lease.ts"
import type { LogOwner, LossReason } from "../log/ownedLog.ts"
import type { ExecutionHost } from "./executionHost.ts"
import { Intents } from "./intents.ts"
import type { OwnedTask } from "./ownedTask.ts"
import { StopSignal } from "./stopSignal.ts"

export class TaskOwner implements ClaimHolder, LogOwner {
  readonly taskId: TaskId
  readonly stop = new StopSignal()
  readonly intents = new Intents(this.stop)
  /** The owned task, after a successful claim. */
  owned: OwnedTask | undefined
  readonly #host: ExecutionHost

  constructor(host: ExecutionHost, taskId: TaskId) {
    this.#host = host
    this.taskId = taskId
  }

  /** Reads the intents of the task. */
  get readIntents(): Effect.Effect<void, TaskBackendError> {
    return Effect.map(this.#host.backend.intents(this.taskId), (recorded) => this.intents.apply(recorded))
  }

  onFenced(): void {
    this.stop.stop("fenced")
  }

  onLoss(reason: LossReason): void {
    this.stop.stop(reason)
  }

  appliedIntents(): number {
    return this.intents.applied
  }

  /** Reads in a fiber of its own, because the commit, which has events of other tasks, must not wait. */
  onIntentsReported(recorded: number): Effect.Effect<void> {
    return this.intents.isNews(recorded)
      ? Effect.asVoid(Effect.forkIn(Effect.ignore(this.readIntents, { log: "Warn" }), this.#host.scope))
      : Effect.void
  }
}
