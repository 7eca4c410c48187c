/** The parts of one answer, as they are read: their deltas become events at once, all of them one message at the end. */
import type { AssistantMessage } from "@perennial/domain/Message"
import { cutText } from "@perennial/domain/MessagePieces"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import type * as Usage from "@perennial/domain/Usage"
import { Prompt, type Response } from "effect/ai"
import { fromAssistantMessage } from "../history/promptMessages.ts"

export type Part = Response.StreamPart<{}, "deferred">

const isDelta = (part: Part): part is Extract<Part, { readonly type: "text-delta" | "reasoning-delta" }> =>
  part.type === "text-delta" || part.type === "reasoning-delta"

export class AnswerParts {
  finish: Response.FinishPart | undefined
  readonly #room: number
  /** What the message is made of. The deltas of a block are joined. */
  readonly #parts: Array<Part> = []

  /** `room` is how long the content of one event may be, in characters of JSON. */
  constructor(room: number) {
    this.#room = room
  }

  /** Adds parts, and returns their events. */
  add(parts: ReadonlyArray<Part>): ReadonlyArray<AgentEvent> {
    const events: Array<AgentEvent> = []
    for (const part of parts) {
      this.#keep(part)
      if (part.type === "finish") this.finish = part
      if (isDelta(part)) this.#addDelta(events, part.type === "text-delta" ? "text" : "reasoning", part.delta)
    }
    return events
  }

  #addDelta(events: Array<AgentEvent>, type: "text" | "reasoning", delta: string): void {
    const room = this.#room
    for (const content of delta.length <= room ? [delta] : cutText(delta, room)) {
      const last = events.at(-1)
      if (content === "") continue
      if (last?.type === type && last.content.length + content.length <= room) {
        events[events.length - 1] = { type, content: last.content + content }
      } else events.push({ type, content })
    }
  }

  #keep(part: Part): void {
    if (part.type === "tool-params-delta") return
    const last = this.#parts.at(-1)
    if (
      isDelta(part) && last?.type === part.type && last.id === part.id && Object.keys(part.metadata).length === 0
    ) this.#parts[this.#parts.length - 1] = { ...last, delta: last.delta + part.delta }
    else this.#parts.push(part)
  }

  get message(): AssistantMessage {
    const assistant = Prompt.fromResponseParts(this.#parts).content.find((message) => message.role === "assistant")
    return assistant === undefined ? { role: "assistant", content: [] } : fromAssistantMessage(assistant)
  }
}

const tokens = (count: number | undefined): number => count === undefined || !(count > 0) ? 0 : Math.round(count)

/** Some providers count only all input tokens together. */
const uncachedOf = ({ cacheRead, cacheWrite, total }: Response.FinishPart["usage"]["inputTokens"]): number =>
  tokens(total) - tokens(cacheRead) - tokens(cacheWrite)

export const usageOf = ({ usage }: Response.FinishPart): Usage.Usage => ({
  requests: 1,
  inputTokens: tokens(usage.inputTokens.uncached ?? uncachedOf(usage.inputTokens)),
  cacheReadTokens: tokens(usage.inputTokens.cacheRead),
  cacheWriteTokens: tokens(usage.inputTokens.cacheWrite),
  outputTokens: tokens(usage.outputTokens.total),
  reasoningTokens: tokens(usage.outputTokens.reasoning)
})
