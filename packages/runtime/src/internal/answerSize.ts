/** What of an answer the log can hold: one event has a bound (P11). */
import { type AssistantMessage, split } from "@perennial/domain/Message"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import type { TaskLimits } from "../TaskLimits.ts"

/** Bytes of one event, without room for its other fields. */
export const eventRoom = ({ eventBytes }: TaskLimits): number => eventBytes - 2048

export interface StorableAnswer {
  readonly message: AssistantMessage
  /** Calls whose arguments were too long, and are gone. */
  readonly tooLong: ReadonlySet<string>
}

/** Thinking cannot be cut, since it is signed, and neither can arguments. */
export const storable = (message: AssistantMessage, room: number): StorableAnswer => {
  const tooLong = new Set<string>()
  if (JSON.stringify(message).length <= room) return { message, tooLong }
  const content = message.content.flatMap((part): AssistantMessage["content"] => {
    if (part.type === "text" || JSON.stringify(part).length <= room) return [part]
    if (part.type === "reasoning") return []
    tooLong.add(part.toolCallId)
    return [{ ...part, args: {} }]
  })
  return { message: { role: "assistant", content }, tooLong }
}

/** The events of a message: several if it is too large for one. To be written together. */
export const messageEvents = (
  { message, truncated, usage }: {
    readonly message: AssistantMessage
    readonly usage: Usage.Usage
    /** The model has reached the longest answer. */
    readonly truncated: boolean
  },
  room: number
): ReadonlyArray<AgentEvent> => {
  const pieces = split(message, room)
  return [
    ...pieces.slice(0, -1).map((
      message
    ) => ({ type: "message", message, usage: Usage.zero, continued: true } as const)),
    { type: "message", message: pieces.at(-1) ?? message, usage, ...(truncated ? { truncated } : {}) }
  ]
}
