/**
 * Messages of a conversation, as they are stored and sent to clients.
 *
 * The schema is our own, so that what was stored yesterday decodes tomorrow; what only a model provider understands
 * (thinking signatures and the like) travels in `providerData` untouched.
 *
 * @since 0.1.0
 */
import { Schema } from "effect"
import { Decision } from "./Decision.ts"

const providerData = Schema.optionalKey(Schema.Record(Schema.String, Schema.Json))

/**
 * Text.
 *
 * @since 0.1.0
 * @category parts
 */
export const TextPart = Schema.Struct({ type: Schema.Literal("text"), text: Schema.String, providerData })

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
)

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
})

/**
 * @since 0.1.0
 * @category parts
 */
export type ToolCallPart = typeof ToolCallPart.Type

/**
 * How a tool call ended: `completed`, `error` (the tool failed, the model is told why) or `interrupted` (it was cut; its
 * outcome is unknown).
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
 * What a tool answered. `decision` is there when the call waited for a person.
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
})

/**
 * @since 0.1.0
 * @category parts
 */
export type ToolResultPart = typeof ToolResultPart.Type

/**
 * What a user said.
 *
 * @since 0.1.0
 * @category messages
 */
export const UserMessage = Schema.Struct({
  role: Schema.Literal("user"),
  content: Schema.NonEmptyArray(Schema.Union([TextPart, FilePart]))
})

/**
 * @since 0.1.0
 * @category messages
 */
export type UserMessage = typeof UserMessage.Type

/**
 * What the model answered.
 *
 * @since 0.1.0
 * @category messages
 */
export const AssistantMessage = Schema.Struct({
  role: Schema.Literal("assistant"),
  content: Schema.Array(Schema.Union([TextPart, ReasoningPart, ToolCallPart]))
})

/**
 * @since 0.1.0
 * @category messages
 */
export type AssistantMessage = typeof AssistantMessage.Type

/**
 * Results of tool calls; stored one result a message.
 *
 * @since 0.1.0
 * @category messages
 */
export const ToolMessage = Schema.Struct({
  role: Schema.Literal("tool"),
  content: Schema.Array(ToolResultPart)
})

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
export const Message = Schema.Union([UserMessage, AssistantMessage, ToolMessage])

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
export const userText = (text: string): UserMessage => ({ role: "user", content: [{ type: "text", text }] })

/**
 * The text of a message, without thinking, files and tools.
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
