/**
 * The events of a task as frames of a run of LangGraph: a pure fold.
 *
 * A stream ends with the task, or where all open tool calls wait for a person. The frames of an event are numbered, whichever modes a
 * client asks for, so that a cursor is good for every stream of the task.
 *
 * @since 0.1.0
 */
import type { OfType, StoredEvent, Terminal } from "@perennial/domain/TaskEvent"
import type { Schema } from "effect"
import * as Draft from "../../internal/draft.ts"
import { answerId, type LangMessage, reasoning, toAnswer, toCallChunk, tokens, toResult } from "./Messages.ts"
import {
  type Call,
  type Frame,
  interruptsOf,
  isPaused,
  nothingOpen,
  type Range,
  type State,
  type StreamMode,
  toId,
  valuesOf
} from "./RunState.ts"

/** As LangChain's agents name their nodes. */
const modelNode = "model"
const toolsNode = "tools"

/** A partial message is sent again when it has grown by this part, so that a long answer costs a bounded multiple of its length. */
const growth = 16

/** The first numbers of an event are those of the frames that open a stream. */
const opening = { metadata: 0, values: 1, rest: 2 }

/** The frames of one event of the task. */
class Writer {
  readonly frames: Array<Frame> = []
  state: State
  private readonly range: Range
  private readonly seq: number
  private n = opening.rest

  constructor(range: Range, state: State, seq: number) {
    this.range = range
    this.state = state
    this.seq = seq
  }

  private write(mode: StreamMode | "always", event: string, data: () => Frame["data"], n = this.n++): void {
    const { modes } = this.range
    if (mode === "always" || modes.has(mode)) this.frames.push({ id: toId({ seq: this.seq, n }), event, data: data() })
  }

  private get id(): string {
    return answerId(this.range.taskId, this.state.answers)
  }

  private values(n?: number): void {
    this.write("values", "values", () => valuesOf(this.state), n)
  }

  begin(): void {
    this.state = { ...this.state, begun: true }
    const { taskId, threadId } = this.range
    this.write("always", "metadata", () => ({ run_id: taskId, thread_id: threadId }), opening.metadata)
  }

  /** What the thread has before the run goes on. When the model is asked, the store has the message of the user. */
  openWith(): void {
    this.state = { ...this.state, opened: true }
    this.values(opening.values)
  }

  private chunk(node: string, message: LangMessage): void {
    this.write("messages-tuple", "messages", () => [message, { tags: [], langgraph_node: node }])
  }

  private piece(fields: { readonly [field: string]: Schema.Json }): void {
    this.chunk(modelNode, { id: this.id, type: "AIMessageChunk", content: "", ...fields })
  }

  private partial(): void {
    const { reasoning: thought, shown, text } = this.state.open
    const length = text.length + thought.length
    const isDue = shown === 0 || length === 0 || length - shown >= shown / growth
    if (shown === 0) {
      this.write("messages", "messages/metadata", () => ({
        [this.id]: { metadata: { tags: [], langgraph_node: modelNode } }
      }))
    }
    if (!isDue) return
    this.state = { ...this.state, open: { ...this.state.open, shown: length } }
    this.write("messages", "messages/partial", () => [{
      id: this.id,
      type: "ai",
      content: text,
      tool_calls: [],
      ...reasoning(thought)
    }])
  }

  private change(change: Draft.Change): void {
    const { open } = this.state
    switch (change.type) {
      case "open":
        this.state = { ...this.state, open: { ...open, kind: change.kind } }
        return
      case "delta": {
        const { kind } = open
        this.state = { ...this.state, open: { ...open, [kind]: open[kind] + change.text } }
        this.piece(kind === "text" ? { content: change.text } : reasoning(change.text))
        return this.partial()
      }
      case "close":
        return
      case "void":
        this.state = { ...this.state, open: nothingOpen }
        this.chunk(modelNode, { id: this.id, type: "remove", content: "" })
        return this.partial()
    }
  }

  apply({ changes, draft }: Draft.Changed): void {
    for (const change of changes) this.change(change)
    this.state = { ...this.state, draft }
  }

  private add(node: string, message: LangMessage): void {
    this.state = { ...this.state, messages: [...this.state.messages, message] }
    this.write("messages", "messages/complete", () => [message])
    this.write("updates", "updates", () => ({ [node]: { messages: [message] } }))
    this.values()
  }

  message({ continued = false, message, usage }: OfType<"message">): void {
    const { content, ...changed } = Draft.settle(this.state.draft, message, continued)
    this.apply(changed)
    if (continued) return
    const calls = content.filter((part) => part.type === "tool_call")
    for (const { args, tool, toolCallId } of calls) this.know(toolCallId, tool, args)
    this.piece({
      ...(calls.length === 0 ? {} : { tool_call_chunks: calls.map(toCallChunk) }),
      ...tokens(usage)
    })
    const answer = toAnswer(this.id, content, usage)
    this.state = { ...this.state, open: nothingOpen, answers: this.state.answers + 1 }
    this.add(modelNode, answer)
  }

  private set(toolCallId: string, call: Call): void {
    this.state = { ...this.state, calls: new Map([...this.state.calls, [toolCallId, call]]) }
  }

  private know(toolCallId: string, tool: string, args: Schema.Json): Call {
    const known = this.state.calls.get(toolCallId) ?? { tool, args, waiting: false }
    this.set(toolCallId, known)
    return known
  }

  private tool(event: string, toolCallId: string, more: { readonly [field: string]: Schema.Json }): void {
    const name = this.state.calls.get(toolCallId)?.tool ?? ""
    this.write("tools", "tools", () => ({ event: `on_tool_${event}`, toolCallId, name, ...more }))
  }

  approval({ args, decision, tool, toolCallId }: OfType<"tool_approval">): void {
    this.set(toolCallId, { ...this.know(toolCallId, tool, args), waiting: decision === undefined })
  }

  call({ args, tool, toolCallId }: OfType<"tool_call">): void {
    this.set(toolCallId, { tool, args, waiting: false })
    this.tool("start", toolCallId, { input: args })
  }

  result(event: OfType<"tool_result">): void {
    const { result, status, tool, toolCallId } = event
    this.know(toolCallId, tool, {})
    if (status === "completed") this.tool("end", toolCallId, { output: result })
    else this.tool("error", toolCallId, { error: result })
    const message = toResult(`${this.range.taskId}/${this.seq}`, event)
    const calls = new Map(this.state.calls)
    calls.delete(toolCallId)
    this.state = { ...this.state, calls, draft: Draft.keep(this.state.draft) }
    this.chunk(toolsNode, message)
    this.add(toolsNode, message)
  }

  private custom(name: string, data: Schema.Json): void {
    this.write("custom", "custom", () => ({ name, data }))
  }

  retry({ delayMillis, reason, tryNumber }: OfType<"retry">): void {
    this.apply(Draft.discard(this.state.draft))
    this.custom("retry", { tryNumber, delayMillis, reason })
  }

  private finish(status: State["status"]): void {
    this.state = { ...this.state, status, ended: true }
    if (this.state.error !== undefined) {
      const { error } = this.state
      return this.write("always", "error", () => error)
    }
    this.write("always", "end", () => ({ run_id: this.range.taskId, status }))
  }

  end(event: Terminal): void {
    const dropped = Draft.drop(this.state.draft)
    this.apply(dropped)
    this.state = { ...this.state, calls: new Map() }
    // Clients that have only values show what has become void until they get others.
    if (dropped.changes.length > 0) this.values()
    if (event.type === "done") return this.finish("success")
    if (event.type === "cancelled") return this.finish("interrupted")
    this.state = { ...this.state, error: { error: event.error, message: event.detail } }
    this.finish("error")
  }

  pause(): void {
    const interrupts = interruptsOf(this.range.taskId, this.state)
    this.write("updates", "updates", () => ({ __interrupt__: interrupts }))
    this.write("values", "values", () => ({ ...valuesOf(this.state), __interrupt__: interrupts }))
    this.finish("interrupted")
  }

  event(event: StoredEvent["event"]): void {
    switch (event.type) {
      case "started":
        this.state = { ...this.state, status: "running" }
        return
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
        return this.tool("event", event.toolCallId, { data: event.data })
      case "tool_result":
        return this.result(event)
      case "retry":
        return this.retry(event)
      case "resumed":
        return this.apply(Draft.discard(this.state.draft))
      case "data":
        return this.custom(event.name, event.data)
      case "output":
        this.state = { ...this.state, output: event.output }
        return this.values()
      case "title":
        return this.custom("conversation_title", event.title)
      case "done":
      case "error":
      case "cancelled":
        return this.end(event)
    }
  }
}

const isBeforeModel = ({ type }: StoredEvent["event"]): boolean => type === "ack" || type === "started"

/**
 * The run after one more event of the task, and its new frames. All events of the task are given, from the first.
 *
 * @since 0.1.0
 * @category combinators
 */
export const step = (
  range: Range,
  state: State,
  { event, seq }: StoredEvent
): { readonly state: State; readonly frames: ReadonlyArray<Frame> } => {
  if (state.ended) return { state, frames: [] }
  const isBefore = seq <= range.after
  const writer = new Writer(range, state, seq)
  if (!isBefore && !state.begun) writer.begin()
  if (!isBefore && !state.opened && !isBeforeModel(event)) writer.openWith()
  writer.event(event)
  const paused = isPaused(writer.state)
  const pauses = paused && !isPaused(state)
  if (pauses) writer.state = { ...writer.state, pausedAt: seq }
  if (isBefore) return { state: writer.state, frames: [] }
  const stops = paused && (seq === range.through || (pauses && seq > range.through))
  if (stops && !writer.state.ended) writer.pause()
  return { state: writer.state, frames: writer.frames }
}
