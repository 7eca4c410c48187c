/**
 * What the input of a response means here.
 *
 * @since 0.1.0
 */
import type { StoredMessage } from "@perennial/domain/Conversation"
import type { Decision } from "@perennial/domain/Decision"
import { type FilePart, text, type TextPart } from "@perennial/domain/Message"
import type { CreateResponse } from "./OpenAiApi.ts"
import { toolCallIdOf } from "./ResponseState.ts"

type Item = Exclude<CreateResponse["input"], string>[number]
type Message = Extract<Item, { readonly content: unknown }>
type Part = Exclude<Message["content"], string>[number]

const dataUrl = /^data:([^;,]+)[^,]*;base64,(.*)$/s

const toFile = (url: string, name?: string): ReadonlyArray<FilePart> => {
  const [, mediaType, data] = dataUrl.exec(url) ?? []
  if (mediaType === undefined || data === undefined) return []
  return [{ type: "file", mediaType, data, ...(name === undefined ? {} : { name }) }]
}

const toPart = (part: Part): ReadonlyArray<TextPart | FilePart> => {
  if ("text" in part) return part.text === "" ? [] : [{ type: "text", text: part.text }]
  if ("image_url" in part) return toFile(part.image_url)
  return "file_data" in part ? toFile(part.file_data, part.filename) : []
}

const isUserMessage = (item: Item): item is Message => "content" in item && item.role === "user"

/**
 * The content of the last message of the user; undefined if it has nothing that a message can have.
 *
 * @since 0.1.0
 * @category accessors
 */
export const toUserContent = (
  { input }: CreateResponse
): readonly [TextPart | FilePart, ...ReadonlyArray<TextPart | FilePart>] | undefined => {
  const content = typeof input === "string" ? input : input.findLast(isUserMessage)?.content ?? ""
  const parts: ReadonlyArray<Part> = typeof content === "string" ? [{ type: "input_text", text: content }] : content
  const [first, ...rest] = parts.flatMap(toPart)
  return first === undefined ? undefined : [first, ...rest]
}

/**
 * The decisions of a person.
 *
 * @since 0.1.0
 * @category accessors
 */
export const decisionsOf = (
  { input }: CreateResponse
): ReadonlyArray<{ readonly toolCallId: string; readonly decision: Decision }> =>
  typeof input === "string" ? [] : input.flatMap((item) => {
    if (!("approve" in item)) return []
    const { approval_request_id: id, approve, reason } = item
    const decision = { approved: approve, ...(typeof reason === "string" ? { reason } : {}) }
    return [{ toolCallId: toolCallIdOf(id), decision }]
  })

/**
 * A message of the user as an item.
 *
 * @since 0.1.0
 * @category encoding
 */
export const toInputItem = ({ id, message }: StoredMessage) => ({
  id: `msg_${id.replace("/", "_")}`,
  type: "message",
  role: "user",
  status: "completed",
  content: [{ type: "input_text", text: text(message) }]
})
