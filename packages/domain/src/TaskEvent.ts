/**
 * The events of a task: a union on `type`. The log stores them, and readers get them.
 *
 * Names and fields are the protocol: the same in TypeScript and on the wire. Fields are only ever added. An event of a type
 * that this version does not know is `Unknown`, unchanged: old and new processes can share a log during a deployment.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Decision } from "./Decision.ts"
import { ConversationId, MessageId, messageId, TaskId } from "./Ids.ts"
import { Cancelled, Done, Failed, Output } from "./internal/endEvents.ts"
import { unknownFromRaw } from "./internal/unknownFromRaw.ts"
import { AssistantMessage, ToolResultStatus } from "./Message.ts"
import type { TerminalStatus } from "./Task.ts"
import { Usage } from "./Usage.ts"

/**
 * The events at the end of a task.
 *
 * @since 0.1.0
 * @category events
 */
export { Cancelled, Done, Failed, Output }

const task = { taskId: TaskId, conversationId: ConversationId }
const Seq = Schema.Natural

/**
 * The task is accepted. The event has always seq 1, and is stored in the same commit as the task (P1).
 *
 * @since 0.1.0
 * @category events
 */
export const Ack = Schema.Struct({ type: Schema.Literal("ack"), ...task, messageId: MessageId })

/**
 * The execution begins, with the first claim.
 *
 * @since 0.1.0
 * @category events
 */
export const Started = Schema.Struct({ type: Schema.Literal("started"), ...task, attempt: Schema.Natural })

/**
 * A chunk of the assistant's text.
 *
 * @since 0.1.0
 * @category events
 */
export const Text = Schema.Struct({ type: Schema.Literal("text"), ...task, content: Schema.String })

/**
 * A chunk of the model's thinking.
 *
 * @since 0.1.0
 * @category events
 */
export const Reasoning = Schema.Struct({ type: Schema.Literal("reasoning"), ...task, content: Schema.String })

/**
 * A tool is about to run. The same `toolCallId` again means that the call was restarted after a recovery.
 *
 * @since 0.1.0
 * @category events
 */
export const ToolCall = Schema.Struct({
  type: Schema.Literal("tool_call"),
  ...task,
  tool: Schema.String,
  toolCallId: Schema.String,
  args: Schema.Json,
  status: Schema.Literal("executing"),
  /** The child task that the call starts, in the first `tool_call` of the call. The child is accepted after the event. */
  childTaskId: Schema.optionalKey(TaskId)
})

/**
 * A tool reports progress. A later report replaces an earlier one. At most 10 a second and 4 KiB each per call.
 *
 * @since 0.1.0
 * @category events
 */
export const ToolProgress = Schema.Struct({
  type: Schema.Literal("tool_progress"),
  ...task,
  toolCallId: Schema.String,
  data: Schema.Json
})

/**
 * A tool call waits for a person. The event is written again, with `decision`, when the decision was made.
 *
 * @since 0.1.0
 * @category events
 */
export const ToolApproval = Schema.Struct({
  type: Schema.Literal("tool_approval"),
  ...task,
  tool: Schema.String,
  toolCallId: Schema.String,
  args: Schema.Json,
  decision: Schema.optionalKey(Decision)
})

/**
 * A tool call ended. The result has a `decision` if the call waited for a person. The conversation stores the call with the
 * arguments of the model, and the decision with the result. `usage` is what its child task has used, with its own children.
 *
 * @since 0.1.0
 * @category events
 */
export const ToolResult = Schema.Struct({
  type: Schema.Literal("tool_result"),
  ...task,
  tool: Schema.String,
  toolCallId: Schema.String,
  result: Schema.Json,
  status: ToolResultStatus,
  decision: Schema.optionalKey(Decision),
  usage: Schema.optionalKey(Usage)
})

/**
 * A message of the assistant is complete, and is stored in the conversation in this form. With `partial` the task ended
 * before the message was complete.
 *
 * @since 0.1.0
 * @category events
 */
export const Message = Schema.Struct({
  type: Schema.Literal("message"),
  ...task,
  message: AssistantMessage,
  usage: Usage,
  partial: Schema.optionalKey(Schema.Boolean),
  /** The message was too large for one event, and continues in the next `message` event. Only the last one has the usage. */
  continued: Schema.optionalKey(Schema.Boolean),
  /** The model reached its longest answer before it had finished. */
  truncated: Schema.optionalKey(Schema.Boolean)
})

/**
 * A request to a model begins. The answer of the model follows: text, thinking, and a message.
 *
 * @since 0.1.0
 * @category events
 */
export const ModelRequest = Schema.Struct({
  type: Schema.Literal("model_request"),
  ...task,
  /** The step that the answer completes, from 1. */
  step: Schema.Natural,
  /** The number of the try, from 1. */
  tryNumber: Schema.Natural,
  /** The name of the model, if it is known. */
  model: Schema.optionalKey(Schema.String)
})

/**
 * A model request failed and is tried again after `delayMillis`. `discardAfter` is the seq of the last `ack`, `started`,
 * `message` or `tool_result`: `text`, `reasoning` and `tool_progress` between it and this event are void.
 *
 * @since 0.1.0
 * @category events
 */
export const Retry = Schema.Struct({
  type: Schema.Literal("retry"),
  ...task,
  /** The number of the next try, from 2. */
  tryNumber: Schema.Natural,
  delayMillis: Schema.Natural,
  reason: Schema.String,
  discardAfter: Seq
})

/**
 * Another owner continues the task after a crash or a hand-over. `discardAfter` has the same meaning as in `retry`.
 *
 * @since 0.1.0
 * @category events
 */
export const Resumed = Schema.Struct({
  type: Schema.Literal("resumed"),
  ...task,
  attempt: Schema.Natural,
  discardAfter: Seq,
  /** Why the owner before has stopped: an `OwnerLoss.Reason`. Absent if that is not known; versions may add reasons. */
  reason: Schema.optionalKey(Schema.String),
  /** How long nobody executed the task before, in milliseconds. */
  gapMillis: Schema.optionalKey(Schema.Natural)
})

/**
 * An event of the application. A tool or a hook wrote it.
 *
 * @since 0.1.0
 * @category events
 */
export const Data = Schema.Struct({ type: Schema.Literal("data"), ...task, name: Schema.String, data: Schema.Json })

/**
 * The conversation got a title.
 *
 * @since 0.1.0
 * @category events
 */
export const Title = Schema.Struct({ type: Schema.Literal("title"), ...task, title: Schema.String })

/**
 * Every event type that this version knows.
 *
 * @since 0.1.0
 * @category events
 */
export const Known = Schema.Union([
  Ack,
  Started,
  Text,
  Reasoning,
  ToolCall,
  ToolProgress,
  ToolApproval,
  ToolResult,
  Message,
  ModelRequest,
  Retry,
  Resumed,
  Data,
  Title,
  Output,
  Done,
  Failed,
  Cancelled
])

/**
 * @since 0.1.0
 * @category events
 */
export type Known = typeof Known.Type

/**
 * An event of a type that this version does not know, unchanged.
 *
 * @since 0.1.0
 * @category events
 */
export interface Unknown {
  readonly type: "unknown"
  readonly raw: { readonly type: string; readonly [key: string]: Schema.Json }
}

const UnknownFromRaw = unknownFromRaw(Known.members.map((member) => member.fields.type.literal))

/**
 * One event of a task. The schema decodes the events of every version.
 *
 * @since 0.1.0
 * @category events
 */
export const TaskEvent = Schema.Union([Known, UnknownFromRaw]).annotate({ identifier: "TaskEvent" })

/**
 * @since 0.1.0
 * @category events
 */
export type TaskEvent = Known | Unknown

/**
 * An event with its place in the log. Events are numbered 1, 2, 3 and so on, without gaps (P3).
 *
 * @since 0.1.0
 * @category events
 */
export const StoredEvent = Schema.Struct({
  seq: Seq,
  /** The time of the write, in milliseconds since 1970-01-01T00:00Z. */
  at: Schema.Natural,
  event: TaskEvent
}).annotate({ identifier: "StoredEvent" })

/**
 * @since 0.1.0
 * @category events
 */
export interface StoredEvent {
  readonly seq: number
  readonly at: number
  readonly event: TaskEvent
}

/**
 * The event of one type.
 *
 * @since 0.1.0
 * @category events
 */
export type OfType<Type extends Known["type"]> = Extract<Known, { readonly type: Type }>

/**
 * The last event of a task.
 *
 * @since 0.1.0
 * @category events
 */
export type Terminal = OfType<"done" | "error" | "cancelled">

type WithoutTask<E> = E extends unknown ? Omit<E, "taskId" | "conversationId" | "discardAfter"> : never

/**
 * The events that an agent may emit. The runtime adds `taskId`, `conversationId` and `discardAfter`. It writes the other
 * types itself.
 *
 * @since 0.1.0
 * @category events
 */
export type AgentEvent = WithoutTask<
  OfType<
    | "text"
    | "reasoning"
    | "tool_call"
    | "tool_progress"
    | "tool_approval"
    | "tool_result"
    | "message"
    | "model_request"
    | "retry"
    | "data"
    | "title"
    | "output"
  >
>

/**
 * Whether an event ends its task.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTerminal = (event: TaskEvent): event is Terminal =>
  event.type === "done" || event.type === "error" || event.type === "cancelled"

/**
 * Whether a recovery can continue after this event. `discardAfter` is the seq of such an event.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isBoundary = (event: TaskEvent): boolean =>
  event.type === "ack" || event.type === "started" || event.type === "message" || event.type === "tool_result"

/**
 * The status a task has after its terminal event.
 *
 * @since 0.1.0
 * @category accessors
 */
export const terminalStatus = (event: Terminal): TerminalStatus => event.type === "done" ? "completed" : event.type

/**
 * The first event of a task.
 *
 * @since 0.1.0
 * @category constructors
 */
export const ack = (
  { at, conversationId, id }: { readonly id: TaskId; readonly conversationId: ConversationId; readonly at: number }
): StoredEvent => ({
  seq: 1,
  at,
  event: { type: "ack", taskId: id, conversationId, messageId: messageId(id, 1) }
})
