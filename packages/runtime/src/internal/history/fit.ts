/** A history made small enough for the context window of a model. */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { AssistantMessage, Message } from "@perennial/domain/Message"
import type { Schema } from "effect"
import { inBlocks } from "./blocks.ts"
import { estimateTextTokens, estimateTokens } from "./tokens.ts"

const jsonOf = (result: Schema.Json): string => typeof result === "string" ? result : JSON.stringify(result)

const changeResults = (message: Message, change: (result: Schema.Json) => Schema.Json): Message =>
  message.role === "tool"
    ? {
      role: "tool",
      content: message.content.map((part) =>
        part.type === "tool_result" ? { ...part, result: change(part.result) } : part
      )
    }
    : message

const removed = "[old result removed]"

/** Results of the provider's own tools cannot be shortened, and a text cites what they say: the text alone stays. */
const withoutProviderTools = (message: Message): Message => {
  if (message.role !== "assistant" || !message.content.some(({ type }) => type === "provider_tool_result")) {
    return message
  }
  const content = message.content.flatMap((part): AssistantMessage["content"] => {
    if (part.type === "provider_tool_call" || part.type === "provider_tool_result") return []
    return part.type === "text" ? [{ type: "text", text: part.text }] : [part]
  })
  return { role: "assistant", content }
}

const withoutResults = (message: Message): Message =>
  withoutProviderTools(
    changeResults(message, (result) => jsonOf(result).length > removed.length ? removed : result)
  )

/** Groups messages into turns, each beginning with a user's message: the only places where a history can be cut. */
const turnsOf = (messages: ReadonlyArray<Message>): Array<ReadonlyArray<Message>> => {
  const turns: Array<Array<Message>> = []
  for (const message of messages) {
    const last = turns.at(-1)
    if (message.role === "user" || last === undefined) turns.push([message])
    else last.push(message)
  }
  return turns
}

/**
 * Makes a repaired history fit into `maxTokens` (estimated). It removes content in this order, until the history fits: the
 * results of tool calls in old turns, the oldest turns, results in the last two turns, the turn before the last. At last it
 * shortens results that the model has not seen yet. The last message of the user and the calls after it always stay.
 *
 * **Details** Content is removed in blocks of 40 % of `maxTokens`, so that several prompts have the same beginning and the
 * prompt cache of the provider is used.
 *
 * @since 0.1.0
 * @category combinators
 */
export const fit = (
  messages: ReadonlyArray<Message>,
  options: { readonly maxTokens: number }
): ReadonlyArray<Message> => {
  const excess = estimateTokens(messages) - options.maxTokens
  if (excess <= 0) return messages
  const quota = inBlocks(excess, options.maxTokens)
  const turns = turnsOf(messages)
  const recent = turns.splice(-2)
  const emptied = shrink(turns, quota, (turn) => turn.map(withoutResults))
  const cut = shrink(emptied.groups, quota - emptied.saved, () => [])
  const left = excess - emptied.saved - cut.saved
  if (left <= 0) return [...cut.groups.flat(), ...recent.flat()]
  return fitRecent(recent, inBlocks(left, options.maxTokens), left)
}

/** Shortens the last two turns: by `quota` tokens if possible, and by `excess` tokens at least. */
const fitRecent = (
  recent: ReadonlyArray<ReadonlyArray<Message>>,
  quota: number,
  excess: number
): ReadonlyArray<Message> => {
  const messages = recent.flat()
  const unseen = messages.findLastIndex((message) => message.role === "assistant")
  const emptied = shrink(
    messages.map((message) => [message]),
    quota,
    (group, at) => at < unseen ? group.map(withoutResults) : group
  )
  const before = recent.length < 2 ? 0 : recent[0]?.length ?? 0
  const cut = shrink([emptied.groups.slice(0, before).flat()], excess - emptied.saved, () => [])
  const left = [...cut.groups.flat(), ...emptied.groups.slice(before).flat()]
  return shorten(left, excess - emptied.saved - cut.saved)
}

/** Shortens the longest results to one length. */
const shorten = (messages: ReadonlyArray<Message>, excess: number): ReadonlyArray<Message> => {
  if (excess <= 0) return messages
  const tokens = messages.flatMap((message) =>
    message.role === "tool"
      ? message.content.flatMap((part) => part.type === "tool_result" ? [estimateTextTokens(jsonOf(part.result))] : [])
      : []
  )
  const room = tokens.reduce((sum, n) => sum + n - noteTokens, 0) - excess
  const most = Math.max(noteTokens, levelOf(tokens, room))
  return messages.map((message) =>
    changeResults(message, (result) => {
      const text = jsonOf(result)
      const has = estimateTextTokens(text)
      if (has <= most) return result
      // In proportion, because the tokens of a text do not follow from its characters.
      const kept = ContentBounds.truncate(text, Math.floor(text.length * most / has))
      return `${kept}\n[${text.length - kept.length} more characters do not fit into the context of the model]`
    })
  )
}

/** The tokens of the note at the end of a shortened result. */
const noteTokens = 30

/** The length to which the longest of some have to be cut so that all have `room`. */
const levelOf = (lengths: ReadonlyArray<number>, room: number): number => {
  let left = room
  for (const [at, length] of lengths.toSorted((a, b) => a - b).entries()) {
    const share = left / (lengths.length - at)
    if (length > share) return Math.max(0, share)
    left -= length
  }
  return Number.POSITIVE_INFINITY
}

/** Changes groups of messages from the oldest on until so many tokens are saved. */
const shrink = (
  groups: ReadonlyArray<ReadonlyArray<Message>>,
  tokens: number,
  change: (group: ReadonlyArray<Message>, at: number) => ReadonlyArray<Message>
) => {
  let saved = 0
  const out = groups.map((group, at) => {
    if (saved >= tokens) return group
    const changed = change(group, at)
    if (changed !== group) saved += estimateTokens(group) - estimateTokens(changed)
    return changed
  })
  return { groups: out, saved }
}
