/**
 * A task that this process owns and executes.
 */
import type { TaskContext } from "@perennial/domain/CurrentTask"
import type { Claim } from "@perennial/domain/TaskBackend"
import type { Duration } from "effect"
import type { TaskPlace } from "../../TaskPlace.ts"
import type { Publisher } from "../../TaskReaders.ts"
import type { OwnedLog } from "../log/ownedLog.ts"
import type { Intents } from "./intents.ts"
import type { OwnedChildTasks } from "./ownedChildTasks.ts"
import type { StopSignal } from "./stopSignal.ts"
import type { Attempt } from "./storeFailures.ts"

export interface OwnedTask {
  readonly claim: Claim
  /** The task as tools and hooks see it. */
  readonly context: TaskContext
  readonly stop: StopSignal
  readonly intents: Intents
  readonly log: OwnedLog
  readonly attempt: Attempt
  readonly place: TaskPlace
  readonly publisher: Publisher
  readonly children: OwnedChildTasks
  /** How long the task may take from its first claim. */
  readonly timeout: Duration.Duration
}
