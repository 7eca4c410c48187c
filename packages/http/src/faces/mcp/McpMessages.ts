/**
 * The events of a task as the JSON-RPC messages that answer a call of a tool (MCP 2025-06-18 to 2026-07-28): a pure fold.
 *
 * Progress and questions come first, and the result is the last message. The answer of the agent is in the result alone, so that
 * no text has to be taken back.
 *
 * @since 0.1.0
 */
import { type AssistantMessage, text } from "@perennial/domain/Message"
import type { OfType, StoredEvent } from "@perennial/domain/TaskEvent"
import { type Head, isPaused, type Json, type JsonObject, type OpenCall, questionId, type State } from "./McpCall.ts"
import { completed, question, shown, toolResult, whatToDo } from "./McpResult.ts"

/**
 * A JSON-RPC message of the server.
 *
 * @since 0.1.0
 * @category models
 */
export interface ServerMessage {
  readonly jsonrpc: "2.0"
  readonly [field: string]: Json
}

/** While text streams, progress is reported once in this time, in milliseconds. */
const reportEvery = 1_000

const withCall = ({ calls }: State, id: string, call: OpenCall): ReadonlyMap<string, OpenCall> =>
  new Map(calls).set(id, call)

const messageCalls = ({ content }: AssistantMessage): ReadonlyArray<readonly [string, OpenCall]> =>
  content.flatMap((part) =>
    part.type === "tool_call"
      ? [[part.toolCallId, { tool: part.tool, args: part.args, waiting: false, asked: false }]]
      : []
  )

const withMessage = (state: State, { continued = false, message, partial = false }: OfType<"message">): State => {
  const pieces = state.pieces + text(message)
  const calls = new Map([...state.calls, ...partial ? [] : messageCalls(message)])
  return continued ? { ...state, calls, pieces } : { ...state, calls, pieces: "", answer: pieces, partial }
}

/** What the log says, without messages. */
const apply = (state: State, { event }: StoredEvent): State => {
  switch (event.type) {
    case "ack":
      return { ...state, conversationId: event.conversationId }
    case "message":
      return withMessage(state, event)
    case "output":
      return { ...state, output: event.output }
    case "tool_call": {
      const { args, tool, toolCallId } = event
      return { ...state, calls: withCall(state, toolCallId, { tool, args, waiting: false, asked: false }) }
    }
    case "tool_approval": {
      const { args, decision, tool, toolCallId } = event
      const asked = state.calls.get(toolCallId)?.asked === true
      return { ...state, calls: withCall(state, toolCallId, { tool, args, waiting: decision === undefined, asked }) }
    }
    case "tool_result": {
      const calls = new Map(state.calls)
      calls.delete(event.toolCallId)
      return { ...state, calls }
    }
    default:
      return state
  }
}

/** What a person may be shown while the agent works. Text that streams has no words of its own. */
const report = ({ event }: StoredEvent): string | undefined => {
  switch (event.type) {
    case "started":
      return "The agent begins."
    case "model_request":
      return `Step ${event.step}: the model is asked.`
    case "tool_call":
      return `The tool ${event.tool} runs.`
    case "tool_progress":
      return shown(event.data)
    case "tool_approval":
      return event.decision === undefined ? `The tool ${event.tool} waits for a person.` : undefined
    case "tool_result":
      return `The tool ${event.tool} has ended.`
    case "retry":
      return `The model is asked again: ${event.reason}`
    case "resumed":
      return "Another process goes on with the task."
    default:
      return undefined
  }
}

const isStreaming = ({ event: { type } }: StoredEvent): boolean => type === "text" || type === "reasoning"

/** The messages of one event. */
class Writer {
  readonly messages: Array<ServerMessage> = []
  state: State
  private readonly head: Head
  private readonly before: State
  private readonly stored: StoredEvent

  constructor(head: Head, before: State, stored: StoredEvent) {
    this.head = head
    this.before = before
    this.stored = stored
    this.state = apply(before, stored)
  }

  private write(message: JsonObject): void {
    this.messages.push({ jsonrpc: "2.0", ...message })
    this.state = { ...this.state, count: this.state.count + 1 }
  }

  private end(result: JsonObject): void {
    this.write({ id: this.head.id, result })
    this.state = { ...this.state, ended: true }
  }

  private progress(): void {
    const { progressToken } = this.head
    const { at, seq } = this.stored
    const message = report(this.stored)
    const isDue = isStreaming(this.stored) && at - this.state.reportedAt >= reportEvery
    if (progressToken === undefined || (message === undefined && !isDue)) return
    // A later event has a higher seq: the progress grows, as the protocol demands.
    const params = { progressToken, progress: seq, ...(message === undefined ? {} : { message }) }
    this.write({ method: "notifications/progress", params })
    this.state = { ...this.state, reportedAt: at }
  }

  /** A question, or its end if somebody has decided. */
  private ask(): void {
    for (const [id, call] of this.state.calls) {
      if (!call.waiting || call.asked) continue
      this.write({ id: questionId(this.head.taskId, id), method: "elicitation/create", params: question(call) })
      this.state = { ...this.state, calls: withCall(this.state, id, { ...call, asked: true }) }
    }
    const { event } = this.stored
    if (event.type !== "tool_approval" || event.decision === undefined) return
    if (this.before.calls.get(event.toolCallId)?.asked !== true) return
    const requestId = questionId(this.head.taskId, event.toolCallId)
    this.write({ method: "notifications/cancelled", params: { requestId, reason: "It is decided." } })
  }

  /** The result of a call may be a question. It is asked where it arises, and not again by what follows in the log. */
  private pause(): void {
    const { event: { type } } = this.stored
    if (!isPaused(this.state) || (type !== "tool_approval" && type !== "tool_result")) return
    const { calls, conversationId } = this.state
    if (this.head.asks === "never") {
      this.end(toolResult(this.head, [whatToDo(this.head, calls)], { conversationId, isError: true }))
      return
    }
    const inputRequests = Object.fromEntries(
      [...calls].map(([id, call]) => [id, { method: "elicitation/create", params: question(call) }])
    )
    this.end({ resultType: "input_required", inputRequests, requestState: `${this.head.taskId}/${this.stored.seq}` })
  }

  private result(): void {
    const { answer, conversationId, partial } = this.state
    const kept = partial && answer !== "" ? [answer] : []
    const { event } = this.stored
    if (event.type === "done") this.end(completed(this.head, this.state))
    if (event.type === "error") {
      this.end(toolResult(this.head, [...kept, event.detail], { conversationId, isError: true }))
    }
    if (event.type === "cancelled") {
      const reason = event.reason === undefined ? "" : ` The reason: ${event.reason}`
      const sentence = `The task was cancelled.${reason}`
      this.end(toolResult(this.head, [...kept, sentence], { conversationId, isError: true }))
    }
  }

  run(): void {
    if (this.stored.seq > this.head.after) {
      this.progress()
      if (this.head.asks === "request") this.ask()
      else this.pause()
    }
    this.result()
  }
}

/**
 * The messages that an event of the task adds to the answer of a call, and the call after them.
 *
 * @since 0.1.0
 * @category folding
 */
export const step = (
  head: Head,
  state: State,
  stored: StoredEvent
): { readonly state: State; readonly messages: ReadonlyArray<ServerMessage> } => {
  if (state.ended) return { state, messages: [] }
  const writer = new Writer(head, state, stored)
  writer.run()
  return { state: writer.state, messages: writer.messages }
}
