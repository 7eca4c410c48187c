/**
 * The events of a task as the chunks of an AI SDK UI message stream (`ai` 7): a pure fold.
 *
 * A task is one message of the assistant, with the id of the task. The n-th chunk of a response never changes, so that a number
 * is a cursor. At the end of a step the message has the text that the conversation stores: where the chunks before it differ, or
 * became void, `reset-step` removes them.
 *
 * @since 0.1.0
 */
import { type AssistantMessage, citations } from "@perennial/domain/Message"
import type { OfType, StoredEvent, Terminal } from "@perennial/domain/TaskEvent"
import type { Schema } from "effect"
import { joined, type Piece } from "../../internal/draft.ts"

/**
 * A chunk. `type` is one that the client knows: it refuses others.
 *
 * @since 0.1.0
 * @category models
 */
export interface Chunk {
  readonly type: string
  readonly [field: string]: Schema.Json
}

type Kind = "text" | "reasoning"

/** Text of the step that is being written. The first `kept` characters cannot become void before their message. */
interface Block {
  readonly kind: Kind
  readonly id: string
  readonly text: string
  readonly kept: number
  readonly open: boolean
}

/** A call without a result. */
interface Call {
  readonly tool: string
  readonly args: Schema.Json
  readonly waiting: boolean
  readonly progressed: boolean
}

/**
 * What the fold remembers of the events before.
 *
 * @since 0.1.0
 * @category models
 */
export interface State {
  /** `writing`: the step may still be reset. `settled`: it has its message. */
  readonly step: "none" | "writing" | "settled"
  /** What the client has of the step that is being written, in order. */
  readonly parts: ReadonlyArray<Block | Chunk>
  /** The pieces of a message that continues in the next event. */
  readonly pieces: AssistantMessage["content"]
  readonly calls: ReadonlyMap<string, Call>
  /** The model reached its longest answer. */
  readonly truncated: boolean
  readonly ended: boolean
}

/**
 * Before the first event.
 *
 * @since 0.1.0
 * @category constructors
 */
export const initial: State = {
  step: "none",
  parts: [],
  pieces: [],
  calls: new Map(),
  truncated: false,
  ended: false
}

/**
 * Whether everything that the task does waits for a person.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isPaused = ({ calls, ended }: State): boolean =>
  !ended && calls.size > 0 && [...calls.values()].every(({ waiting }) => waiting)

/**
 * The first chunk of every response of a task.
 *
 * @since 0.1.0
 * @category chunks
 */
export const start = (messageId: string): Chunk => ({ type: "start", messageId })

/**
 * The last chunks of a response that ends before its task, because a person has to decide.
 *
 * @since 0.1.0
 * @category chunks
 */
export const pause = ({ step }: State): ReadonlyArray<Chunk> => [
  ...(step === "none" ? [] : [finishStep]),
  { type: "finish", finishReason: "tool-calls" }
]

const startStep: Chunk = { type: "start-step" }
const finishStep: Chunk = { type: "finish-step" }

const kept = (part: Block | Chunk): Block | Chunk =>
  isBlock(part) && part.kept < part.text.length ? { ...part, kept: part.text.length } : part

const isBlock = (part: Block | Chunk): part is Block => "kind" in part

const piecesOf = (content: AssistantMessage["content"]): ReadonlyArray<Piece> =>
  joined(
    content.flatMap((part) =>
      part.type === "text" || part.type === "reasoning" ? [{ kind: part.type, text: part.text }] : []
    )
  )

const same = (one: ReadonlyArray<Piece>, other: ReadonlyArray<Piece>): boolean =>
  one.length === other.length && one.every(({ kind, text }, i) => kind === other[i]?.kind && text === other[i].text)

const sameJson = (one: Schema.Json, other: Schema.Json): boolean => JSON.stringify(one) === JSON.stringify(other)

/** A sentence for a person: the reason that a tool gave, or all of its result. */
const errorText = (result: Schema.Json): string => {
  if (typeof result === "string") return result
  const { message, reason }: { readonly message?: unknown; readonly reason?: unknown } = Object(result)
  if (typeof reason === "string") return reason
  return typeof message === "string" ? message : JSON.stringify(result)
}

/** The chunks of one event. */
class Writer {
  readonly chunks: Array<Chunk> = []
  state: State
  private readonly seq: number
  private ids = 0

  constructor(state: State, seq: number) {
    this.state = state
    this.seq = seq
  }

  /** Unique in the message: an event has few blocks. */
  private newId(): string {
    return `${this.seq}.${this.ids++}`
  }

  /** A chunk that is part of the step: it is written again when the step is reset. */
  private write(chunk: Chunk): void {
    this.closeBlock()
    this.chunks.push(chunk)
    const { parts, step } = this.state
    if (step === "writing") this.state = { ...this.state, parts: [...parts, chunk] }
  }

  private openStep(): void {
    const { step } = this.state
    if (step === "writing") return
    if (step === "settled") this.chunks.push(finishStep)
    this.chunks.push(startStep)
    this.state = { ...this.state, step: "writing", parts: [] }
  }

  private closeBlock(): void {
    const { parts } = this.state
    const last = parts.at(-1)
    if (last === undefined || !isBlock(last) || !last.open) return
    this.chunks.push({ type: `${last.kind}-end`, id: last.id })
    this.state = { ...this.state, parts: [...parts.slice(0, -1), { ...last, open: false }] }
  }

  delta(kind: Kind, text: string): void {
    if (text === "") return
    this.openStep()
    const last = this.state.parts.at(-1)
    if (last !== undefined && isBlock(last) && last.open && last.kind === kind) {
      this.chunks.push({ type: `${kind}-delta`, id: last.id, delta: text })
      const parts = [...this.state.parts.slice(0, -1), { ...last, text: last.text + text }]
      this.state = { ...this.state, parts }
      return
    }
    this.closeBlock()
    const id = this.newId()
    this.chunks.push({ type: `${kind}-start`, id }, { type: `${kind}-delta`, id, delta: text })
    this.state = { ...this.state, parts: [...this.state.parts, { kind, id, text, kept: 0, open: true }] }
  }

  /** Removes the text of the step, and writes what stays again. */
  private reset(staying: (block: Block) => string): void {
    const { parts } = this.state
    this.chunks.push({ type: "reset-step" })
    this.state = { ...this.state, parts: [] }
    for (const part of parts) {
      if (isBlock(part)) {
        this.delta(part.kind, staying(part))
        this.keep()
      } else this.write(part)
    }
    this.closeBlock()
  }

  /** `discardAfter` cannot name an event before this one. */
  keep(): void {
    if (this.state.parts.length > 0) this.state = { ...this.state, parts: this.state.parts.map(kept) }
  }

  discard(): void {
    if (this.state.parts.some((part) => isBlock(part) && part.kept < part.text.length)) {
      this.reset(({ kept, text }) => text.slice(0, kept))
    }
    for (const [toolCallId, call] of this.state.calls) {
      if (!call.progressed) continue
      this.progress(toolCallId, null)
      this.set(toolCallId, { ...call, progressed: false })
    }
  }

  message({ continued, message, truncated = false }: OfType<"message">): void {
    const pieces = [...this.state.pieces, ...message.content]
    if (continued === true) {
      this.state = { ...this.state, pieces }
      return
    }
    const stored = piecesOf(pieces)
    this.openStep()
    if (!same(joined(this.state.parts.filter(isBlock)), stored)) {
      if (this.state.parts.some(isBlock)) this.reset(() => "")
      for (const { kind, text } of stored) this.delta(kind, text)
    }
    this.closeBlock()
    for (const { title, url } of citations({ role: "assistant", content: pieces })) {
      if (url !== undefined) {
        this.write({ type: "source-url", sourceId: url, url, ...(title === undefined ? {} : { title }) })
      }
    }
    this.state = { ...this.state, step: "settled", parts: [], pieces: [], truncated }
    for (const part of pieces) {
      if (part.type === "tool_call") this.announce(part.toolCallId, part.tool, part.args)
    }
  }

  private set(toolCallId: string, call: Call): void {
    this.state = { ...this.state, calls: new Map([...this.state.calls, [toolCallId, call]]) }
  }

  private input(toolCallId: string, toolName: string, input: Schema.Json): void {
    this.write({ type: "tool-input-available", toolCallId, toolName, input, dynamic: true })
  }

  private announce(toolCallId: string, tool: string, args: Schema.Json): Call {
    const known = this.state.calls.get(toolCallId)
    if (known !== undefined) return known
    this.input(toolCallId, tool, args)
    const call: Call = { tool, args, waiting: false, progressed: false }
    this.set(toolCallId, call)
    return call
  }

  approval({ args, decision, tool, toolCallId }: OfType<"tool_approval">): void {
    const call = this.announce(toolCallId, tool, args)
    // The call is its own approval: a call waits at most once.
    const approval = { approvalId: toolCallId }
    if (decision === undefined) this.write({ type: "tool-approval-request", ...approval, toolCallId })
    else {
      const { approved, reason } = decision
      this.write({ type: "tool-approval-response", ...approval, approved, ...(reason === undefined ? {} : { reason }) })
    }
    this.set(toolCallId, { ...call, waiting: decision === undefined })
  }

  call({ args, tool, toolCallId }: OfType<"tool_call">): void {
    const call = this.announce(toolCallId, tool, args)
    // A person may have changed the arguments.
    if (!sameJson(call.args, args)) this.input(toolCallId, tool, args)
    this.set(toolCallId, { ...call, args, waiting: false })
  }

  progress(toolCallId: string, progress: Schema.Json): void {
    this.write({ type: "data-tool-progress", id: toolCallId, data: { toolCallId, progress } })
    const call = this.state.calls.get(toolCallId)
    if (call !== undefined) this.set(toolCallId, { ...call, progressed: true })
  }

  result({ decision, result, status, tool, toolCallId }: OfType<"tool_result">): void {
    this.announce(toolCallId, tool, {})
    if (status === "completed") this.write({ type: "tool-output-available", toolCallId, output: result })
    else if (decision?.approved === false) this.write({ type: "tool-output-denied", toolCallId })
    else this.write({ type: "tool-output-error", toolCallId, errorText: errorText(result) })
    const calls = new Map(this.state.calls)
    calls.delete(toolCallId)
    this.state = { ...this.state, calls }
    this.keep()
  }

  data(name: string, data: Schema.Json): void {
    this.write({ type: `data-${name}`, id: String(this.seq), data })
  }

  /** The client shows it, and does not keep it in the message. */
  notice(name: string, data: Schema.Json): void {
    this.chunks.push({ type: `data-${name}`, data, transient: true })
  }

  end(event: Terminal): void {
    // Text without a message is in no conversation.
    if (this.state.parts.some(isBlock)) this.reset(() => "")
    if (this.state.step !== "none") this.chunks.push(finishStep)
    switch (event.type) {
      case "done":
        this.chunks.push({ type: "finish", finishReason: this.state.truncated ? "length" : "stop" })
        break
      case "cancelled":
        this.chunks.push(
          { type: "abort", ...(event.reason === undefined ? {} : { reason: event.reason }) },
          { type: "finish" }
        )
        break
      case "error":
        this.chunks.push({ type: "error", errorText: event.detail }, { type: "finish", finishReason: "error" })
    }
    this.state = { ...this.state, step: "none", parts: [], calls: new Map(), ended: true }
  }
}

/**
 * The state after one more event, and the chunks of the event. `start` and `pause` are added by whoever makes a response.
 *
 * @since 0.1.0
 * @category combinators
 */
export const step = (
  state: State,
  { event, seq }: StoredEvent
): { readonly state: State; readonly chunks: ReadonlyArray<Chunk> } => {
  const writer = new Writer(state, seq)
  switch (event.type) {
    case "text":
    case "reasoning":
      writer.delta(event.type, event.content)
      break
    case "message":
      writer.message(event)
      break
    case "tool_approval":
      writer.approval(event)
      break
    case "tool_call":
      writer.call(event)
      break
    case "tool_progress":
      writer.progress(event.toolCallId, event.data)
      break
    case "tool_result":
      writer.result(event)
      break
    case "retry": {
      const { delayMillis, reason, tryNumber } = event
      writer.discard()
      writer.notice("retry", { tryNumber, delayMillis, reason })
      break
    }
    case "resumed":
      writer.discard()
      break
    case "data":
      writer.data(event.name, event.data)
      break
    case "title":
      writer.data("conversation-title", { title: event.title })
      break
    case "done":
    case "error":
    case "cancelled":
      writer.end(event)
  }
  return { state: writer.state, chunks: writer.chunks }
}
