/** Estimates of what a prompt costs in tokens. */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import type { FilePart, Message } from "@perennial/domain/Message"

/** An image costs a model about this, whatever its size in bytes, because the model scales it down. */
const imageTokens = 1_600

/** The tokens that a model makes of a file, not those of its bytes as text. A page of a PDF has about 50 KiB. */
const fileTokens = ({ data, mediaType }: FilePart): number => {
  if (data === undefined || mediaType.startsWith("image/")) return imageTokens
  const bytes = data.length * 3 / 4
  return mediaType.startsWith("text/") ? bytes / 3 : Math.max(imageTokens, bytes / 25)
}

/**
 * The tokens of a text, estimated rather too high than too low: one token for 3 bytes of UTF-8. In English a token is
 * about 4 bytes, in Chinese about one character.
 *
 * @since 0.1.0
 * @category accessors
 */
export const estimateTextTokens = (text: string): number => Math.ceil(ContentBounds.byteLength(text) / 3)

/**
 * The tokens of messages, estimated rather too high than too low: one token for 3 bytes of JSON, 1,600 for an image, 2,000
 * for a page of a document.
 *
 * @since 0.1.0
 * @category accessors
 */
export const estimateTokens = (messages: ReadonlyArray<Message>): number => {
  let tokens = 0
  for (const { content } of messages) {
    // The model gets at most a short note of an unknown part.
    const rest = content.filter((part) => part.type !== "file" && part.type !== "unknown")
    for (const part of content) if (part.type === "file") tokens += fileTokens(part)
    tokens += estimateTextTokens(JSON.stringify(rest))
  }
  return Math.ceil(tokens)
}
