/**
 * A text or a message as several smaller ones: one event of the log has a bound (P11).
 *
 * @since 0.1.0
 */
import type { AssistantMessage } from "./Message.ts"

/**
 * Cuts a text into pieces, each of at most `length` characters of JSON but of at least two characters of text. No surrogate
 * pair is cut.
 *
 * @since 0.1.0
 * @category combinators
 */
export const cutText = (text: string, length: number): ReadonlyArray<string> => {
  const out: Array<string> = []
  for (let start = 0, end = 0; start < text.length; start = end) {
    end = endOfPiece(text, start, length)
    out.push(text.slice(start, end))
  }
  return out
}

const endOfPiece = (text: string, start: number, room: number): number => {
  let length = Math.min(text.length - start, Math.max(2, room))
  while (length > 2) {
    const size = JSON.stringify(text.slice(start, start + length)).length - 2
    if (size <= room) break
    length = Math.max(2, Math.floor(length * Math.min(0.9, room / size)))
  }
  const end = start + length
  const cutsPair = /[\uD800-\uDBFF]/.test(text.charAt(end - 1)) && /[\uDC00-\uDFFF]/.test(text.charAt(end))
  return cutsPair ? end - 1 : end
}

/** A piece of text gets at least this room: with less the next message begins. */
const leastPiece = 1_024

/**
 * An assistant's message as several, in order, each of at most `length` characters of JSON. Long text is cut. A part of
 * another kind is not cut: if it is longer, it gets a message of its own.
 *
 * @since 0.1.0
 * @category combinators
 */
export const split = (message: AssistantMessage, length: number): ReadonlyArray<AssistantMessage> => {
  if (JSON.stringify(message).length <= length) return [message]
  const out: Array<AssistantMessage> = []
  const room = length - JSON.stringify({ role: "assistant", content: [] }).length
  let content: Array<AssistantMessage["content"][number]> = []
  let left = room
  const close = () => {
    if (content.length > 0) out.push({ role: "assistant", content })
    content = []
    left = room
  }
  const add = (part: AssistantMessage["content"][number]) => {
    const size = JSON.stringify(part).length + 1
    if (size > left) close()
    content.push(part)
    left -= size
  }
  for (const part of message.content) {
    if (part.type !== "text") {
      add(part)
      continue
    }
    const envelope = JSON.stringify({ ...part, text: "" }).length + 1
    for (let start = 0; start < part.text.length;) {
      if (left - envelope < leastPiece) close()
      const end = endOfPiece(part.text, start, left - envelope)
      add({ ...part, text: part.text.slice(start, end) })
      start = end
    }
  }
  close()
  return out
}
