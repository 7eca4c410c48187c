/**
 * The log of an ended task that the server does not keep any more, as far as the messages of its conversation tell it.
 *
 * @since 0.1.0
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { Task } from "@perennial/domain/Task"
import type { StoredEvent, TaskEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"

type Timed = Omit<StoredEvent, "seq">

/**
 * Events that say what the messages of the task say, and how the task ended. The oldest message is the first.
 *
 * @since 0.1.0
 * @category constructors
 */
export const logOf = (task: Task, messages: ReadonlyArray<StoredMessage>): ReadonlyArray<StoredEvent> => {
  const ids = { taskId: task.id, conversationId: task.conversationId }
  const said = messages.flatMap(({ createdAt, message }): ReadonlyArray<Timed> => {
    const at = createdAt.epochMilliseconds
    if (message.role === "assistant") return [{ at, event: { type: "message", ...ids, message, usage: Usage.zero } }]
    return message.role === "tool"
      ? message.content.flatMap((part) => part.type === "tool_result" ? [{ at, event: { ...part, ...ids } }] : [])
      : []
  })
  const { error = { code: "Unknown", detail: "The task failed." }, status, usage = Usage.zero } = task
  const end: TaskEvent = status === "completed"
    ? { type: "done", ...ids, usage }
    : status === "error"
    ? { type: "error", ...ids, error: error.code, detail: error.detail, retryable: false }
    : { type: "cancelled", ...ids }
  const all: ReadonlyArray<Timed> = [...said, { at: task.updatedAt.epochMilliseconds, event: end }]
  return all.map(({ at, event }, i) => ({ seq: i + 1, at, event }))
}
