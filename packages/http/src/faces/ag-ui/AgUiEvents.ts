/**
 * The events of a task as events of an AG-UI run (AG-UI 1.0): a pure fold.
 *
 * A run is a part of a task: it ends with the task, or with an interrupt where all open tool calls wait for a person. The answer
 * begins the next run of the same task. Everything that is open is closed before the end of a run.
 *
 * @since 0.1.0
 */
import type { OfType, StoredEvent, Terminal } from "@perennial/domain/TaskEvent"
import type { Schema } from "effect"
import * as Draft from "../../internal/draft.ts"
import {
  type AgUiEvent,
  type AgUiMessage,
  type Call,
  type Head,
  interruptId,
  type Json,
  type State
} from "./AgUiRun.ts"

const isPaused = ({ calls }: State): boolean => calls.size > 0 && [...calls.values()].every(({ waiting }) => waiting)

const emptied = (id: string): AgUiMessage => ({ id, role: "reasoning", content: "" })

const resultText = (result: Schema.Json): string => typeof result === "string" ? result : JSON.stringify(result)

/** The events of one event of the task. */
class Writer {
  readonly events: Array<AgUiEvent> = []
  state: State
  private readonly head: Head
  private readonly seq: number
  private ids = 0

  constructor(head: Head, state: State, seq: number) {
    this.head = head
    this.state = state
    this.seq = seq
  }

  /** Unique in the thread. */
  private newId(): string {
    return `${this.head.taskId}-${this.seq}-${this.ids++}`
  }

  private write(event: AgUiEvent): void {
    this.events.push(event)
  }

  private custom(name: string, value: Schema.Json): void {
    this.write({ type: "CUSTOM", name, value })
  }

  begin(): void {
    const { messages, runId, stale, threadId } = this.head
    this.state = { ...this.state, begun: true, messages: [], drafted: [], gone: [], open: undefined }
    this.write({ type: "RUN_STARTED", threadId, runId, protocolVersion: "1.0" })
    if (stale.length === 0) return
    // A client keeps thinking unless it is told otherwise.
    const thinking = stale.filter(({ role }) => role === "reasoning").map(({ id }) => emptied(id))
    this.write({ type: "MESSAGES_SNAPSHOT", messages: [...messages, ...thinking] })
  }

  /** Also what became void of the thinking: a client keeps it unless it is told otherwise. */
  private snapshot(): void {
    const messages = [...this.head.messages, ...this.state.messages]
    const thinks = messages.some(({ role }) => role === "reasoning")
    const empty = thinks ? [] : this.state.gone.map(emptied)
    this.write({ type: "MESSAGES_SNAPSHOT", messages: [...messages, ...empty] })
  }

  private closeOpen(): void {
    const { open } = this.state
    if (open === undefined) return
    const { id, kind } = open
    if (kind === "text") this.write({ type: "TEXT_MESSAGE_END", messageId: id })
    else {
      this.write({ type: "REASONING_MESSAGE_END", messageId: id })
      this.write({ type: "REASONING_END", messageId: id })
    }
    this.state = { ...this.state, open: undefined }
  }

  private change(change: Draft.Change): void {
    const { open } = this.state
    switch (change.type) {
      case "open": {
        const { kind } = change
        const id = this.newId()
        if (kind === "text") this.write({ type: "TEXT_MESSAGE_START", messageId: id, role: "assistant" })
        else {
          this.write({ type: "REASONING_START", messageId: id })
          this.write({ type: "REASONING_MESSAGE_START", messageId: id, role: "reasoning" })
        }
        this.state = { ...this.state, open: { kind, id, text: "" }, drafted: [...this.state.drafted, id] }
        return
      }
      case "delta": {
        if (open === undefined) return
        const type = open.kind === "text" ? "TEXT_MESSAGE_CONTENT" : "REASONING_MESSAGE_CONTENT"
        this.write({ type, messageId: open.id, delta: change.text })
        this.state = { ...this.state, open: { ...open, text: open.text + change.text } }
        return
      }
      case "close": {
        if (open === undefined) return
        const { id, kind, text } = open
        this.closeOpen()
        const message = { id, role: kind === "text" ? "assistant" : "reasoning", content: text }
        this.state = { ...this.state, messages: [...this.state.messages, message] }
        return
      }
      case "void": {
        const thinking = open?.kind === "reasoning" ? [open.id] : []
        this.closeOpen()
        const { drafted, gone, messages } = this.state
        const isGone = ({ id }: AgUiMessage) => drafted.includes(id)
        const thought = messages.filter((message) => isGone(message) && message.role === "reasoning")
        this.state = {
          ...this.state,
          drafted: [],
          gone: [...gone, ...thought.map(({ id }) => id), ...thinking],
          messages: messages.filter((message) => !isGone(message))
        }
        this.snapshot()
      }
    }
  }

  apply({ changes, draft }: Draft.Changed): void {
    for (const change of changes) this.change(change)
    this.state = { ...this.state, draft }
  }

  message({ continued = false, message }: OfType<"message">): void {
    const { content, ...changed } = Draft.settle(this.state.draft, message, continued)
    this.apply(changed)
    if (continued) return
    const { drafted, messages } = this.state
    const text = messages.findLast(({ id, role }) => role === "assistant" && drafted.includes(id))
    this.state = { ...this.state, drafted: [] }
    const calls = content.filter((part) => part.type === "tool_call")
    const parentId = text?.id ?? this.newId()
    for (const { args, tool, toolCallId } of calls) this.announce(toolCallId, tool, args, parentId)
  }

  private set(toolCallId: string, call: Call): void {
    this.state = { ...this.state, calls: new Map([...this.state.calls, [toolCallId, call]]) }
  }

  /** The call is a part of a message of the assistant, which may have no text. */
  private announce(toolCallId: string, tool: string, args: Schema.Json, parentId = this.newId()): Call {
    const known = this.state.calls.get(toolCallId)
    if (known !== undefined) return known
    this.apply(Draft.close(this.state.draft))
    const text = JSON.stringify(args)
    this.write({ type: "TOOL_CALL_START", toolCallId, toolCallName: tool, parentMessageId: parentId })
    this.write({ type: "TOOL_CALL_ARGS", toolCallId, delta: text })
    this.write({ type: "TOOL_CALL_END", toolCallId })
    const toolCall = { id: toolCallId, type: "function", function: { name: tool, arguments: text } }
    const { messages } = this.state
    const parent = messages.find(({ id }) => id === parentId)
    const calls = parent?.["toolCalls"]
    const owner = {
      ...(parent ?? { id: parentId, role: "assistant" }),
      toolCalls: [...(Array.isArray(calls) ? calls : []), toolCall]
    }
    this.state = {
      ...this.state,
      messages: parent === undefined
        ? [...messages, owner]
        : messages.map((message) => message === parent ? owner : message)
    }
    const call: Call = { tool, args, waiting: false, progressed: false }
    this.set(toolCallId, call)
    return call
  }

  approval({ args, decision, tool, toolCallId }: OfType<"tool_approval">): void {
    this.apply(Draft.close(this.state.draft))
    const call = this.announce(toolCallId, tool, args)
    this.set(toolCallId, { ...call, waiting: decision === undefined })
  }

  call({ args, tool, toolCallId }: OfType<"tool_call">): void {
    this.set(toolCallId, { ...this.announce(toolCallId, tool, args), waiting: false })
  }

  progress(toolCallId: string, progress: Schema.Json): void {
    this.custom("tool_progress", { toolCallId, progress })
    const call = this.state.calls.get(toolCallId)
    if (call !== undefined) this.set(toolCallId, { ...call, progressed: progress !== null })
  }

  result({ result, tool, toolCallId }: OfType<"tool_result">): void {
    this.apply(Draft.close(this.state.draft))
    this.announce(toolCallId, tool, {})
    const message = { id: this.newId(), role: "tool", toolCallId, content: resultText(result) }
    const { id: messageId, ...rest } = message
    this.write({ type: "TOOL_CALL_RESULT", messageId, ...rest })
    const calls = new Map(this.state.calls)
    calls.delete(toolCallId)
    const { draft, messages } = this.state
    this.state = { ...this.state, calls, messages: [...messages, message], draft: Draft.keep(draft) }
  }

  discard(): void {
    this.apply(Draft.discard(this.state.draft))
    for (const [toolCallId, { progressed }] of this.state.calls) if (progressed) this.progress(toolCallId, null)
  }

  private finish(outcome: Json): void {
    const { runId, threadId } = this.head
    this.write({ type: "RUN_FINISHED", threadId, runId, outcome })
    this.state = { ...this.state, ended: true }
  }

  end(event: Terminal): void {
    this.apply(Draft.drop(this.state.draft))
    if (event.type !== "error") {
      this.finish({ type: event.type === "done" ? "success" : "cancelled" })
      return
    }
    this.write({ type: "RUN_ERROR", message: event.detail, code: event.error })
    this.state = { ...this.state, ended: true }
  }

  interrupt(): void {
    this.finish({
      type: "interrupt",
      interrupts: [...this.state.calls].map(([toolCallId, { args, tool }]) => ({
        id: interruptId(this.head.taskId, toolCallId),
        reason: "tool_approval",
        toolCallId,
        message: `May the tool "${tool}" be called with ${JSON.stringify(args)}?`
      }))
    })
  }

  event(event: StoredEvent["event"]): void {
    switch (event.type) {
      case "text":
      case "reasoning":
        return this.apply(Draft.delta(this.state.draft, event.type, event.content))
      case "message":
        return this.message(event)
      case "tool_approval":
        return this.approval(event)
      case "tool_call":
        return this.call(event)
      case "tool_progress":
        return this.progress(event.toolCallId, event.data)
      case "tool_result":
        return this.result(event)
      case "retry":
        this.discard()
        return this.custom("retry", {
          tryNumber: event.tryNumber,
          delayMillis: event.delayMillis,
          reason: event.reason
        })
      case "resumed":
        return this.discard()
      case "data":
        return this.custom(event.name, event.data)
      case "title":
        return this.custom("conversation_title", event.title)
      case "done":
      case "error":
      case "cancelled":
        return this.end(event)
    }
  }
}

/**
 * The run after one more event of the task, and its new events. All events of the task are given, from the first.
 *
 * @since 0.1.0
 * @category combinators
 */
export const step = (
  head: Head,
  state: State,
  { event, seq }: StoredEvent
): { readonly state: State; readonly events: ReadonlyArray<AgUiEvent> } => {
  if (state.ended) return { state, events: [] }
  const isBefore = seq <= head.after
  const writer = new Writer(head, state, seq)
  if (!isBefore && !state.begun) writer.begin()
  writer.event(event)
  const pauses = isPaused(writer.state) && !isPaused(state)
  if (pauses) {
    const { askedAt, calls } = writer.state
    const asked = new Map([...askedAt, ...[...calls.keys()].map((id) => [id, seq] as const)])
    writer.state = { ...writer.state, pausedAt: seq, askedAt: asked }
  }
  if (isBefore) return { state: writer.state, events: [] }
  if (pauses && !writer.state.ended) writer.interrupt()
  return { state: writer.state, events: writer.events }
}
