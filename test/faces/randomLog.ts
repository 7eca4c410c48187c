/** Random logs of tasks: everything that an agent, a recovery, a person and a cancel can do, in any order that can occur. */
import * as Ids from "@perennial/domain/Ids"
import type { AssistantMessage } from "@perennial/domain/Message"
import { type Outcome, settle } from "@perennial/domain/Settlement"
import type { Known, StoredEvent, TaskEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"

export const task = { taskId: Ids.TaskId.make("t1"), conversationId: Ids.ConversationId.make("c1") }

const moves = [
  "text",
  "text",
  "text",
  "reasoning",
  "answer",
  "other answer",
  "answer in pieces",
  "ask",
  "ask twice",
  "ask a person",
  "ask a person",
  "allow",
  "deny",
  "enter",
  "enter unasked",
  "progress",
  "result",
  "result",
  "failure",
  "retry",
  "resumed",
  "data",
  "title",
  "unknown"
] as const

type Move = typeof moves[number]

const ends = ["none", "completed", "cancelled", "failed", "failed without text"] as const

type End = typeof ends[number]

const outcomes: { readonly [end in Exclude<End, "none">]: Outcome } = {
  completed: { status: "completed", usage: Usage.zero },
  cancelled: { status: "cancelled", reason: "enough" },
  failed: { status: "error", error: "ModelUnavailable", detail: "The model is gone.", retryable: true },
  "failed without text": { status: "error", error: "Bad", detail: "It is bad.", retryable: false, discardText: true }
}

type WithoutTask<E> = E extends unknown ? Omit<E, "taskId" | "conversationId"> : never

const known = (event: WithoutTask<Known>): Known => ({ ...event, ...task }) as Known

interface Piece {
  readonly type: "text" | "reasoning"
  readonly text: string
}

/** The log of these moves. A move that cannot occur at its place is left out. */
const fromMoves = (moves: ReadonlyArray<Move>, end: End): ReadonlyArray<StoredEvent> => {
  const events: Array<TaskEvent> = []
  const calls = new Map<string, "asked" | "waiting" | "decided" | "entered">()
  let discardAfter = 0
  let made = 0
  let attempt = 1
  /** What was streamed since the last message, and how much of it stays. */
  let pieces: ReadonlyArray<Piece> = []
  let kept = 0
  const add = (event: WithoutTask<Known>) => {
    events.push(known(event))
    const { type } = event
    if (type === "ack" || type === "started" || type === "message" || type === "tool_result") {
      discardAfter = events.length
      kept = pieces.length
    }
  }
  const message = (content: AssistantMessage["content"], more: { readonly continued?: boolean } = {}) =>
    add({ type: "message", message: { role: "assistant", content }, usage: Usage.zero, ...more })
  const answer = (content: AssistantMessage["content"]) => {
    pieces = []
    message(content)
  }
  const ask = (count: number) => {
    const content: AssistantMessage["content"] = Array.from({ length: count }, () => {
      const toolCallId = `call_${++made}`
      calls.set(toolCallId, "asked")
      return { type: "tool_call", toolCallId, tool: "look", args: { n: made } }
    })
    answer([...pieces, ...content])
  }
  const first = (...states: ReadonlyArray<string>) => [...calls].find(([, state]) => states.includes(state))?.[0]
  const args = (toolCallId: string) => ({ n: Number(toolCallId.slice("call_".length)) })
  const discard = () => {
    pieces = pieces.slice(0, kept)
  }
  add({ type: "ack", messageId: Ids.messageId(task.taskId, 1) })
  add({ type: "started", attempt })
  const move = (name: Move, i: number) => {
    const open = calls.size > 0
    switch (name) {
      case "text":
      case "reasoning":
        if (open) return
        pieces = [...pieces, { type: name, text: `${name[0]}${i} ` }]
        return add({ type: name, content: `${name[0]}${i} ` })
      case "answer":
        return open ? undefined : answer(pieces)
      case "other answer":
        return open ? undefined : answer([{ type: "reasoning", text: `r${i} ` }, { type: "text", text: `m${i} ` }])
      case "answer in pieces": {
        if (open) return
        const whole = pieces
        message(whole.slice(0, 1), { continued: true })
        return answer(whole.slice(1))
      }
      case "ask":
        return open ? undefined : ask(1)
      case "ask twice":
        return open ? undefined : ask(2)
      case "ask a person": {
        const id = first("asked")
        if (id === undefined) return
        calls.set(id, "waiting")
        return add({ type: "tool_approval", tool: "look", toolCallId: id, args: args(id) })
      }
      case "allow": {
        const id = first("waiting")
        if (id === undefined) return
        calls.set(id, "decided")
        return add({
          type: "tool_approval",
          tool: "look",
          toolCallId: id,
          args: args(id),
          decision: { approved: true }
        })
      }
      case "deny": {
        const id = first("waiting")
        if (id === undefined) return
        const decision = { approved: false, reason: "No." }
        add({ type: "tool_approval", tool: "look", toolCallId: id, args: args(id), decision })
        calls.delete(id)
        return add({ type: "tool_result", tool: "look", toolCallId: id, result: "no", status: "error", decision })
      }
      case "enter":
      case "enter unasked": {
        const id = name === "enter" ? first("asked", "decided") : `call_${++made}`
        if (id === undefined || (name === "enter unasked" && open)) return
        calls.set(id, "entered")
        return add({ type: "tool_call", tool: "look", toolCallId: id, args: args(id), status: "executing" })
      }
      case "progress": {
        const id = first("entered")
        return id === undefined ? undefined : add({ type: "tool_progress", toolCallId: id, data: i })
      }
      case "result":
      case "failure": {
        const id = first("entered", "asked")
        if (id === undefined) return
        calls.delete(id)
        const status = name === "result" ? "completed" as const : "error" as const
        return add({ type: "tool_result", tool: "look", toolCallId: id, result: { i }, status })
      }
      case "retry":
        if (open) return
        add({ type: "retry", tryNumber: 2, delayMillis: 1, reason: "again", discardAfter })
        return discard()
      case "resumed":
        add({ type: "resumed", attempt: ++attempt, discardAfter })
        for (const [id, state] of calls) if (state === "entered") calls.set(id, "asked")
        return discard()
      case "data":
        return add({ type: "data", name: "chart", data: i })
      case "title":
        return add({ type: "title", title: `Title ${i}` })
      case "unknown":
        return void events.push({ type: "unknown", raw: { type: "hologram", i } })
    }
  }
  moves.forEach(move)
  const log = () => events.map((event, i): StoredEvent => ({ seq: i + 1, at: i, event }))
  if (end !== "none") events.push(...settle(log(), task, outcomes[end]))
  return log()
}

/** Numbers from 0 to 1, always the same for a seed (mulberry32). */
const randomOf = (seed: number) => {
  let state = seed
  return () => {
    state = (state + 0x6D2B79F5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296
  }
}

/** The log of a seed, of up to 50 moves. */
export const make = (seed: number): ReadonlyArray<StoredEvent> => {
  const random = randomOf(seed)
  const pick = <A>(from: readonly [A, ...ReadonlyArray<A>]): A => from[Math.floor(random() * from.length)] ?? from[0]
  const length = Math.floor(random() * 50)
  return fromMoves(Array.from({ length }, () => pick(moves)), pick(ends))
}
