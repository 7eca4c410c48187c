/** Files of a user's message as blocks of the Messages API. A file that the API would refuse becomes a note. */
import type Anthropic from "@anthropic-ai/sdk"
import { Result } from "effect"
import type { Prompt } from "effect/ai"
import { Base64 } from "effect/encoding"

type Block = Anthropic.ContentBlockParam

/** The API accepts this much base64 of one image: 5 MiB. */
const maxImageLength = 5 * 1024 * 1024

/** The type of an image by its first bytes. The API refuses an image that is not of the type that it is said to be. */
const imageTypeOf = (base64: string): "image/jpeg" | "image/png" | "image/gif" | "image/webp" | undefined => {
  const bytes = Result.getOrElse(Base64.decode(base64.slice(0, 16)), () => new Uint8Array())
  const start = String.fromCharCode(...bytes)
  if (start.startsWith("\x89PNG\r\n\x1a\n")) return "image/png"
  if (start.startsWith("\xff\xd8\xff")) return "image/jpeg"
  if (/^GIF8[79]a/.test(start)) return "image/gif"
  return /^RIFF....WEBP/s.test(start) ? "image/webp" : undefined
}

/** The source of a file: a URL, or base64. */
type Source = { readonly url: string } | { readonly base64: string }

const sourceOf = ({ data }: Prompt.FilePart): Source => {
  if (data instanceof Uint8Array) return { base64: Base64.encode(data) }
  const text = typeof data === "string" ? data : data.href
  return /^https?:/.test(text) ? { url: text } : { base64: text }
}

/** What the model reads in the place of a file. */
const note = (part: Prompt.FilePart, why: string): Block => ({
  type: "text",
  text: `[A file of type ${part.mediaType}, which ${why}: ${part.fileName ?? "unnamed"}]`
})

const imageBlock = (part: Prompt.FilePart, source: Source): Block => {
  if ("url" in source) return { type: "image", source: { type: "url", url: source.url } }
  const type = imageTypeOf(source.base64)
  if (type === undefined) return note(part, "the model cannot read")
  return source.base64.length > maxImageLength
    ? note(part, "is larger than the model accepts")
    : { type: "image", source: { type: "base64", media_type: type, data: source.base64 } }
}

export const fileBlock = (part: Prompt.FilePart): Block => {
  const source = sourceOf(part)
  const title = part.fileName ?? null
  if (part.mediaType.startsWith("image/")) return imageBlock(part, source)
  if (part.mediaType === "application/pdf") {
    return "url" in source
      ? { type: "document", title, source: { type: "url", url: source.url } }
      : { type: "document", title, source: { type: "base64", media_type: "application/pdf", data: source.base64 } }
  }
  if (part.mediaType.startsWith("text/") && "base64" in source) {
    const data = Result.getOrElse(Base64.decodeString(source.base64), () => "")
    if (data.trim() !== "") {
      return { type: "document", title, source: { type: "text", media_type: "text/plain", data } }
    }
  }
  return note(part, "the model cannot read")
}
