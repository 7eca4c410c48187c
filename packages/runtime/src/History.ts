/**
 * Makes the stored messages of a conversation acceptable and small enough for the next model request, and maps them to and
 * from the prompts of `effect/ai`. All functions are pure.
 *
 * @since 0.1.0
 */
import type { FilePart, Message, ToolResultPart, UserMessage } from "@perennial/domain/Message"
import * as Settlement from "@perennial/domain/Settlement"
import type { Schema } from "effect"

/**
 * The mapping between stored messages and those of `effect/ai`.
 *
 * @since 0.1.0
 * @category conversions
 */
export { fromAssistantMessage, toPromptMessage } from "./internal/agent/promptMessages.ts"

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
 * **Details** Idempotent. It removes blank text, repeated calls, results without a call, and messages with only thinking.
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
      if (content.every((part) => part.type === "reasoning")) continue
      out.push({ role: "assistant", content })
      if (answers.length > 0) out.push({ role: "tool", content: answers })
    }
  }
  return out
}

/** The approximate tokens of an image. Models scale images down, so the size in bytes does not matter. */
const imageTokens = 1_600

/** The approximate tokens of a file, which are fewer than its bytes as text would have. A page of a PDF has some 50 KiB. */
const fileTokens = ({ data, mediaType }: FilePart): number => {
  if (data === undefined || mediaType.startsWith("image/")) return imageTokens
  const bytes = data.length * 3 / 4
  return mediaType.startsWith("text/") ? bytes / 3 : Math.max(imageTokens, bytes / 25)
}

/** The bytes of a text in UTF-8, or a slightly larger number. */
const bytesOf = (text: string): number => {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (code > 0x7f) bytes += code > 0x7ff ? 2 : 1
  }
  return bytes
}

/**
 * The estimated tokens of a text: one token for 3 bytes, usually more than the real number. A real token has some 4 bytes of
 * English, or one character of Chinese.
 *
 * @since 0.1.0
 * @category accessors
 */
export const estimateTextTokens = (text: string): number => Math.ceil(bytesOf(text) / 3)

/**
 * The estimated tokens of messages, usually more than the real number: one token for 3 bytes of JSON, 1,600 for an image,
 * 2,000 for a page of a document.
 *
 * @since 0.1.0
 * @category accessors
 */
export const estimateTokens = (messages: ReadonlyArray<Message>): number => {
  let tokens = 0
  for (const { content } of messages) {
    const rest = content.filter((part) => part.type !== "file")
    for (const part of content) if (part.type === "file") tokens += fileTokens(part)
    tokens += estimateTextTokens(JSON.stringify(rest))
  }
  return Math.ceil(tokens)
}

const jsonOf = (result: Schema.Json): string => typeof result === "string" ? result : JSON.stringify(result)

const changeResults = (message: Message, change: (result: Schema.Json) => Schema.Json): Message =>
  message.role === "tool"
    ? { role: "tool", content: message.content.map((part) => ({ ...part, result: change(part.result) })) }
    : message

const removed = "[old result removed]"

const withoutResults = (message: Message): Message =>
  changeResults(message, (result) => jsonOf(result).length > removed.length ? removed : result)

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

/** Content is removed in blocks of 40 %, so that several prompts have the same beginning and the provider's cache is used. */
const inBlocks = (excess: number, most: number): number => {
  const block = Math.max(1, Math.ceil(most * 0.4))
  return Math.ceil(excess / block) * block
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
    message.role === "tool" ? message.content.map(({ result }) => estimateTextTokens(jsonOf(result))) : []
  )
  const room = tokens.reduce((sum, n) => sum + n - noteTokens, 0) - excess
  const most = Math.max(noteTokens, levelOf(tokens, room))
  return messages.map((message) =>
    changeResults(message, (result) => {
      const text = jsonOf(result)
      const has = estimateTextTokens(text)
      if (has <= most) return result
      // In proportion, because the tokens of a text do not follow from its characters.
      const kept = text.slice(0, Math.floor(text.length * most / has)).replace(/[\uD800-\uDBFF]$/, "")
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

/**
 * Replaces the oldest files in base64 by a note if all files together have more than `maxBytes` (characters of base64): 20
 * MiB by default, because providers limit the bodies of requests (Anthropic to 32 MB). The files of the user's last message
 * stay.
 *
 * **Details** Files are replaced in blocks of 40 % of `maxBytes`, as in `fit`.
 *
 * @since 0.1.0
 * @category combinators
 */
export const limitFiles = (
  messages: ReadonlyArray<Message>,
  options?: { readonly maxBytes?: number | undefined }
): ReadonlyArray<Message> => {
  const maxBytes = options?.maxBytes ?? 20 * 1024 * 1024
  let excess = -maxBytes
  for (const { content } of messages) {
    for (const part of content) if (part.type === "file") excess += part.data?.length ?? 0
  }
  if (excess <= 0) return messages
  let quota = inBlocks(excess, maxBytes)
  const last = messages.findLastIndex((message) => message.role === "user")
  return messages.map((message, at) => {
    if (message.role !== "user" || at === last || quota <= 0) return message
    const replace = (part: UserMessage["content"][number]): UserMessage["content"][number] => {
      if (part.type !== "file" || part.data === undefined || quota <= 0) return part
      quota -= part.data.length
      return { type: "text", text: `[A file of type ${part.mediaType}, no longer sent: ${part.name ?? "unnamed"}]` }
    }
    const [first, ...rest] = message.content
    return { role: "user", content: [replace(first), ...rest.map(replace)] }
  })
}
