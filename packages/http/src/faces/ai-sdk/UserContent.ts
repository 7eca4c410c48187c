/**
 * What a message of the client means here.
 *
 * @since 0.1.0
 */
import type { Decision } from "@perennial/domain/Decision"
import type { FilePart, TextPart } from "@perennial/domain/Message"
import type { UiMessage } from "./AiSdkApi.ts"

type Part = UiMessage["parts"][number]

const dataUrl = /^data:[^,]*;base64,(.*)$/s

const toPart = (part: Part): ReadonlyArray<TextPart | FilePart> => {
  if ("text" in part) return part.text === "" ? [] : [{ type: "text", text: part.text }]
  if (!("mediaType" in part)) return []
  const [, data] = dataUrl.exec(part.url) ?? []
  return [{
    type: "file",
    mediaType: part.mediaType,
    ...(data === undefined ? { url: part.url } : { data }),
    ...(part.filename === undefined ? {} : { name: part.filename })
  }]
}

/**
 * The content of a user's message; undefined if it has nothing that a message can have.
 *
 * @since 0.1.0
 * @category accessors
 */
export const toUserContent = (
  { parts }: UiMessage
): readonly [TextPart | FilePart, ...ReadonlyArray<TextPart | FilePart>] | undefined => {
  const [first, ...rest] = parts.flatMap(toPart)
  return first === undefined ? undefined : [first, ...rest]
}

/**
 * The decisions of a person in a message of the assistant.
 *
 * @since 0.1.0
 * @category accessors
 */
export const decisionsOf = (
  { parts }: UiMessage
): ReadonlyArray<{ readonly toolCallId: string; readonly decision: Decision }> =>
  parts.flatMap((part) =>
    "approval" in part
      ? [{ toolCallId: part.toolCallId, decision: part.approval }]
      : []
  )
