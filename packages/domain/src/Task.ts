/**
 * A task: one execution of an agent for one user message of a conversation.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { AgentId, ConversationId, MessageId, TaskId } from "./Ids.ts"
import { Usage } from "./Usage.ts"

/**
 * Free-form data of the application: a JSON object.
 *
 * @since 0.1.0
 * @category models
 */
export const Metadata = Schema.Record(Schema.String, Schema.Json)

/**
 * @since 0.1.0
 * @category models
 */
export type Metadata = typeof Metadata.Type

/**
 * `queued` (accepted, not begun) and `running` are active; `completed`, `error` and `cancelled` are terminal and never
 * change (P4).
 *
 * @since 0.1.0
 * @category models
 */
export const TaskStatus = Schema.Literals(["queued", "running", "completed", "error", "cancelled"])

/**
 * @since 0.1.0
 * @category models
 */
export type TaskStatus = typeof TaskStatus.Type

/**
 * The statuses a task ends with.
 *
 * @since 0.1.0
 * @category models
 */
export type TerminalStatus = "completed" | "error" | "cancelled"

const moves: Record<TaskStatus, ReadonlyArray<TaskStatus>> = {
  queued: ["running", "error", "cancelled"],
  running: ["completed", "error", "cancelled"],
  completed: [],
  error: [],
  cancelled: []
}

/**
 * Whether a status may become another. Statuses only move forward.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { Task } from "@perennial/domain"
 *
 * Task.canMove("queued", "running") // => true
 * Task.canMove("cancelled", "completed") // => false
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const canMove = (from: TaskStatus, to: TaskStatus): boolean => moves[from].includes(to)

/**
 * Whether a status is terminal.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTerminal = (status: TaskStatus): status is TerminalStatus => moves[status].length === 0

/**
 * Why a task ended with status `error`: the same code and sentence as in its `error` event. They stay when the log is
 * removed.
 *
 * @since 0.1.0
 * @category models
 */
export const TaskError = Schema.Struct({
  /** A stable name for programs, such as `CrashLoop`: the field `error` of the event. */
  code: Schema.String,
  /** A sentence for people. Safe to show to the user. */
  detail: Schema.String
})

/**
 * @since 0.1.0
 * @category models
 */
export interface TaskError extends Schema.Schema.Type<typeof TaskError> {}

/**
 * A tool call that waits for a person.
 *
 * @since 0.1.0
 * @category models
 */
export const WaitingCall = Schema.Struct({
  toolCallId: Schema.String,
  tool: Schema.String,
  /** The seq of the `tool_approval` event, which has the arguments. */
  seq: Schema.Natural,
  askedAt: Schema.DateTimeUtcFromString
}).annotate({ identifier: "WaitingCall" })

/**
 * @since 0.1.0
 * @category models
 */
export interface WaitingCall extends Schema.Schema.Type<typeof WaitingCall> {}

/**
 * The tool call that started a child task.
 *
 * @since 0.1.0
 * @category models
 */
export const TaskParent = Schema.Struct({
  taskId: TaskId,
  toolCallId: Schema.String,
  /** The seq of the `tool_call` event of the parent that names the child. */
  seq: Schema.Natural
}).annotate({ identifier: "TaskParent" })

/**
 * @since 0.1.0
 * @category models
 */
export interface TaskParent extends Schema.Schema.Type<typeof TaskParent> {}

/**
 * The public view of a task.
 *
 * @since 0.1.0
 * @category models
 */
export const Task = Schema.Struct({
  id: TaskId,
  conversationId: ConversationId,
  agentId: AgentId,
  status: TaskStatus,
  /** Counts claims: 0 while queued, 1 in the first execution, more after a recovery or hand-over. */
  attempt: Schema.Natural,
  /** The seq of the newest event, at least 1. As `after`, it asks for new events only. */
  lastSeq: Schema.Natural,
  createdAt: Schema.DateTimeUtcFromString,
  updatedAt: Schema.DateTimeUtcFromString,
  /** The time of the first claim. A task that has not begun has none. */
  startedAt: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** Only after the end. */
  endedAt: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** Only with status `error`. */
  error: Schema.optionalKey(TaskError),
  /** The tool calls that wait for a person, oldest first, at most 100. Only while the task is active and some do. */
  waiting: Schema.optionalKey(Schema.Array(WaitingCall)),
  /** When the oldest of `waiting` was asked. */
  waitingSince: Schema.optionalKey(Schema.DateTimeUtcFromString),
  /** The sum over the messages of the task so far, and over its child tasks that have ended. Absent before the first message, and in tasks of earlier versions. */
  usage: Schema.optionalKey(Usage),
  /** The answer as a value, of the form that the agent promises (`LlmAgent`: `output`). Only of completed tasks. */
  output: Schema.optionalKey(Schema.Json),
  /** How many child tasks its tool calls have started, or were about to start. Absent if there are none. */
  children: Schema.optionalKey(Schema.Natural),
  /** The beginning of the text of the user's message, on one line. Absent if the message has no text. */
  preview: Schema.optionalKey(Schema.String),
  /** The title that this task gave to its conversation. */
  title: Schema.optionalKey(Schema.String),
  metadata: Schema.optionalKey(Metadata),
  /** The user's message that the task's own message replaces. */
  replaces: Schema.optionalKey(MessageId),
  /** Of a child task: the tool call that started it. The event of the call names the child. */
  parent: Schema.optionalKey(TaskParent)
}).annotate({ identifier: "Task" })

/**
 * @since 0.1.0
 * @category models
 */
export interface Task extends Schema.Schema.Type<typeof Task> {}

/**
 * How many tasks a user has, by status, and how many of them wait for a person. A number of `maxCount` means so many or more.
 *
 * @since 0.1.0
 * @category models
 */
export const TaskCounts = Schema.Struct({
  queued: Schema.Natural,
  running: Schema.Natural,
  completed: Schema.Natural,
  error: Schema.Natural,
  cancelled: Schema.Natural,
  /** Running tasks with tool calls that wait for a person. */
  waiting: Schema.Natural
}).annotate({ identifier: "TaskCounts" })

/**
 * @since 0.1.0
 * @category models
 */
export interface TaskCounts extends Schema.Schema.Type<typeof TaskCounts> {}

/**
 * The largest number in `TaskCounts`: tasks beyond it are not counted.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxCount = 1_000

/**
 * What `start` does when the conversation already has an active task: `reject` it, `enqueue` behind it, or `interrupt`
 * everything before it.
 *
 * @since 0.1.0
 * @category models
 */
export const OnBusy = Schema.Literals(["reject", "enqueue", "interrupt"])

/**
 * @since 0.1.0
 * @category models
 */
export type OnBusy = typeof OnBusy.Type

/**
 * How much the deletion of a conversation has removed from the store of tasks. If the first reply of the store was lost, the
 * deletion was done again, and these numbers are 0.
 *
 * @since 0.1.0
 * @category models
 */
export interface RemovedTasks {
  readonly tasks: number
  readonly events: number
  /** Cancels and decisions. */
  readonly intents: number
}
