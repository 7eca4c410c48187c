/** Divides an answer into events, because each event has a bound (P11). */
import type { AssistantMessage } from "@perennial/domain/Message"
import * as MessagePieces from "@perennial/domain/MessagePieces"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import * as Usage from "@perennial/domain/Usage"
import type { TaskLimits } from "../../TaskLimits.ts"

/** The room for the content of one event: its bound without its other fields. */
export const eventRoom = ({ eventBytes }: TaskLimits): number => eventBytes - 2048

export interface FittedAnswer {
  readonly message: AssistantMessage
  /** Ids of calls whose arguments were too long and were removed. */
  readonly tooLong: ReadonlySet<string>
}

/** Drops parts that are too long for one event and cannot be cut: thinking, because it is signed, and arguments. */
export const fitIntoEvents = (message: AssistantMessage, room: number): FittedAnswer => {
  const tooLong = new Set<string>()
  if (JSON.stringify(message).length <= room) return { message, tooLong }
  const content = message.content.flatMap((part): AssistantMessage["content"] => {
    if (part.type === "text" || JSON.stringify(part).length <= room) return [part]
    if (part.type !== "tool_call") return []
    tooLong.add(part.toolCallId)
    return [{ ...part, args: {} }]
  })
  return { message: { role: "assistant", content }, tooLong }
}

/** The events of a message: several if it is too large for one. They have to be written together. */
export const messageEvents = (
  { message, truncated, usage }: {
    readonly message: AssistantMessage
    readonly usage: Usage.Usage
    /** The model reached its longest answer. */
    readonly truncated: boolean
  },
  room: number
): ReadonlyArray<AgentEvent> => {
  const pieces = MessagePieces.split(message, room)
  return [
    ...pieces.slice(0, -1).map((message) =>
      ({ type: "message", message, usage: Usage.zero, continued: true }) as const
    ),
    { type: "message", message: pieces.at(-1) ?? message, usage, ...(truncated ? { truncated } : {}) }
  ]
}
