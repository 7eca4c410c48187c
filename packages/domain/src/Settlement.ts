/**
 * The events that a log still needs when its task ends.
 *
 * A cancel, an error, a deadline and the closing of a task without an owner all use the same pure function, so that every
 * log ends in the same way. Text that was streamed is kept as a message, partial if the task was stopped. Every open tool
 * call gets a result. The terminal event is the last one (P4, P7).
 *
 * @since 0.1.0
 */
import type { Schema } from "effect"
import type { Decision } from "./Decision.ts"
import type { ConversationId, TaskId } from "./Ids.ts"
import type { AssistantMessage } from "./Message.ts"
import { split } from "./MessagePieces.ts"
import { isTerminal, type OfType, type StoredEvent, type TaskEvent } from "./TaskEvent.ts"
import { add, type Usage, zero } from "./Usage.ts"

/**
 * How a task ended.
 *
 * @since 0.1.0
 * @category models
 */
export type Outcome =
  | { readonly status: "completed"; readonly usage: Usage }
  | {
    readonly status: "error"
    readonly error: string
    readonly detail: string
    readonly retryable: boolean
    /** Text since the last complete message is void. */
    readonly discardText?: boolean | undefined
  }
  | { readonly status: "cancelled"; readonly reason?: string | undefined }

/**
 * A tool call that has no result.
 *
 * @since 0.1.0
 * @category models
 */
export interface OpenCall {
  readonly tool: string
  readonly entered: boolean
  /** The decision of a person about the call. */
  readonly decision?: Decision | undefined
}

/**
 * The part of a log that is not settled.
 *
 * @since 0.1.0
 * @category models
 */
export interface Unsettled {
  /** The text that is in no message and was not discarded. */
  readonly text: string
  /** The first `kept` characters of `text` come before the last event that `discardAfter` can name: they stay. */
  readonly kept: number
  /** Tool calls of complete messages that have no result, by id, in order. */
  readonly calls: ReadonlyMap<string, OpenCall>
  /** The usage of all complete messages, and of child tasks. */
  readonly usage: Usage
  /** Of the last `output` event. */
  readonly output?: Schema.Json | undefined
  readonly ended: boolean
}

/**
 * The state before the first event.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: Unsettled = { text: "", kept: 0, calls: new Map(), usage: zero, ended: false }

const keep = (self: Unsettled): Unsettled => self.text.length === self.kept ? self : { ...self, kept: self.text.length }

/**
 * The state after one more event.
 *
 * @since 0.1.0
 * @category combinators
 */
export const advance = (self: Unsettled, event: TaskEvent): Unsettled => {
  switch (event.type) {
    case "text":
      return { ...self, text: self.text + event.content }
    case "ack":
    case "started":
      return keep(self)
    case "retry":
    case "resumed":
      return self.text.length === self.kept ? self : { ...self, text: self.text.slice(0, self.kept) }
    case "message": {
      const calls = new Map(self.calls)
      for (const part of event.message.content) {
        if (part.type === "tool_call") calls.set(part.toolCallId, { tool: part.tool, entered: false })
      }
      return { ...self, text: "", kept: 0, calls, usage: add(self.usage, event.usage) }
    }
    case "tool_call": {
      const calls = new Map(self.calls)
      calls.set(event.toolCallId, { ...calls.get(event.toolCallId), tool: event.tool, entered: true })
      return { ...self, calls }
    }
    case "tool_approval": {
      const call = self.calls.get(event.toolCallId)
      if (call === undefined || event.decision === undefined) return self
      const calls = new Map(self.calls)
      calls.set(event.toolCallId, { ...call, decision: event.decision })
      return { ...self, calls }
    }
    case "tool_result": {
      const calls = new Map(self.calls)
      calls.delete(event.toolCallId)
      const usage = event.usage === undefined ? self.usage : add(self.usage, event.usage)
      return { ...keep(self), calls, usage }
    }
    case "output":
      return { ...self, output: event.output }
    default:
      return isTerminal(event) ? { ...self, ended: true } : self
  }
}

const interrupted = (entered: boolean): string =>
  entered
    ? "The call was interrupted before it finished. Its effects are unknown."
    : "The call was not executed: the task ended first."

/**
 * The result of a tool call that was interrupted, or that never began.
 *
 * @since 0.1.0
 * @category constructors
 */
export const interruptedResult = (
  call: OpenCall & { readonly toolCallId: string }
): Omit<OfType<"tool_result">, "taskId" | "conversationId"> => ({
  type: "tool_result",
  tool: call.tool,
  toolCallId: call.toolCallId,
  result: { type: "interrupted", reason: interrupted(call.entered) },
  status: "interrupted",
  ...(call.decision === undefined ? {} : { decision: call.decision })
})

/**
 * The events that a log still needs, the terminal event last. None if the log has ended.
 *
 * @since 0.1.0
 * @category combinators
 */
export const settleUnsettled = (
  self: Unsettled,
  task: { readonly taskId: TaskId; readonly conversationId: ConversationId },
  outcome: Outcome,
  options?: {
    /** The largest size of one event. Text that is larger becomes several messages. No bound by default. */
    readonly messageBytes?: number | undefined
  }
): ReadonlyArray<TaskEvent> => {
  if (self.ended) return []
  const base = { taskId: task.taskId, conversationId: task.conversationId }
  const events: Array<TaskEvent> = []
  const keepText = outcome.status !== "error" || outcome.discardText !== true
  if (keepText && self.text.trim() !== "") {
    const messageOf = (message: AssistantMessage, continued: boolean): TaskEvent => ({
      type: "message",
      ...base,
      message,
      usage: zero,
      // An agent may complete without a message of its own. Only a task that was stopped makes the message partial.
      ...(outcome.status === "completed" ? {} : { partial: true }),
      ...(continued ? { continued } : {})
    })
    const whole: AssistantMessage = { role: "assistant", content: [{ type: "text", text: self.text }] }
    const envelope = JSON.stringify(messageOf({ role: "assistant", content: [] }, true)).length
    const pieces = split(whole, (options?.messageBytes ?? Number.POSITIVE_INFINITY) - envelope)
    for (const [at, message] of pieces.entries()) events.push(messageOf(message, at < pieces.length - 1))
  }
  for (const [toolCallId, call] of self.calls) events.push({ ...interruptedResult({ toolCallId, ...call }), ...base })
  switch (outcome.status) {
    case "completed":
      events.push({
        type: "done",
        ...base,
        usage: outcome.usage,
        ...(self.output === undefined ? {} : { output: self.output })
      })
      break
    case "error":
      events.push({
        type: "error",
        ...base,
        error: outcome.error,
        detail: outcome.detail,
        retryable: outcome.retryable
      })
      break
    case "cancelled":
      events.push({
        type: "cancelled",
        ...base,
        ...(outcome.reason === undefined ? {} : { reason: outcome.reason })
      })
  }
  return events
}

/**
 * The events that a log still needs, the terminal event last. None if the log has ended, so that settling is idempotent.
 *
 * @since 0.1.0
 * @category combinators
 */
export const settle = (
  log: Iterable<StoredEvent>,
  task: { readonly taskId: TaskId; readonly conversationId: ConversationId },
  outcome: Outcome
): ReadonlyArray<TaskEvent> => {
  let open = empty
  for (const { event } of log) open = advance(open, event)
  return settleUnsettled(open, task, outcome)
}
