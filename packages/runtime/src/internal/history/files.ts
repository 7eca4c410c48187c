/** A history with as many files as the body of one request can carry. */
import type { Message, UserMessage } from "@perennial/domain/Message"
import { inBlocks } from "./blocks.ts"

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
