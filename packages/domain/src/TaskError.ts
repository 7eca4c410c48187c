/**
 * The errors of Perennial. The message of each error says in one line what is wrong, with the value, and what to do.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { AgentId, ConversationId, MessageId, TaskId, UserId } from "./Ids.ts"

/**
 * The input of the caller is not accepted. Nothing was stored.
 *
 * @since 0.1.0
 * @category errors
 */
export class InvalidInput extends Schema.TaggedError<InvalidInput>()("InvalidInput", {
  field: Schema.String,
  problem: Schema.String
}) {
  override get message() {
    return `\`${this.field}\` ${this.problem}.`
  }
}

/**
 * The user has no task of this id.
 *
 * @since 0.1.0
 * @category errors
 */
export class TaskNotFound extends Schema.TaggedError<TaskNotFound>()("TaskNotFound", { taskId: TaskId }) {
  override get message() {
    return `There is no task "${this.taskId}".`
  }
}

/**
 * The user has no conversation of this id.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConversationNotFound
  extends Schema.TaggedError<ConversationNotFound>()("ConversationNotFound", { conversationId: ConversationId })
{
  override get message() {
    return `There is no conversation "${this.conversationId}".`
  }
}

/**
 * The conversation has no message of the user with this id. Without an id: the conversation has no message of the user.
 *
 * @since 0.1.0
 * @category errors
 */
export class MessageNotFound extends Schema.TaggedError<MessageNotFound>()("MessageNotFound", {
  conversationId: ConversationId,
  messageId: Schema.optionalKey(MessageId)
}) {
  override get message() {
    const which = this.messageId === undefined ? "no message of the user" : `no message of the user "${this.messageId}"`
    return `Conversation "${this.conversationId}" has ${which}.`
  }
}

/**
 * The conversation has an active task, and the caller did not ask to wait or to interrupt it (P2).
 *
 * @since 0.1.0
 * @category errors
 */
export class ConversationBusy extends Schema.TaggedError<ConversationBusy>()("ConversationBusy", {
  conversationId: ConversationId,
  activeTaskId: TaskId
}) {
  override get message() {
    return `Conversation "${this.conversationId}" is busy with task "${this.activeTaskId}". Wait for it, cancel it, or start with onBusy "enqueue" or "interrupt".`
  }
}

/**
 * Too many tasks already wait behind the head of this conversation.
 *
 * @since 0.1.0
 * @category errors
 */
export class QueueFull extends Schema.TaggedError<QueueFull>()("QueueFull", {
  conversationId: ConversationId,
  limit: Schema.Natural
}) {
  override get message() {
    return `Conversation "${this.conversationId}" has ${this.limit} tasks waiting, which is the limit. Start again when one has ended.`
  }
}

/**
 * The user has the largest number of active tasks: tasks that wait, run, or wait for a person.
 *
 * @since 0.1.0
 * @category errors
 */
export class TooManyActiveTasks
  extends Schema.TaggedError<TooManyActiveTasks>()("TooManyActiveTasks", { limit: Schema.Natural })
{
  override get message() {
    return `The user has ${this.limit} active tasks, which is the limit. Nothing was stored: start again when one has ended, or cancel one.`
  }
}

/**
 * This process already has the largest number of tasks that may wait for capacity or for a person.
 *
 * @since 0.1.0
 * @category errors
 */
export class CapacityExceeded
  extends Schema.TaggedError<CapacityExceeded>()("CapacityExceeded", { limit: Schema.Natural })
{
  override get message() {
    return `${this.limit} tasks wait for a free place or for a person, which is the limit. Nothing was stored: try again later.`
  }
}

/**
 * The idempotency key was used before with another request.
 *
 * @since 0.1.0
 * @category errors
 */
export class IdempotencyConflict
  extends Schema.TaggedError<IdempotencyConflict>()("IdempotencyConflict", { idempotencyKey: Schema.String })
{
  override get message() {
    return `The idempotency key "${this.idempotencyKey}" was used with another request. Use a new key for a new request.`
  }
}

/**
 * No agent of this id is registered.
 *
 * @since 0.1.0
 * @category errors
 */
export class AgentNotFound extends Schema.TaggedError<AgentNotFound>()("AgentNotFound", {
  agentId: AgentId,
  known: Schema.Array(AgentId)
}) {
  override get message() {
    return `There is no agent "${this.agentId}". Registered: ${this.known.join(", ")}.`
  }
}

/**
 * The task has no output of the form that was asked for: it has not completed, or its agent promised another form.
 *
 * @since 0.1.0
 * @category errors
 */
export class NoOutput extends Schema.TaggedError<NoOutput>()("NoOutput", {
  taskId: TaskId,
  problem: Schema.String
}) {
  override get message() {
    return `Task "${this.taskId}" has no output of this form: ${this.problem}`
  }
}

/**
 * The log of this task was removed by retention.
 *
 * @since 0.1.0
 * @category errors
 */
export class EventsExpired extends Schema.TaggedError<EventsExpired>()("EventsExpired", { taskId: TaskId }) {
  override get message() {
    return `The events of task "${this.taskId}" have expired. The messages of its conversation are still there: read those instead.`
  }
}

/**
 * The cursor is beyond the end of the log: it belongs to another task, or the log was reset.
 *
 * @since 0.1.0
 * @category errors
 */
export class CursorAhead extends Schema.TaggedError<CursorAhead>()("CursorAhead", {
  taskId: TaskId,
  after: Schema.Natural,
  lastSeq: Schema.Natural
}) {
  override get message() {
    return `The cursor ${this.after} is beyond the last event (${this.lastSeq}) of task "${this.taskId}". Read again from 0.`
  }
}

/**
 * A stream of events ended early: the store failed or lost the log. Reading again from the last seq is safe.
 *
 * @since 0.1.0
 * @category errors
 */
export class StreamLost extends Schema.TaggedError<StreamLost>()("StreamLost", {
  taskId: TaskId,
  after: Schema.Natural,
  reason: Schema.String
}) {
  override get message() {
    return `The stream of task "${this.taskId}" ended after event ${this.after}: ${this.reason}. Read again from there.`
  }
}

/**
 * Another runner owns the task now, or it has ended: nothing was written (P9).
 *
 * @since 0.1.0
 * @category errors
 */
export class LeaseLost extends Schema.TaggedError<LeaseLost>()("LeaseLost", { taskId: TaskId, token: Schema.Natural }) {
  override get message() {
    return `Task "${this.taskId}" is not owned with fencing token ${this.token} any more.`
  }
}

/**
 * No tool call of this id waits for a decision or was decided. After the end of its task a call waits for no decision.
 *
 * @since 0.1.0
 * @category errors
 */
export class ToolCallNotFound extends Schema.TaggedError<ToolCallNotFound>()("ToolCallNotFound", {
  taskId: TaskId,
  toolCallId: Schema.String
}) {
  override get message() {
    return `Task "${this.taskId}" has no tool call "${this.toolCallId}" that waits for a decision.`
  }
}

/**
 * Another decision about the tool call was recorded before.
 *
 * @since 0.1.0
 * @category errors
 */
export class AlreadyDecided extends Schema.TaggedError<AlreadyDecided>()("AlreadyDecided", {
  taskId: TaskId,
  toolCallId: Schema.String
}) {
  override get message() {
    return `Tool call "${this.toolCallId}" of task "${this.taskId}" was decided before. The first decision stands.`
  }
}

/**
 * The store of tasks failed, after its own retries. Such a failure is never the outcome of a task.
 *
 * @since 0.1.0
 * @category errors
 */
export class TaskBackendError extends Schema.TaggedError<TaskBackendError>()("TaskBackendError", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `The task backend failed in "${this.operation}".`
  }
}

/**
 * The store of conversations failed, after its own retries.
 *
 * @since 0.1.0
 * @category errors
 */
export class ConversationStoreError extends Schema.TaggedError<ConversationStoreError>()("ConversationStoreError", {
  operation: Schema.String,
  cause: Schema.Defect()
}) {
  override get message() {
    return `The conversation store failed in "${this.operation}".`
  }
}

/**
 * The user has started tasks in every pass of a deletion. What was found is erased. Take the credentials of the user away, and
 * erase again.
 *
 * @since 0.1.0
 * @category errors
 */
export class UserStillActive extends Schema.TaggedError<UserStillActive>()("UserStillActive", { userId: UserId }) {
  override get message() {
    return `The user "${this.userId}" starts tasks while the data of the user are erased. `
      + "Take the credentials of the user away, and erase again."
  }
}
