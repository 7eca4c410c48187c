/**
 * Lists of tasks in A2A: which tasks a request means, and how many there are.
 *
 * @since 0.1.0
 */
import type { AgentId } from "@perennial/domain/Ids"
import { ConversationId, TaskId } from "@perennial/domain/Ids"
import type { Task, TaskCounts, TaskStatus } from "@perennial/domain/Task"
import type { ListOptions } from "@perennial/domain/TaskManager"
import { DateTime, Effect, Schema } from "effect"
import { refuse } from "./A2aErrors.ts"
import type { ListTasks } from "./A2aRequests.ts"
import type { TaskState } from "./A2aTask.ts"

const states = [
  "TASK_STATE_UNSPECIFIED",
  "TASK_STATE_SUBMITTED",
  "TASK_STATE_WORKING",
  "TASK_STATE_COMPLETED",
  "TASK_STATE_FAILED",
  "TASK_STATE_CANCELED",
  "TASK_STATE_INPUT_REQUIRED",
  "TASK_STATE_REJECTED",
  "TASK_STATE_AUTH_REQUIRED"
] as const

type State = typeof states[number]

/** The statuses of a state; a task of Perennial is never rejected, and never asks for credentials. */
const statuses: { readonly [state in State]: ReadonlyArray<TaskStatus> | undefined } = {
  TASK_STATE_UNSPECIFIED: undefined,
  TASK_STATE_SUBMITTED: ["queued"],
  TASK_STATE_WORKING: ["running"],
  TASK_STATE_COMPLETED: ["completed"],
  TASK_STATE_FAILED: ["error"],
  TASK_STATE_CANCELED: ["cancelled"],
  TASK_STATE_INPUT_REQUIRED: ["running"],
  TASK_STATE_REJECTED: [],
  TASK_STATE_AUTH_REQUIRED: []
}

const stateOfStatus: { readonly [status in TaskStatus]: TaskState } = {
  queued: "TASK_STATE_SUBMITTED",
  running: "TASK_STATE_WORKING",
  completed: "TASK_STATE_COMPLETED",
  error: "TASK_STATE_FAILED",
  cancelled: "TASK_STATE_CANCELED"
}

/**
 * The state of a task without its log.
 *
 * @since 0.1.0
 * @category accessors
 */
export const stateOf = ({ status, waiting }: Task): TaskState =>
  status === "running" && waiting !== undefined ? "TASK_STATE_INPUT_REQUIRED" : stateOfStatus[status]

/** A name, or the number of the name (Protocol Buffers in JSON accept both). */
const toState = (value: Schema.Json | undefined): State | undefined => {
  if (value === undefined || value === null) return "TASK_STATE_UNSPECIFIED"
  return typeof value === "number" ? states[value] : states.find((state) => state === value)
}

const isConversationId = Schema.is(ConversationId)
const isTaskId = Schema.is(TaskId)

/**
 * What a request selects.
 *
 * @since 0.1.0
 * @category models
 */
export interface Selection {
  /** Nothing can be selected if it is undefined. */
  readonly options: (ListOptions & { readonly limit: number }) | undefined
  readonly keeps: (task: Task) => boolean
  readonly total: (counts: TaskCounts) => number
}

/**
 * The tasks of an agent that a request means.
 *
 * @since 0.1.0
 * @category accessors
 */
export const select = Effect.fnUntraced(function*(
  { contextId = "", pageSize = 50, pageToken = "", status, statusTimestampAfter }: ListTasks,
  agentId: AgentId
) {
  const state = toState(status)
  if (state === undefined) {
    return yield* refuse(
      "INVALID_PARAMS",
      `status: Expected a state such as TASK_STATE_WORKING, got ${String(status)}.`
    )
  }
  if (pageToken !== "" && !isTaskId(pageToken)) {
    return yield* refuse("INVALID_PARAMS", "pageToken: Expected the nextPageToken of a page.")
  }
  const waiting = state === "TASK_STATE_INPUT_REQUIRED"
  const wanted = statuses[state]
  const selects = (contextId === "" || isConversationId(contextId)) && wanted?.length !== 0
  const selection: Selection = {
    options: selects
      ? {
        agentId,
        limit: pageSize,
        ...(wanted === undefined ? {} : { status: wanted }),
        ...(waiting ? { waiting: true } : {}),
        ...(contextId === "" ? {} : { conversationId: ConversationId.make(contextId) }),
        ...(pageToken === "" ? {} : { before: TaskId.make(pageToken) })
      }
      : undefined,
    keeps: (task) =>
      (wanted === undefined || stateOf(task) === state) &&
      (statusTimestampAfter === undefined || DateTime.isGreaterThanOrEqualTo(task.updatedAt, statusTimestampAfter)),
    total: (counts) => {
      if (waiting) return counts.waiting
      const all = wanted ?? (["queued", "running", "completed", "error", "cancelled"] as const)
      const sum = all.reduce((total, name) => total + counts[name], 0)
      return state === "TASK_STATE_WORKING" ? Math.max(0, sum - counts.waiting) : sum
    }
  }
  return selection
})
