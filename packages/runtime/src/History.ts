/**
 * What makes the stored messages of a conversation acceptable and small enough for the next model request, and the
 * mapping between them and the prompts of `effect/ai`. Everything here is pure.
 *
 * @since 0.1.0
 */
import type { Decision } from "@perennial/domain/Decision"
import type {
  AssistantMessage,
  FilePart,
  Message,
  ToolMessage,
  ToolResultPart,
  UserMessage
} from "@perennial/domain/Message"
import * as Settlement from "@perennial/domain/Settlement"
import { Option, Schema } from "effect"
import { Prompt } from "effect/ai"

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
 * Makes a history that was cut anywhere, by a cancel, a crash or an import, acceptable for the next request: every tool
 * call has exactly one result right after its message (one that is missing becomes `interrupted`), the first message is
 * a user's, and nothing is empty.
 *
 * **Details** Idempotent. Blank text, repeated calls, results without a call and messages of nothing but thinking go.
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

/** What an image costs a model, about, whatever its size in bytes: it is scaled down. */
const imageTokens = 1_600

/** A file costs what a model makes of it, not what its bytes would cost as text. A page of a PDF is some 50 KiB. */
const fileTokens = ({ data, mediaType }: FilePart): number => {
  if (data === undefined || mediaType.startsWith("image/")) return imageTokens
  const bytes = data.length * 3 / 4
  return mediaType.startsWith("text/") ? bytes / 4 : Math.max(imageTokens, bytes / 25)
}

/**
 * A rough number of tokens: 4 characters of JSON each, 1,600 an image, 2,000 a page of a document.
 *
 * @since 0.1.0
 * @category accessors
 */
export const estimateTokens = (messages: ReadonlyArray<Message>): number => {
  let tokens = 0
  for (const { content } of messages) {
    const rest = content.filter((part) => part.type !== "file")
    for (const part of content) if (part.type === "file") tokens += fileTokens(part)
    tokens += JSON.stringify(rest).length / 4
  }
  return Math.ceil(tokens)
}

const withoutResults = (message: ToolMessage): ToolMessage => ({
  role: "tool",
  content: message.content.map((part) => ({ ...part, result: "[old result removed]" }))
})

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
 * Makes a repaired history fit into `maxTokens` (estimated): the results of old tool calls are emptied first, then the
 * oldest turns go. The last two turns always stay whole, even if they alone are too large.
 *
 * **Details** What goes, goes in blocks of 40 % of `maxTokens`: between two cuts the prompt keeps its beginning, and
 * with it the provider's prompt cache.
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
  const block = Math.max(1, Math.ceil(options.maxTokens * 0.4))
  const quota = Math.ceil(excess / block) * block
  const turns = turnsOf(messages)
  const recent = turns.splice(-2)
  const emptied = shrink(
    turns,
    quota,
    (turn) => turn.map((message) => message.role === "tool" ? withoutResults(message) : message)
  )
  const cut = shrink(emptied.turns, quota - emptied.saved, () => [])
  return [...cut.turns.flat(), ...recent.flat()]
}

/** Changes turns from the oldest on until so many tokens are saved. */
const shrink = (
  turns: ReadonlyArray<ReadonlyArray<Message>>,
  tokens: number,
  change: (turn: ReadonlyArray<Message>) => ReadonlyArray<Message>
) => {
  let saved = 0
  const out = turns.map((turn) => {
    if (saved >= tokens) return turn
    const changed = change(turn)
    saved += estimateTokens(turn) - estimateTokens(changed)
    return changed
  })
  return { turns: out, saved }
}

const options = (part: { readonly providerData?: { readonly [key: string]: Schema.Json } }): Prompt.ProviderOptions =>
  part.providerData ?? {}

const providerData = (options: Prompt.ProviderOptions): { readonly providerData?: Record<string, Schema.Json> } => {
  const known: Record<string, Schema.Json> = {}
  for (const [provider, data] of Object.entries(options)) if (data !== null) known[provider] = data
  return Object.keys(known).length === 0 ? {} : { providerData: known }
}

const parseUrl = Schema.decodeOption(Schema.URLFromString)

const userPart = (part: UserMessage["content"][number]): Prompt.UserMessagePart => {
  if (part.type === "text") return Prompt.textPart({ text: part.text, options: options(part) })
  return Prompt.filePart({
    mediaType: part.mediaType,
    data: part.url === undefined ? part.data ?? "" : Option.getOrElse(parseUrl(part.url), () => part.url ?? ""),
    ...(part.name === undefined ? {} : { fileName: part.name }),
    options: options(part)
  })
}

const assistantPart = (part: AssistantMessage["content"][number]): Prompt.AssistantMessagePart => {
  switch (part.type) {
    case "text":
      return Prompt.textPart({ text: part.text, options: options(part) })
    case "reasoning":
      return Prompt.reasoningPart({ text: part.text, options: options(part) })
    case "tool_call":
      return Prompt.toolCallPart({
        id: part.toolCallId,
        name: part.tool,
        params: part.args,
        providerExecuted: false,
        options: options(part)
      })
  }
}

/** The call stays in the history as the model asked for it: what a person has made of it is told with its result. */
const noteOf = (decision: Decision | undefined): string | undefined => {
  if (decision?.approved !== true) return undefined
  const { args, reason } = decision
  if (args === undefined) return reason === undefined ? undefined : `A person allowed the call and said: ${reason}`
  const changed = `A person changed the arguments to ${JSON.stringify(args)}`
  return reason === undefined ? `${changed}.` : `${changed} and said: ${reason}`
}

const toldResult = ({ decision, result }: ToolResultPart): Schema.Json => {
  const note = noteOf(decision)
  return note === undefined ? result : `${note}\n${typeof result === "string" ? result : JSON.stringify(result)}`
}

/**
 * A stored message as `effect/ai` takes it.
 *
 * @since 0.1.0
 * @category conversions
 */
export const toPromptMessage = (message: Message): Prompt.Message => {
  switch (message.role) {
    case "user":
      return Prompt.userMessage({ content: message.content.map(userPart) })
    case "assistant":
      return Prompt.assistantMessage({ content: message.content.map(assistantPart) })
    case "tool":
      return Prompt.toolMessage({
        content: message.content.map((part) =>
          Prompt.toolResultPart({
            id: part.toolCallId,
            name: part.tool,
            isFailure: part.status !== "completed",
            result: toldResult(part),
            providerExecuted: false,
            options: options(part)
          })
        )
      })
  }
}

/**
 * A message of the model as we store it. What only a provider that executes tools itself can produce is left out.
 *
 * @since 0.1.0
 * @category conversions
 */
export const fromAssistantMessage = (message: Prompt.AssistantMessage): AssistantMessage => {
  const content: Array<AssistantMessage["content"][number]> = []
  for (const part of message.content) {
    switch (part.type) {
      case "text":
      case "reasoning":
        content.push({ type: part.type, text: part.text, ...providerData(part.options) })
        break
      case "tool-call":
        if (part.providerExecuted) break
        content.push({
          type: "tool_call",
          toolCallId: part.id,
          tool: part.name,
          // Providers read it from JSON.
          args: part.params as Schema.Json,
          ...providerData(part.options)
        })
    }
  }
  return { role: "assistant", content }
}
