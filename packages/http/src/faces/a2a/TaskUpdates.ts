/**
 * The events of a task as updates of an A2A task (A2A 1.0): a pure fold.
 *
 * Each answer of the model is an artifact, to which its text is appended. Thinking, tool calls and their results are messages of
 * the status. Text that became void is replaced by the text that stands.
 *
 * @since 0.1.0
 */
import type { OfType, StoredEvent, Terminal } from "@perennial/domain/TaskEvent"
import type { Schema } from "effect"
import * as Draft from "../../internal/draft.ts"
import {
  type A2aMessage,
  answerId,
  artifactObject,
  type Call,
  hasEnded,
  type Head,
  isPaused,
  type Json,
  type Part,
  type State,
  type Status,
  statusObject,
  type TaskState
} from "./A2aTask.ts"

/**
 * An element of a stream of A2A: `task`, `statusUpdate` or `artifactUpdate`.
 *
 * @since 0.1.0
 * @category models
 */
export type Update = Json

const isWaiting = (calls: State["calls"]): boolean =>
  calls.size > 0 && [...calls.values()].every(({ waiting }) => waiting)

const dataPart = (kind: string, data: Json): Part => ({ data, metadata: { kind } })

const textPart = (text: string): Part => ({ text })

/** The updates of one event of the task. */
class Writer {
  readonly updates: Array<Update> = []
  state: State
  private readonly head: Head
  private readonly stored: StoredEvent
  private ids = 0

  constructor(head: Head, state: State, stored: StoredEvent) {
    this.head = head
    this.state = state
    this.stored = stored
  }

  private message(role: A2aMessage["role"], parts: ReadonlyArray<Part>): A2aMessage {
    const { contextId, taskId } = this.head
    return { messageId: `${taskId}-${this.stored.seq}-${this.ids++}`, contextId, taskId, role, parts }
  }

  private update(status: Status, metadata?: Json): void {
    const { contextId, taskId } = this.head
    const statusUpdate = { taskId, contextId, status: statusObject(status) }
    this.updates.push({ statusUpdate: metadata === undefined ? statusUpdate : { ...statusUpdate, metadata } })
  }

  /** A new status; the message of the one before becomes history. */
  private enter(state: TaskState, parts: ReadonlyArray<Part> = [], metadata?: Json): void {
    const { said, status: { message } } = this.state
    const status = {
      state,
      at: this.stored.at,
      message: parts.length === 0 ? undefined : this.message("ROLE_AGENT", parts)
    }
    this.state = { ...this.state, status, said: message === undefined ? said : [...said, message] }
    this.update(status, metadata)
  }

  /** Something that is no part of the task, for those who watch. */
  private note(metadata: Json): void {
    this.update({ ...this.state.status, at: this.stored.at, message: undefined }, metadata)
  }

  private artifact(text: string, append: boolean, lastChunk: boolean): void {
    const { contextId, taskId } = this.head
    const artifact = append
      ? { artifactId: answerId(this.state), parts: [textPart(text)] }
      : artifactObject({ id: answerId(this.state), text })
    const update = { taskId, contextId, artifact, append }
    this.updates.push({ artifactUpdate: lastChunk ? { ...update, lastChunk } : update })
    this.state = { ...this.state, shown: true }
  }

  /** What the changes do to the text of the answer. */
  private apply({ changes, draft }: Draft.Changed, lastChunk = false): void {
    const { shown } = this.state
    let kind = this.state.draft.blocks.at(-1)?.kind
    let text = ""
    let isVoid = false
    for (const change of changes) {
      if (change.type === "open") kind = change.kind
      else if (change.type === "delta" && kind === "text") text += change.text
      else if (change.type === "void") [text, isVoid] = ["", true]
    }
    if (isVoid && shown) this.artifact(text, false, lastChunk)
    else if (text !== "") this.artifact(text, shown, lastChunk)
    else if (shown && lastChunk) this.artifact("", true, true)
    this.state = { ...this.state, draft }
  }

  private set(toolCallId: string, call: Call): void {
    this.state = { ...this.state, calls: new Map([...this.state.calls, [toolCallId, call]]) }
  }

  private callPart(toolCallId: string, tool: string, args: Schema.Json): Part {
    if (!this.state.calls.has(toolCallId)) this.set(toolCallId, { tool, args, waiting: false })
    return dataPart("tool_call", { toolCallId, tool, args })
  }

  /** A call that no message has announced. */
  private announce(toolCallId: string, tool: string, args: Schema.Json): void {
    if (this.state.calls.has(toolCallId)) return
    this.enter("TASK_STATE_WORKING", [this.callPart(toolCallId, tool, args)])
  }

  private answer({ continued = false, message }: OfType<"message">): void {
    const { content, ...changed } = Draft.settle(this.state.draft, message, continued)
    this.apply(changed, !continued)
    if (continued) return
    const text = content.map((part) => part.type === "text" ? part.text : "").join("")
    const { answers, count } = this.state
    const answer = { id: answerId(this.state), text }
    this.state = {
      ...this.state,
      answers: text === "" ? answers : [...answers, answer],
      count: count + 1,
      shown: false
    }
    const parts = content.flatMap((part): ReadonlyArray<Part> => {
      if (part.type === "reasoning" && part.text !== "") return [{ text: part.text, metadata: { kind: "reasoning" } }]
      return part.type === "tool_call" ? [this.callPart(part.toolCallId, part.tool, part.args)] : []
    })
    if (parts.length > 0) this.enter("TASK_STATE_WORKING", parts)
  }

  private approval({ args, decision, tool, toolCallId }: OfType<"tool_approval">): void {
    this.announce(toolCallId, tool, args)
    this.set(toolCallId, { tool, args, waiting: decision === undefined })
    if (decision !== undefined) {
      this.enter("TASK_STATE_WORKING")
      const answer = this.message("ROLE_USER", [dataPart("decision", { toolCallId, ...decision })])
      this.state = { ...this.state, said: [...this.state.said, answer] }
    }
  }

  /** Asks when everything waits, and again for each further question. */
  private ask(): void {
    const { calls } = this.state
    if (!isWaiting(calls) || (isPaused(this.state) && this.stored.event.type !== "tool_approval")) return
    this.enter(
      "TASK_STATE_INPUT_REQUIRED",
      [...calls].flatMap(([toolCallId, { args, tool }]) => [
        textPart(`May the tool "${tool}" be called with ${JSON.stringify(args)}?`),
        dataPart("tool_approval", { toolCallId, tool, args })
      ])
    )
    this.state = { ...this.state, pausedAt: this.stored.seq }
  }

  private call({ args, tool, toolCallId }: OfType<"tool_call">): void {
    this.announce(toolCallId, tool, args)
    this.set(toolCallId, { tool, args, waiting: false })
    if (isPaused(this.state)) this.enter("TASK_STATE_WORKING")
  }

  private result({ decision, result, status, tool, toolCallId }: OfType<"tool_result">): void {
    this.announce(toolCallId, tool, {})
    const decided = decision === undefined ? {} : { decision: { ...decision } }
    this.enter("TASK_STATE_WORKING", [dataPart("tool_result", { toolCallId, tool, result, status, ...decided })])
    const calls = new Map(this.state.calls)
    calls.delete(toolCallId)
    this.state = { ...this.state, calls, draft: Draft.keep(this.state.draft) }
  }

  private end(event: Terminal): void {
    this.apply(Draft.drop(this.state.draft), true)
    switch (event.type) {
      case "done":
        this.state = { ...this.state, usage: event.usage }
        return this.enter("TASK_STATE_COMPLETED")
      case "error":
        return this.enter("TASK_STATE_FAILED", [textPart(event.detail)], { error: event.error })
      case "cancelled":
        return this.enter("TASK_STATE_CANCELED", event.reason === undefined ? [] : [textPart(event.reason)])
    }
  }

  event(): void {
    this.change()
    if (!hasEnded(this.state)) this.ask()
  }

  private change(): void {
    const { event } = this.stored
    switch (event.type) {
      case "started":
        return this.enter("TASK_STATE_WORKING")
      case "text":
      case "reasoning":
        return this.apply(Draft.delta(this.state.draft, event.type, event.content))
      case "message":
        return this.answer(event)
      case "tool_approval":
        return this.approval(event)
      case "tool_call":
        return this.call(event)
      case "tool_progress":
        return this.note({ toolProgress: { toolCallId: event.toolCallId, progress: event.data } })
      case "tool_result":
        return this.result(event)
      case "retry":
      case "resumed":
        return this.apply(Draft.discard(this.state.draft))
      case "data":
        return this.note({ data: { name: event.name, data: event.data } })
      case "title":
        this.state = { ...this.state, title: event.title }
        return this.note({ title: event.title })
      case "done":
      case "error":
      case "cancelled":
        return this.end(event)
    }
  }
}

/**
 * The task after one more event, and what a client is told that has followed it so far.
 *
 * @since 0.1.0
 * @category combinators
 */
export const step = (
  head: Head,
  state: State,
  stored: StoredEvent
): { readonly state: State; readonly updates: ReadonlyArray<Update> } => {
  const writer = new Writer(head, state, stored)
  writer.event()
  // Before the first event a task was never in any status.
  if (state.status.at === 0) {
    writer.state = { ...writer.state, status: { ...writer.state.status, at: stored.at } }
  }
  return { state: writer.state, updates: writer.updates }
}
