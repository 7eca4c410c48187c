/**
 * The events of a task as events of a response of the OpenAI Responses API: a pure fold.
 *
 * A response is a part of a task: it ends with the task, or where all open tool calls wait for a person. The decision begins the
 * next response of the same task. Its events are numbered 0, 1, 2 and so on, and never change.
 *
 * @since 0.1.0
 */
import type { OfType, StoredEvent, Terminal } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import type { Schema } from "effect"
import * as Draft from "../../internal/draft.ts"
import {
  type Call,
  hasEnded,
  type Head,
  initial,
  type Item,
  type Open,
  requestId,
  type State,
  toObject
} from "./ResponseState.ts"

/**
 * An event without its number.
 *
 * @since 0.1.0
 * @category models
 */
export interface ResponseEvent {
  readonly type: string
  readonly [field: string]: Schema.Json
}

const isPaused = ({ calls }: State): boolean => calls.size > 0 && [...calls.values()].every(({ waiting }) => waiting)

const label = "perennial"

const outputText = (text: string) => ({ type: "output_text", text, annotations: [], logprobs: [] })

const itemOf = ({ id, kind, text }: Open, status: "in_progress" | "completed" | "incomplete"): Item => {
  const isNew = status === "in_progress"
  if (kind === "text") {
    return { id, type: "message", role: "assistant", status, content: isNew ? [] : [outputText(text)] }
  }
  return { id, type: "reasoning", status, summary: [], content: isNew ? [] : [{ type: "reasoning_text", text }] }
}

const names = {
  text: { delta: "response.output_text.delta", done: "response.output_text.done" },
  reasoning: { delta: "response.reasoning_text.delta", done: "response.reasoning_text.done" }
} as const

const partOf = (kind: Draft.Kind, text: string) => kind === "text" ? outputText(text) : { type: "reasoning_text", text }

const resultText = (result: Schema.Json): string => typeof result === "string" ? result : JSON.stringify(result)

/** The events of one event of the task. */
class Writer {
  readonly events: Array<ResponseEvent> = []
  state: State
  private readonly head: Head
  private readonly stored: StoredEvent
  private ids = 0

  constructor(head: Head, state: State, stored: StoredEvent) {
    this.head = head
    this.state = state
    this.stored = stored
  }

  private newId(prefix: string): string {
    return `${prefix}_${this.stored.seq}_${this.ids++}`
  }

  private write(event: ResponseEvent): void {
    this.events.push({ ...event, sequence_number: this.state.count })
    this.state = { ...this.state, count: this.state.count + 1 }
  }

  private lifecycle(type: string): void {
    this.write({ type, response: toObject(this.head, this.state) })
  }

  begin(): void {
    this.state = {
      ...initial,
      calls: this.state.calls,
      draft: this.state.draft,
      pausedAt: this.state.pausedAt,
      pausedBefore: this.state.pausedBefore,
      createdAt: Math.floor(this.stored.at / 1_000)
    }
    this.lifecycle("response.created")
    if (this.head.after > 0) this.started()
  }

  started(): void {
    if (this.state.status !== "queued") return
    this.state = { ...this.state, status: "in_progress" }
    this.lifecycle("response.in_progress")
  }

  private add(item: Item): number {
    const index = this.state.items
    this.state = { ...this.state, items: index + 1 }
    this.write({ type: "response.output_item.added", output_index: index, item })
    return index
  }

  private finish(index: number, item: Item): void {
    this.write({ type: "response.output_item.done", output_index: index, item })
    this.state = { ...this.state, output: [...this.state.output, item] }
  }

  private change(change: Draft.Change, partial: boolean): void {
    const { open } = this.state
    if (change.type === "open") {
      const { kind } = change
      const made = { kind, id: this.newId(kind === "text" ? "msg" : "rs"), index: this.state.items, text: "" }
      this.add(itemOf(made, "in_progress"))
      this.state = { ...this.state, open: made, drafted: [...this.state.drafted, made.id] }
      const place = { item_id: made.id, output_index: made.index, content_index: 0 }
      this.write({ type: "response.content_part.added", ...place, part: partOf(kind, "") })
      return
    }
    if (change.type === "void") {
      if (open !== undefined) {
        this.write({ type: "response.output_item.done", output_index: open.index, item: itemOf(open, "incomplete") })
      }
      const output = this.state.output.filter(({ id }) => !this.state.drafted.includes(id))
      this.state = { ...this.state, open: undefined, drafted: [], output }
      return
    }
    if (open === undefined) return
    const { id, index, kind, text } = open
    const place = { item_id: id, output_index: index, content_index: 0 }
    if (change.type === "delta") {
      this.write({
        type: names[kind].delta,
        ...place,
        delta: change.text,
        ...(kind === "text" ? { logprobs: [] } : {})
      })
      this.state = { ...this.state, open: { ...open, text: text + change.text } }
      return
    }
    this.write({ type: names[kind].done, ...place, text, ...(kind === "text" ? { logprobs: [] } : {}) })
    this.write({ type: "response.content_part.done", ...place, part: partOf(kind, text) })
    this.state = { ...this.state, open: undefined }
    this.finish(index, itemOf(open, partial ? "incomplete" : "completed"))
  }

  apply({ changes, draft }: Draft.Changed, partial = false): void {
    for (const change of changes) this.change(change, partial)
    this.state = { ...this.state, draft }
  }

  message({ continued = false, message, partial = false, usage }: OfType<"message">): void {
    const { content, ...changed } = Draft.settle(this.state.draft, message, continued)
    this.apply(changed, partial)
    this.state = { ...this.state, usage: Usage.add(this.state.usage, usage) }
    if (continued) return
    this.state = { ...this.state, drafted: [] }
    for (const part of content) if (part.type === "tool_call") this.know(part.toolCallId, part.tool, part.args)
  }

  private set(toolCallId: string, call: Call): void {
    this.state = { ...this.state, calls: new Map([...this.state.calls, [toolCallId, call]]) }
  }

  private know(toolCallId: string, tool: string, args: Schema.Json): Call {
    const known = this.state.calls.get(toolCallId) ?? { tool, args, waiting: false, asked: false }
    this.set(toolCallId, known)
    return known
  }

  approval({ args, decision, tool, toolCallId }: OfType<"tool_approval">): void {
    this.apply(Draft.close(this.state.draft))
    const { item: begun, ...call } = this.know(toolCallId, tool, args)
    if (decision === undefined) {
      // It was executed before a recovery, and is not any more.
      if (begun !== undefined) {
        const item = this.itemOfCall(toolCallId, { ...call, item: begun }, "incomplete", null, null)
        this.write({ type: "response.output_item.done", output_index: begun.index, item })
      }
      const asked = { type: "mcp_approval_request", name: tool, arguments: JSON.stringify(args), server_label: label }
      const item = { id: requestId(toolCallId), ...asked }
      // A question that is asked again is the same item.
      if (!this.state.output.some(({ id }) => id === item.id)) this.finish(this.add(item), item)
    }
    this.set(toolCallId, { ...call, waiting: decision === undefined, asked: true })
  }

  private itemOfCall(
    toolCallId: string,
    call: Call,
    status: string,
    output: string | null,
    error: string | null
  ): Item {
    return {
      id: call.item?.id ?? this.newId("mcp"),
      type: "mcp_call",
      server_label: label,
      name: call.tool,
      arguments: JSON.stringify(call.args),
      approval_request_id: call.asked ? requestId(toolCallId) : null,
      status,
      output,
      error: error === null ? null : { type: "mcp_tool_execution_error", content: [{ type: "text", text: error }] }
    }
  }

  /** The call is executed; the same call again was restarted. */
  call(toolCallId: string, tool: string, args: Schema.Json): Call & { readonly item: NonNullable<Call["item"]> } {
    this.apply(Draft.close(this.state.draft))
    const known = { ...this.know(toolCallId, tool, args), args, waiting: false }
    if (known.item !== undefined) return { ...known, item: known.item }
    const added = this.itemOfCall(toolCallId, known, "in_progress", null, null)
    const item = { id: added.id, index: this.add(added) }
    this.write({ type: "response.mcp_call.in_progress", item_id: item.id, output_index: item.index })
    const call = { ...known, item }
    this.set(toolCallId, call)
    return call
  }

  result({ result, status, tool, toolCallId, usage }: OfType<"tool_result">): void {
    if (usage !== undefined) this.state = { ...this.state, usage: Usage.add(this.state.usage, usage) }
    const call = this.call(toolCallId, tool, this.state.calls.get(toolCallId)?.args ?? {})
    const completed = status === "completed"
    const text = resultText(result)
    const type = `response.mcp_call.${completed ? "completed" : "failed"}`
    this.write({ type, item_id: call.item.id, output_index: call.item.index })
    const item = this.itemOfCall(
      toolCallId,
      call,
      completed ? "completed" : "failed",
      completed ? text : null,
      completed ? null : text
    )
    this.finish(call.item.index, item)
    const calls = new Map(this.state.calls)
    calls.delete(toolCallId)
    this.state = { ...this.state, calls, draft: Draft.keep(this.state.draft) }
  }

  end(event: Terminal): void {
    this.apply(Draft.drop(this.state.draft))
    const calls: State["calls"] = new Map()
    if (event.type === "done") {
      this.state = { ...this.state, calls, status: "completed" }
      this.lifecycle("response.completed")
    } else if (event.type === "error") {
      this.state = { ...this.state, calls, status: "failed", error: event.detail }
      this.lifecycle("response.failed")
    } else {
      this.state = { ...this.state, calls, status: "cancelled" }
      // The client knows no event for a cancel.
      this.lifecycle("response.incomplete")
    }
  }

  pause(): void {
    this.state = { ...this.state, status: "completed" }
    this.lifecycle("response.completed")
  }

  event(): void {
    const { event } = this.stored
    switch (event.type) {
      case "started":
        return this.started()
      case "text":
      case "reasoning":
        return this.apply(Draft.delta(this.state.draft, event.type, event.content))
      case "message":
        return this.message(event)
      case "tool_approval":
        return this.approval(event)
      case "tool_call":
        this.call(event.toolCallId, event.tool, event.args)
        return
      case "tool_result":
        return this.result(event)
      case "retry":
      case "resumed":
        return this.apply(Draft.discard(this.state.draft))
      case "done":
      case "error":
      case "cancelled":
        return this.end(event)
    }
  }
}

/**
 * The response after one more event of the task, and its new events. All events of the task are given, from the first.
 *
 * @since 0.1.0
 * @category combinators
 */
export const step = (
  head: Head,
  state: State,
  stored: StoredEvent
): { readonly state: State; readonly events: ReadonlyArray<ResponseEvent> } => {
  if (hasEnded(state)) return { state, events: [] }
  const isBefore = stored.seq <= head.after
  const writer = new Writer(head, state, stored)
  if (!isBefore && state.count === 0) writer.begin()
  writer.event()
  const pauses = isPaused(writer.state) && !isPaused(state)
  if (isBefore) {
    const { calls, draft } = writer.state
    const paused = pauses ? { pausedAt: stored.seq, pausedBefore: state.pausedAt } : undefined
    const { pausedAt, pausedBefore } = { ...state, ...paused }
    return { state: { ...initial, calls, draft, pausedAt, pausedBefore }, events: [] }
  }
  // The response that goes on after this pause begins here.
  if (pauses) writer.state = { ...writer.state, pausedAt: stored.seq }
  if (pauses && !hasEnded(writer.state)) writer.pause()
  return { state: writer.state, events: writer.events }
}
