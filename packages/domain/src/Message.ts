/**
 * Messages of a conversation, as they are stored and as clients get them.
 *
 * The schema does not depend on a model provider or on `effect/ai`, so that stored messages stay readable. Data that only a
 * provider understands, such as signatures of thinking, is stored unchanged in `providerData`.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Decision } from "./Decision.ts"
import { unknownFromRaw } from "./internal/unknownFromRaw.ts"

const providerData = Schema.optionalKey(Schema.Record(Schema.String, Schema.Json))

/**
 * A source that a text quotes or relies on. It has a `url`, a `title`, or both.
 *
 * @since 0.1.0
 * @category parts
 */
export const Citation = Schema.Struct({
  url: Schema.optionalKey(Schema.String),
  title: Schema.optionalKey(Schema.String),
  /** The words of the source. */
  citedText: Schema.optionalKey(Schema.String)
}).annotate({ identifier: "Citation" })

/**
 * @since 0.1.0
 * @category parts
 */
export type Citation = typeof Citation.Type

/**
 * Text. Text of a model may have the sources that it cites.
 *
 * @since 0.1.0
 * @category parts
 */
export const TextPart = Schema.Struct({
  type: Schema.Literal("text"),
  text: Schema.String,
  citations: Schema.optionalKey(Schema.Array(Citation)),
  providerData
}).annotate({ identifier: "TextPart" })

/**
 * @since 0.1.0
 * @category parts
 */
export type TextPart = typeof TextPart.Type

/**
 * Thinking of the model.
 *
 * @since 0.1.0
 * @category parts
 */
export const ReasoningPart = Schema.Struct({ type: Schema.Literal("reasoning"), text: Schema.String, providerData })
  .annotate({ identifier: "ReasoningPart" })

/**
 * @since 0.1.0
 * @category parts
 */
export type ReasoningPart = typeof ReasoningPart.Type

/**
 * An image or document: either `data` (base64, RFC 4648 section 4) or `url`.
 *
 * @since 0.1.0
 * @category parts
 */
export const FilePart = Schema.Struct({
  type: Schema.Literal("file"),
  /** Media type, RFC 6838: `image/png`, `application/pdf`, ... */
  mediaType: Schema.NonEmptyString,
  data: Schema.optionalKey(Schema.String),
  url: Schema.optionalKey(Schema.String),
  name: Schema.optionalKey(Schema.String),
  providerData
}).check(
  Schema.makeFilter((file) =>
    (file.data === undefined) === (file.url === undefined) ? "a file has either `data` or `url`" : undefined
  )
).annotate({ identifier: "FilePart" })

/**
 * @since 0.1.0
 * @category parts
 */
export type FilePart = typeof FilePart.Type

/**
 * The model asks for a tool. `toolCallId` is unique per task.
 *
 * @since 0.1.0
 * @category parts
 */
export const ToolCallPart = Schema.Struct({
  type: Schema.Literal("tool_call"),
  toolCallId: Schema.String,
  tool: Schema.String,
  args: Schema.Json,
  providerData
}).annotate({ identifier: "ToolCallPart" })

/**
 * @since 0.1.0
 * @category parts
 */
export type ToolCallPart = typeof ToolCallPart.Type

/**
 * The model has called a tool of its provider, such as a web search. The provider executes the call within its answer.
 *
 * @since 0.1.0
 * @category parts
 */
export const ProviderToolCallPart = Schema.Struct({
  type: Schema.Literal("provider_tool_call"),
  toolCallId: Schema.String,
  tool: Schema.String,
  args: Schema.Json,
  providerData
}).annotate({ identifier: "ProviderToolCallPart" })

/**
 * @since 0.1.0
 * @category parts
 */
export type ProviderToolCallPart = typeof ProviderToolCallPart.Type

/**
 * The result of a tool of the provider. `result` has the provider's own form, which may be encrypted in part: the provider gets
 * it back unchanged in later requests.
 *
 * @since 0.1.0
 * @category parts
 */
export const ProviderToolResultPart = Schema.Struct({
  type: Schema.Literal("provider_tool_result"),
  toolCallId: Schema.String,
  tool: Schema.String,
  result: Schema.Json,
  providerData
}).annotate({ identifier: "ProviderToolResultPart" })

/**
 * @since 0.1.0
 * @category parts
 */
export type ProviderToolResultPart = typeof ProviderToolResultPart.Type

/**
 * How a tool call ended: `completed`, `error` (the tool failed, and the model is told the reason) or `interrupted` (the call
 * was interrupted, and its outcome is unknown).
 *
 * @since 0.1.0
 * @category parts
 */
export const ToolResultStatus = Schema.Literals(["completed", "error", "interrupted"])

/**
 * @since 0.1.0
 * @category parts
 */
export type ToolResultStatus = typeof ToolResultStatus.Type

/**
 * The result of a tool call. It has a `decision` if the call waited for a person.
 *
 * @since 0.1.0
 * @category parts
 */
export const ToolResultPart = Schema.Struct({
  type: Schema.Literal("tool_result"),
  toolCallId: Schema.String,
  tool: Schema.String,
  result: Schema.Json,
  status: ToolResultStatus,
  decision: Schema.optionalKey(Decision),
  providerData
}).annotate({ identifier: "ToolResultPart" })

/**
 * @since 0.1.0
 * @category parts
 */
export type ToolResultPart = typeof ToolResultPart.Type

/**
 * A part of a type that this version does not know, unchanged. Another version wrote the part. Models do not get it.
 *
 * @since 0.1.0
 * @category parts
 */
export interface UnknownPart {
  readonly type: "unknown"
  /** The part as it is stored and sent. */
  readonly raw: { readonly type: string; readonly [key: string]: Schema.Json }
}

const UserPart = Schema.Union([TextPart, FilePart, unknownFromRaw(["text", "file"])])
const AssistantPart = Schema.Union([
  TextPart,
  ReasoningPart,
  ToolCallPart,
  ProviderToolCallPart,
  ProviderToolResultPart,
  unknownFromRaw(["text", "reasoning", "tool_call", "provider_tool_call", "provider_tool_result"])
])
const ToolPart = Schema.Union([ToolResultPart, unknownFromRaw(["tool_result"])])

/**
 * A message of a user.
 *
 * @since 0.1.0
 * @category messages
 */
export const UserMessage = Schema.Struct({
  role: Schema.Literal("user"),
  content: Schema.NonEmptyArray(UserPart)
}).annotate({ identifier: "UserMessage" })

/**
 * @since 0.1.0
 * @category messages
 */
export type UserMessage = typeof UserMessage.Type

/**
 * A message of the assistant: an answer of the model.
 *
 * @since 0.1.0
 * @category messages
 */
export const AssistantMessage = Schema.Struct({
  role: Schema.Literal("assistant"),
  content: Schema.Array(AssistantPart)
}).annotate({ identifier: "AssistantMessage" })

/**
 * @since 0.1.0
 * @category messages
 */
export type AssistantMessage = typeof AssistantMessage.Type

/**
 * Results of tool calls. A stored message has one result.
 *
 * @since 0.1.0
 * @category messages
 */
export const ToolMessage = Schema.Struct({
  role: Schema.Literal("tool"),
  content: Schema.Array(ToolPart)
}).annotate({ identifier: "ToolMessage" })

/**
 * @since 0.1.0
 * @category messages
 */
export type ToolMessage = typeof ToolMessage.Type

/**
 * One message of a conversation.
 *
 * @since 0.1.0
 * @category messages
 */
export const Message = Schema.Union([UserMessage, AssistantMessage, ToolMessage]).annotate({ identifier: "Message" })

/**
 * @since 0.1.0
 * @category messages
 */
export type Message = typeof Message.Type

/**
 * A user message of plain text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const userText = (text: string): UserMessage & { readonly content: readonly [TextPart] } => ({
  role: "user",
  content: [{ type: "text", text }]
})

/** The parts of a message. */
type Part = Message["content"][number]

/**
 * A part as it is stored and sent: a part of another version is its `raw`. Known parts are their own JSON.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toRawPart = (part: Part): Exclude<Part, UnknownPart> | UnknownPart["raw"] =>
  part.type === "unknown" ? part.raw : part

/**
 * A message as it is stored and sent.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toRaw = (
  message: Message
): { readonly role: Message["role"]; readonly content: ReadonlyArray<ReturnType<typeof toRawPart>> } =>
  message.content.some((part) => part.type === "unknown")
    ? { ...message, content: message.content.map(toRawPart) }
    : message

/**
 * The text of a message, without thinking, files, tools and parts of other versions.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { Message } from "@perennial/domain"
 *
 * Message.text(Message.userText("hello")) // => "hello"
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const text = (message: Message): string => {
  let out = ""
  for (const part of message.content) if (part.type === "text") out += part.text
  return out
}

/**
 * The sources that the texts of a message cite, each once, in the order of the texts. Of a source that is cited several times
 * the first words count.
 *
 * @since 0.1.0
 * @category accessors
 */
export const citations = (message: Message): ReadonlyArray<Citation> => {
  const found = new Map<string, Citation>()
  for (const part of message.content) {
    if (part.type !== "text") continue
    for (const citation of part.citations ?? []) {
      const key = citation.url ?? citation.title ?? ""
      // Some providers name a source once without and once with its title.
      found.set(key, { ...citation, ...found.get(key) })
    }
  }
  return [...found.values()]
}

/** White space of a text, and the end of a surrogate pair that was cut. */
const spaces = /\s+/g
const half = /[\uD800-\uDBFF]$/

/**
 * The beginning of the text of a message, on one line: at most 200 characters (UTF-16 code units). Undefined if the message
 * has no text.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { Message } from "@perennial/domain"
 *
 * Message.preview(Message.userText("  Dear\n\n Ada")) // => "Dear Ada"
 * ```
 *
 * @since 0.1.0
 * @category accessors
 */
export const preview = (message: Message): string | undefined => {
  const line = text(message).trimStart().slice(0, 2_000).replace(spaces, " ").slice(0, 200).replace(half, "").trimEnd()
  return line === "" ? undefined : line
}
