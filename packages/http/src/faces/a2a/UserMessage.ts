/**
 * What a message of an A2A client means: a message of the user, or a decision about tool calls.
 *
 * @since 0.1.0
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import { Decision } from "@perennial/domain/Decision"
import type { FilePart, TextPart } from "@perennial/domain/Message"
import type { WaitingCall } from "@perennial/domain/Task"
import { Option, Schema } from "effect"
import type { Message, Part } from "./A2aRequests.ts"
import type { A2aMessage, Head, Json } from "./A2aTask.ts"

const unknownType = "application/octet-stream"

const toPart = (part: Part): ReadonlyArray<TextPart | FilePart> => {
  const { data, filename, mediaType = unknownType, raw, text, url } = part
  const name = filename === undefined || filename === "" ? {} : { name: filename }
  if (text !== undefined) return text === "" ? [] : [{ type: "text", text }]
  if (raw !== undefined) return [{ type: "file", mediaType, data: raw, ...name }]
  if (url !== undefined) return [{ type: "file", mediaType, url, ...name }]
  return data === undefined ? [] : [{ type: "text", text: JSON.stringify(data) }]
}

/**
 * The content of a message of the user; undefined if it has none. Data is text of JSON for the model.
 *
 * @since 0.1.0
 * @category accessors
 */
export const contentOf = (
  { parts }: Message
): readonly [TextPart | FilePart, ...ReadonlyArray<TextPart | FilePart>] | undefined => {
  const [first, ...rest] = parts.flatMap(toPart)
  return first === undefined ? undefined : [first, ...rest]
}

const Answer = Schema.Struct({ toolCallId: Schema.optionalKey(Schema.String), ...Decision.fields })
const decodeAnswer = Schema.decodeUnknownOption(Answer)

const yes = /^\s*(?:yes|y|ok|okay|approve|approved|allow|allowed)\s*[.!]?\s*$/i
const no = /^\s*(?:no|n|deny|denied|reject|rejected)\s*(?:[.!]?\s*$|[,.:;!-]\s*(\S.*)$)/is

const inWords = (text: string): Decision | undefined => {
  if (yes.test(text)) return { approved: true }
  const denied = no.exec(text)
  if (denied === null) return undefined
  const [, reason] = denied
  return reason === undefined ? { approved: false } : { approved: false, reason: reason.trim() }
}

/**
 * A decision about one tool call.
 *
 * @since 0.1.0
 * @category models
 */
export interface Decided {
  readonly toolCallId: string
  readonly decision: Decision
}

/**
 * The decisions of a message about the calls that wait; undefined if a part of the message is none. A part `data` is
 * `{ approved, reason?, args?, toolCallId? }`, a part `text` is a yes or a no. Without `toolCallId` it is about every call that waits.
 *
 * @since 0.1.0
 * @category accessors
 */
export const decisionsOf = (
  { parts }: Message,
  waiting: ReadonlyArray<Pick<WaitingCall, "toolCallId">>
): ReadonlyArray<Decided> | undefined => {
  const all: Array<Decided> = []
  for (const { data, text } of parts) {
    const answer = data === undefined
      ? inWords(text ?? "")
      : Option.getOrUndefined(decodeAnswer(data))
    if (answer === undefined) return undefined
    const { toolCallId = undefined, ...decision } = { toolCallId: undefined, ...answer }
    const calls = toolCallId === undefined ? waiting.map((call) => call.toolCallId) : [toolCallId]
    all.push(...calls.map((id) => ({ toolCallId: id, decision })))
  }
  return all
}

/**
 * What is kept with a message of the user: the id that the client gave it, and its metadata.
 *
 * @since 0.1.0
 * @category models
 */
const Kept = Schema.Struct({
  a2a: Schema.Struct({
    messageId: Schema.String,
    metadata: Schema.optionalKey(Schema.Record(Schema.String, Schema.Json))
  })
})
const decodeKept = Schema.decodeUnknownOption(Kept)

/**
 * What is kept with the message.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toKept = ({ messageId, metadata }: Message): typeof Kept.Type => ({
  a2a: metadata === undefined ? { messageId } : { messageId, metadata }
})

const fromPart = (part: StoredMessage["message"]["content"][number]): ReadonlyArray<Json> => {
  if (part.type === "text") return [{ text: part.text }]
  if (part.type !== "file") return []
  const { data, mediaType, name, url } = part
  const filename = name === undefined ? {} : { filename: name }
  return [{ ...(data === undefined ? { url: url ?? "" } : { raw: data }), mediaType, ...filename }]
}

/**
 * A stored message of the user as the client sent it.
 *
 * @since 0.1.0
 * @category encoding
 */
export const fromStored = (
  { id, message, metadata }: StoredMessage,
  { contextId, taskId }: Pick<Head, "contextId" | "taskId">
): A2aMessage => {
  const kept = Option.getOrUndefined(decodeKept(metadata))?.a2a
  return {
    messageId: kept?.messageId ?? id,
    contextId,
    taskId,
    role: "ROLE_USER",
    parts: message.content.flatMap(fromPart),
    ...(kept?.metadata === undefined ? {} : { metadata: kept.metadata })
  }
}
