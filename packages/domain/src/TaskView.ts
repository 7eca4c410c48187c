/**
 * A task as a screen shows it: a pure reducer over its events. Every client uses it.
 *
 * @since 0.1.0
 */
import type { Schema } from "effect"
import type { Decision } from "./Decision.ts"
import type { TaskId } from "./Ids.ts"
import type { AssistantMessage, ToolResultStatus } from "./Message.ts"
import type { TaskStatus } from "./Task.ts"
import type { OfType, StoredEvent } from "./TaskEvent.ts"
import type { Usage } from "./Usage.ts"

/**
 * A tool call on the screen. `requested`: the model has asked for the call, and the tool does not run yet. `waiting`: the
 * call waits for a person.
 *
 * @since 0.1.0
 * @category models
 */
export interface ToolCallView {
  readonly toolCallId: string
  readonly tool: string
  readonly args: Schema.Json
  readonly status: "requested" | "waiting" | "executing" | ToolResultStatus
  readonly decision?: Decision | undefined
  readonly progress?: Schema.Json | undefined
  readonly result?: Schema.Json | undefined
  /** The child task that the call started. */
  readonly childTaskId?: TaskId | undefined
}

/**
 * A message of the assistant on the screen.
 *
 * @since 0.1.0
 * @category models
 */
export interface MessageView {
  readonly message: AssistantMessage
  /** The task ended before the message was complete. */
  readonly partial: boolean
  /** The model reached its longest answer before it had finished. */
  readonly truncated?: boolean | undefined
  /** The rest of the message follows. */
  readonly continued?: boolean | undefined
}

/**
 * A task on the screen.
 *
 * @since 0.1.0
 * @category models
 */
export interface TaskView {
  /** The seq of the last event that was applied: the cursor to resume from. */
  readonly cursor: number
  readonly status: TaskStatus
  /** Complete and partial messages of the assistant, oldest first. */
  readonly messages: ReadonlyArray<MessageView>
  /** Text of the message that is being written. */
  readonly text: string
  /** Thinking of the message that is being written. */
  readonly reasoning: string
  /** The numbers of characters that come before the last `tool_result`. No `discardAfter` can make them void. */
  readonly kept: { readonly text: number; readonly reasoning: number }
  /** Tool calls in the order the model asked. */
  readonly toolCalls: ReadonlyArray<ToolCallView>
  /** The events of the application, oldest first. `discardAfter` does not make them void. */
  readonly data: ReadonlyArray<{ readonly seq: number; readonly name: string; readonly data: Schema.Json }>
  /** The model request is repeated after a delay. */
  readonly retry?: { readonly tryNumber: number; readonly delayMillis: number; readonly reason: string } | undefined
  /** The request to a model that is under way. */
  readonly request?:
    | { readonly step: number; readonly tryNumber: number; readonly model?: string | undefined; readonly at: number }
    | undefined
  /** How the task was taken up again, the last time: `reason` and `gapMillis` as in the event. */
  readonly resumed?:
    | { readonly attempt: number; readonly reason?: string | undefined; readonly gapMillis?: number | undefined }
    | undefined
  readonly title?: string | undefined
  readonly usage?: Usage | undefined
  /** The answer as a value, if the agent promises one. */
  readonly output?: Schema.Json | undefined
  readonly error?: { readonly error: string; readonly detail: string; readonly retryable: boolean } | undefined
}

/**
 * A task before its first event.
 *
 * @since 0.1.0
 * @category constructors
 */
export const empty: TaskView = {
  cursor: 0,
  status: "queued",
  messages: [],
  text: "",
  reasoning: "",
  kept: { text: 0, reasoning: 0 },
  toolCalls: [],
  data: []
}

const updateCall = (
  view: TaskView,
  toolCallId: string,
  change: Partial<ToolCallView> & { tool?: string }
): TaskView => {
  const at = view.toolCalls.findIndex((call) => call.toolCallId === toolCallId)
  const before: ToolCallView = view.toolCalls[at] ??
    { toolCallId, tool: change.tool ?? "", args: null, status: "requested" }
  const after = { ...before, ...change }
  return {
    ...view,
    toolCalls: at === -1 ? [...view.toolCalls, after] : view.toolCalls.map((call, i) => i === at ? after : call)
  }
}

/** Removes the text, the thinking and the progress that `discardAfter` makes void. */
const discard = (view: TaskView): TaskView => ({
  ...view,
  request: undefined,
  text: view.text.slice(0, view.kept.text),
  reasoning: view.reasoning.slice(0, view.kept.reasoning),
  toolCalls: view.toolCalls.map((call) =>
    call.progress === undefined || call.result !== undefined ? call : { ...call, progress: undefined }
  )
})

/** Removes the text that was being written: a message is complete, or the task has ended. */
const clear = (view: TaskView): TaskView => ({ ...view, text: "", reasoning: "", kept: empty.kept })

/** A `continued` message and the next message become one. */
const addMessage = (
  messages: TaskView["messages"],
  { continued, message, partial = false, truncated }: OfType<"message">
): TaskView["messages"] => {
  const last = messages.at(-1)
  const how = { partial, ...(truncated === true ? { truncated } : {}), ...(continued === true ? { continued } : {}) }
  if (last?.continued !== true) return [...messages, { message, ...how }]
  const whole: AssistantMessage = { role: "assistant", content: [...last.message.content, ...message.content] }
  return [...messages.slice(0, -1), { message: whole, ...how }]
}

const reduce = (view: TaskView, { at, event, seq }: StoredEvent): TaskView => {
  switch (event.type) {
    case "started":
      return { ...view, status: "running" }
    case "text":
      return { ...view, text: view.text + event.content, retry: undefined }
    case "reasoning":
      return { ...view, reasoning: view.reasoning + event.content, retry: undefined }
    case "message": {
      const added = { ...clear(view), messages: addMessage(view.messages, event), retry: undefined, request: undefined }
      return event.message.content.reduce<TaskView>(
        (out, part) =>
          part.type === "tool_call"
            ? updateCall(out, part.toolCallId, { tool: part.tool, args: part.args, status: "requested" })
            : out,
        added
      )
    }
    case "tool_approval":
      return updateCall(view, event.toolCallId, {
        tool: event.tool,
        args: event.args,
        ...(event.decision === undefined
          ? { status: "waiting" as const }
          : { status: "requested" as const, decision: event.decision })
      })
    case "tool_call":
      return updateCall(view, event.toolCallId, {
        tool: event.tool,
        args: event.args,
        status: "executing",
        progress: undefined,
        ...(event.childTaskId === undefined ? {} : { childTaskId: event.childTaskId })
      })
    case "tool_progress":
      return updateCall(view, event.toolCallId, { progress: event.data })
    case "tool_result":
      return updateCall(
        { ...view, kept: { text: view.text.length, reasoning: view.reasoning.length } },
        event.toolCallId,
        { tool: event.tool, status: event.status, result: event.result }
      )
    case "model_request":
      return { ...view, request: { step: event.step, tryNumber: event.tryNumber, model: event.model, at } }
    case "retry":
      return {
        ...discard(view),
        retry: { tryNumber: event.tryNumber, delayMillis: event.delayMillis, reason: event.reason }
      }
    case "resumed":
      return {
        ...discard(view),
        status: "running",
        retry: undefined,
        resumed: { attempt: event.attempt, reason: event.reason, gapMillis: event.gapMillis }
      }
    case "data":
      return { ...view, data: [...view.data, { seq, name: event.name, data: event.data }] }
    case "title":
      return { ...view, title: event.title }
    case "output":
      return { ...view, output: event.output }
    case "done":
      return {
        ...clear(discard(view)),
        status: "completed",
        usage: event.usage,
        ...(event.output === undefined ? {} : { output: event.output })
      }
    case "error":
      return {
        ...clear(discard(view)),
        status: "error",
        error: { error: event.error, detail: event.detail, retryable: event.retryable }
      }
    case "cancelled":
      return { ...clear(discard(view)), status: "cancelled" }
    default:
      return view
  }
}

/**
 * The view after one more event. Applying an event again changes nothing, so events may be delivered more than once.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { Ids, TaskView } from "@perennial/domain"
 *
 * const task = { taskId: Ids.TaskId.make("t1"), conversationId: Ids.ConversationId.make("c1") }
 * const view = TaskView.apply(TaskView.empty, { seq: 1, at: 0, event: { type: "text", ...task, content: "Hello" } })
 * view.text // => "Hello"
 * ```
 *
 * @since 0.1.0
 * @category combinators
 */
export const apply = (view: TaskView, stored: StoredEvent): TaskView =>
  stored.seq <= view.cursor ? view : { ...reduce(view, stored), cursor: stored.seq }
