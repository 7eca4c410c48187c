/** A history that was cut anywhere, made acceptable for the next request. */
import type { Message, ToolResultPart } from "@perennial/domain/Message"
import * as Settlement from "@perennial/domain/Settlement"

const isBlank = (part: { readonly type: string; readonly text?: string }): boolean =>
  part.type === "text" && part.text?.trim() === ""

/** The first result of every call that comes after the call. */
const resultsOf = (messages: ReadonlyArray<Message>): ReadonlyMap<string, ToolResultPart> => {
  const called = new Set<string>()
  const results = new Map<string, ToolResultPart>()
  for (const message of messages) {
    for (const part of message.content) {
      if (part.type === "tool_call") called.add(part.toolCallId)
      else if (part.type === "tool_result" && called.has(part.toolCallId) && !results.has(part.toolCallId)) {
        results.set(part.toolCallId, part)
      }
    }
  }
  return results
}

/**
 * Makes any history acceptable for the next request, wherever a cancel, a crash or an import has cut it. Afterwards every
 * tool call has exactly one result right after its message (a missing result becomes `interrupted`), the first message is
 * a user's, and no message is empty.
 *
 * **Details** Idempotent. It removes blank text, repeated calls, results without a call, and messages with only thinking or unknown parts.
 *
 * @since 0.1.0
 * @category combinators
 */
export const repair = (messages: ReadonlyArray<Message>): ReadonlyArray<Message> => {
  const results = resultsOf(messages)
  const seen = new Set<string>()
  const out: Array<Message> = []
  for (const message of messages) {
    if (message.role === "user") {
      const [first, ...rest] = message.content.filter((part) => !isBlank(part))
      if (first !== undefined) out.push({ role: "user", content: [first, ...rest] })
    } else if (message.role === "assistant" && out.length > 0) {
      const answers: Array<ToolResultPart> = []
      const content = message.content.filter((part) => {
        if (part.type !== "tool_call") return !isBlank(part)
        if (seen.has(part.toolCallId)) return false
        seen.add(part.toolCallId)
        answers.push(results.get(part.toolCallId) ?? Settlement.interruptedResult({ ...part, entered: true }))
        return true
      })
      if (content.every((part) => part.type === "reasoning" || part.type === "unknown")) continue
      out.push({ role: "assistant", content })
      if (answers.length > 0) out.push({ role: "tool", content: answers })
    }
  }
  return out
}
