/** Where a task goes on: how far its earlier attempts came, read from its journal (P10). */
import type { Message, ToolCallPart } from "@perennial/domain/Message"
import type { StoredEvent } from "@perennial/domain/TaskEvent"
import { add, type Usage, zero } from "@perennial/domain/Usage"
import type { PastCall } from "./toolCalls.ts"

export interface ResumePoint {
  readonly usage: Usage
  /** Steps whose model request was answered completely. */
  readonly steps: number
  /** Calls of the last complete message that have no result. */
  readonly open: ReadonlyArray<ToolCallPart>
  readonly past: ReadonlyMap<string, PastCall>
  /** The last complete message asked for no tools, so that nothing is left to do. */
  readonly complete: boolean
  /** The final answer was given in the form that the agent promises. */
  readonly hasOutput: boolean
}

/** The past of calls that are new. */
export const noPast: ResumePoint["past"] = new Map()

export const callsOf = (message: Message): ReadonlyArray<ToolCallPart> =>
  message.role === "assistant" ? message.content.filter((part) => part.type === "tool_call") : []

export const resumePoint = (journal: ReadonlyArray<StoredEvent>): ResumePoint => {
  let usage = zero
  let steps = 0
  let calls: ReadonlyArray<ToolCallPart> = []
  /** Whether the last message is continued in the next one. */
  let continued = false
  const answered = new Set<string>()
  const past = new Map<string, PastCall>()
  const note = (toolCallId: string, change: Partial<PastCall>) =>
    past.set(toolCallId, { entered: false, asked: false, ...past.get(toolCallId), ...change })
  for (const { event } of journal) {
    switch (event.type) {
      case "message":
        if (event.partial === true) break
        calls = continued ? [...calls, ...callsOf(event.message)] : callsOf(event.message)
        continued = event.continued === true
        if (continued) break
        usage = add(usage, event.usage)
        steps++
        break
      case "tool_call":
        note(event.toolCallId, { entered: true })
        break
      case "tool_approval":
        note(event.toolCallId, event.decision === undefined ? { asked: true } : { decision: event.decision })
        break
      case "tool_result":
        answered.add(event.toolCallId)
        if (event.usage !== undefined) usage = add(usage, event.usage)
    }
  }
  return {
    usage,
    steps,
    open: calls.filter((call) => !answered.has(call.toolCallId)),
    past: past.size === 0 ? noPast : past,
    complete: steps > 0 && calls.length === 0,
    hasOutput: journal.some(({ event }) => event.type === "output")
  }
}
