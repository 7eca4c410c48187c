/**
 * The services that all executions of a process share.
 */
import type { ConversationStore } from "@perennial/domain/ConversationStore"
import type { AgentId, TaskId } from "@perennial/domain/Ids"
import type { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskBackendError } from "@perennial/domain/TaskError"
import type { Effect, Scope } from "effect"
import type { TaskLimits } from "../../TaskLimits.ts"
import type { TaskReaders } from "../../TaskReaders.ts"
import type { GroupCommit } from "../log/groupCommit.ts"

export interface ExecutionHost {
  readonly backend: TaskBackend["Service"]
  readonly store: ConversationStore["Service"]
  readonly readers: TaskReaders["Service"]
  /** The agents of this process. */
  readonly agentIds: ReadonlyArray<AgentId>
  /** Reads the intents of a task, if the task is executed here. */
  readonly readIntents: (id: TaskId) => Effect.Effect<void, TaskBackendError>
  readonly commit: GroupCommit
  readonly limits: TaskLimits
  /** Owns fibers that may outlive one execution, such as a title that is still being made. */
  readonly scope: Scope.Scope
  /** The store's time, in milliseconds since 1970-01-01T00:00Z. */
  readonly now: () => number
  /** Called when a task was given back. */
  readonly onReleased: () => void
}
