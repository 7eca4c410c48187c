/** A history with as many files as the body of one request can carry. */
import type { FilePart, Message, UserMessage } from "@perennial/domain/Message"
import { inBlocks } from "./blocks.ts"

/** Replaces each file for which there is a reason by a note that says it. */
export const replaceFiles = (
  messages: ReadonlyArray<Message>,
  reasonOf: (file: FilePart, message: number) => string | undefined
): ReadonlyArray<Message> =>
  messages.map((message, at) => {
    if (message.role !== "user") return message
    const replace = (part: UserMessage["content"][number]): UserMessage["content"][number] => {
      const reason = part.type === "file" ? reasonOf(part, at) : undefined
      return part.type !== "file" || reason === undefined
        ? part
        : { type: "text", text: `[A file of type ${part.mediaType}, ${reason}: ${part.name ?? "unnamed"}]` }
    }
    const [first, ...rest] = message.content
    return { role: "user", content: [replace(first), ...rest.map(replace)] }
  })

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
  return replaceFiles(messages, (file, at) => {
    if (at === last || file.data === undefined || quota <= 0) return undefined
    quota -= file.data.length
    return "no longer sent"
  })
}
