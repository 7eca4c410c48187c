/**
 * Logs as a runtime writes them. They are made from lists of moves, so that property tests can generate them.
 */
import * as Ids from "@perennial/domain/Ids"
import type { Known, StoredEvent, TaskEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import { Schema } from "effect"

export const task = { taskId: Ids.TaskId.make("t1"), conversationId: Ids.ConversationId.make("c1") }

/** Something that may happen to a running task. */
export const Move = Schema.Literals([
  "text",
  "reasoning",
  "answer",
  "ask for one tool",
  "ask for two tools",
  "enter",
  "progress",
  "result",
  "retry",
  "resumed",
  "data",
  "unknown"
])

export const Moves = Schema.Array(Move)

type WithoutTask<E> = E extends unknown ? Omit<E, "taskId" | "conversationId"> : never

/** Numbers events from 1. */
export const stored = (events: ReadonlyArray<TaskEvent>): ReadonlyArray<StoredEvent> =>
  events.map((event, i) => ({ seq: i + 1, at: i, event }))

export const known = (event: WithoutTask<Known>): Known => ({ ...event, ...task }) as Known

/** The log of a task after these moves, without a terminal event. A move that is not possible at its place is left out. */
export const fromMoves = (moves: typeof Moves.Type): ReadonlyArray<StoredEvent> => {
  const events: Array<TaskEvent> = [
    known({ type: "ack", messageId: Ids.messageId(task.taskId, 1) }),
    known({ type: "started", attempt: 1 })
  ]
  const open = new Map<string, boolean>()
  let text = ""
  let kept = 0
  let discardAfter = 2
  let attempt = 1
  let calls = 0
  const boundary = (event: Known) => {
    events.push(event)
    discardAfter = events.length
    kept = text.length
  }
  const discard = () => {
    text = text.slice(0, kept)
  }
  const answer = (tools: number) => {
    const asked = Array.from({ length: tools }, () => `call_${++calls}`)
    for (const id of asked) open.set(id, false)
    boundary(known({
      type: "message",
      message: {
        role: "assistant",
        content: [
          { type: "text", text },
          ...asked.map((toolCallId) => ({ type: "tool_call" as const, toolCallId, tool: "look", args: {} }))
        ]
      },
      usage: { ...Usage.zero, requests: 1, outputTokens: 3 }
    }))
    text = ""
    kept = 0
  }
  moves.forEach((move, i) => {
    const waiting = [...open].find(([, entered]) => !entered)?.[0]
    const entered = [...open].find(([, entered]) => entered)?.[0]
    switch (move) {
      case "text":
        text += `w${i} `
        return events.push(known({ type: "text", content: `w${i} ` }))
      case "reasoning":
        return events.push(known({ type: "reasoning", content: `r${i} ` }))
      case "answer":
        return open.size > 0 ? undefined : answer(0)
      case "ask for one tool":
        return open.size > 0 ? undefined : answer(1)
      case "ask for two tools":
        return open.size > 0 ? undefined : answer(2)
      case "enter":
        if (waiting === undefined) return
        open.set(waiting, true)
        return events.push(
          known({ type: "tool_call", tool: "look", toolCallId: waiting, args: {}, status: "executing" })
        )
      case "progress":
        return entered === undefined
          ? undefined
          : events.push(known({ type: "tool_progress", toolCallId: entered, data: i }))
      case "result":
        if (entered === undefined) return
        open.delete(entered)
        return boundary(
          known({ type: "tool_result", tool: "look", toolCallId: entered, result: i, status: "completed" })
        )
      case "retry":
        if (open.size > 0) return
        discard()
        return events.push(known({ type: "retry", tryNumber: 2, delayMillis: 1, reason: "again", discardAfter }))
      case "resumed":
        discard()
        for (const id of open.keys()) open.set(id, false)
        return events.push(known({ type: "resumed", attempt: ++attempt, discardAfter }))
      case "data":
        return events.push(known({ type: "data", name: "chart", data: i }))
      case "unknown":
        return events.push({ type: "unknown", raw: { type: "hologram", i } })
    }
  })
  return stored(events)
}

/** The seqs that are void because of `retry` and `resumed`, as PROTOCOL.md defines it. */
export const voidSeqs = (log: ReadonlyArray<StoredEvent>): ReadonlySet<number> => {
  const out = new Set<number>()
  for (const { event, seq } of log) {
    if (event.type !== "retry" && event.type !== "resumed") continue
    for (const before of log) {
      const { type } = before.event
      if (before.seq <= event.discardAfter || before.seq >= seq) continue
      if (type === "text" || type === "reasoning" || type === "tool_progress") out.add(before.seq)
    }
  }
  return out
}
