/** The parts of one answer, as they are read: their deltas become events at once, all of them one message at the end. */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { AssistantMessage, Citation } from "@perennial/domain/Message"
import { cutText } from "@perennial/domain/MessagePieces"
import type { AgentEvent } from "@perennial/domain/TaskEvent"
import type * as Usage from "@perennial/domain/Usage"
import { Prompt, Response } from "effect/ai"
import { fromAssistantMessage } from "../history/promptMessages.ts"

export type Part = Response.StreamPart<{}, "deferred">

type Delta = Extract<Part, { readonly type: "text-delta" | "reasoning-delta" }>

const isDelta = (part: Part): part is Delta => part.type === "text-delta" || part.type === "reasoning-delta"

const isEnd = ({ type }: Part): boolean => type === "text-end" || type === "reasoning-end" || type === "finish"

const halfAtEnd = (text: string): string => (text.charCodeAt(text.length - 1) & 0xfc00) === 0xd800 ? text.slice(-1) : ""

const citationOf = (source: Extract<Part, { readonly type: "source" }>): Citation => ({
  ...(source.sourceType === "url" ? { url: source.url.href } : {}),
  ...(source.title === "" ? {} : { title: source.title })
})

/** Sources without a text are those of the last text. */
const withSources = (message: AssistantMessage, sources: ReadonlyArray<Citation>): AssistantMessage => {
  const last = message.content.findLastIndex((part) => part.type === "text" && part.text.trim() !== "")
  if (sources.length === 0 || last === -1) return message
  const content = message.content.map((part, at) =>
    at === last && part.type === "text" ? { ...part, citations: [...part.citations ?? [], ...sources] } : part
  )
  return { role: "assistant", content }
}

export class AnswerParts {
  finish: Response.FinishPart | undefined
  readonly #room: number
  /** What the message is made of. The deltas of a block are joined. */
  readonly #parts: Array<Part> = []
  /** The sources that the provider does not say a text for. */
  readonly #sources: Array<Citation> = []
  /** The blocks that have begun and not ended. */
  readonly #open = new Set<string>()
  /** The block of the last delta. */
  #block: Pick<Delta, "type" | "id"> | undefined
  /** The first half of a surrogate pair at the end of the last delta: the next delta may have the second half. */
  #half = ""

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
      this.#addText(events, part)
    }
    return events
  }

  #addText(events: Array<AgentEvent>, part: Part): void {
    if (isDelta(part)) {
      if (this.#block?.type !== part.type || this.#block.id !== part.id) {
        this.#endBlock(events)
        this.#block = { type: part.type, id: part.id }
      }
      const text = this.#half + part.delta
      this.#half = halfAtEnd(text)
      this.#addContent(events, part.type, text.slice(0, text.length - this.#half.length))
    } else if (isEnd(part)) this.#endBlock(events)
  }

  /** A half that no other half has followed is shown as U+FFFD. */
  #endBlock(events: Array<AgentEvent>): void {
    if (this.#block !== undefined) this.#addContent(events, this.#block.type, this.#half)
    this.#half = ""
    this.#block = undefined
  }

  #addContent(events: Array<AgentEvent>, deltaType: Delta["type"], text: string): void {
    const room = this.#room
    const type = deltaType === "text-delta" ? "text" : "reasoning"
    const wellFormed = ContentBounds.wellFormed(text)
    for (const content of wellFormed.length <= room ? [wellFormed] : cutText(wellFormed, room)) {
      const last = events.at(-1)
      if (content === "") continue
      if (last?.type === type && last.content.length + content.length <= room) {
        events[events.length - 1] = { type, content: last.content + content }
      } else events.push({ type, content })
    }
  }

  #keep(part: Part): void {
    if (part.type === "tool-params-delta") return
    if (part.type === "source") this.#sources.push(citationOf(part))
    if (part.type === "text-start" || part.type === "reasoning-start") this.#open.add(part.id)
    if (part.type === "text-end" || part.type === "reasoning-end") this.#open.delete(part.id)
    if (isDelta(part) && !this.#open.has(part.id)) {
      // A provider that leaves out the start of a block.
      this.#open.add(part.id)
      this.#parts.push(
        Response.makePart(part.type === "text-delta" ? "text-start" : "reasoning-start", { id: part.id })
      )
    }
    const last = this.#parts.at(-1)
    if (
      isDelta(part) && last?.type === part.type && last.id === part.id && Object.keys(part.metadata).length === 0
    ) this.#parts[this.#parts.length - 1] = { ...last, delta: last.delta + part.delta }
    else this.#parts.push(part)
  }

  get message(): AssistantMessage {
    const assistant = Prompt.fromResponseParts(this.#parts).content.find((message) => message.role === "assistant")
    return assistant === undefined
      ? { role: "assistant", content: [] }
      : withSources(fromAssistantMessage(assistant), this.#sources)
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
