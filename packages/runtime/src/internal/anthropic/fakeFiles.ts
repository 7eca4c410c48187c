/** The rules of the Messages API for images and documents. They are reported, not verified against the real API. */
import { Result, Schema } from "effect"
import { Base64 } from "effect/encoding"

export const Source = Schema.Struct({
  type: Schema.String,
  media_type: Schema.optionalKey(Schema.String),
  data: Schema.optionalKey(Schema.String),
  url: Schema.optionalKey(Schema.String)
})

interface FileBlock {
  readonly type: string
  readonly source?: typeof Source.Type
}

/** 5 MiB of base64, and 32 MiB of bytes. */
const maxImageLength = 5 * 1024 * 1024
const maxDocumentBytes = 32 * 1024 * 1024

/** Bytes as characters. */
const latin1 = (bytes: Uint8Array): string => {
  let text = ""
  for (const byte of bytes) text += String.fromCharCode(byte)
  return text
}

/** An image is readable from its first to its last bytes. */
const readable: Readonly<Record<string, (text: string) => boolean>> = {
  "image/png": (text) =>
    text.startsWith("\x89PNG\r\n\x1a\n") && text.slice(12, 16) === "IHDR" && text.slice(-8, -4) === "IEND",
  "image/jpeg": (text) => /^\xff\xd8\xff.*\xff\xd9$/s.test(text),
  "image/gif": (text) => /^GIF8[79]a.*;$/s.test(text),
  "image/webp": (text) => /^RIFF....WEBP./s.test(text)
}

const imageProblem = (data: string, mediaType: string): string | undefined => {
  if (data.length > maxImageLength) {
    return `image.source.base64: image exceeds 5 MB maximum: ${data.length} bytes > ${maxImageLength} bytes`
  }
  const decoded = Base64.decode(data)
  if (data === "" || Result.isFailure(decoded)) return "image.source.base64.data: invalid base64 data"
  const text = latin1(decoded.success)
  const type = Object.keys(readable).find((type) => readable[type]?.(text))
  if (type === undefined) return "Could not process image"
  return type === mediaType
    ? undefined
    : `image.source.base64.data: Image does not match the provided media type ${mediaType}`
}

const documentProblem = (data: string): string | undefined => {
  const decoded = Base64.decode(data)
  if (data === "" || Result.isFailure(decoded)) return "document.source.base64.data: invalid base64 data"
  if (decoded.success.length > maxDocumentBytes) return "document.source.base64.data: The PDF is too large."
  return /^%PDF-.*%%EOF\s*$/s.test(latin1(decoded.success))
    ? undefined
    : "document.source.base64.data: The PDF specified was not valid."
}

/** Why the API refuses the file of a block. The text begins with the path from the block, where the API says it. */
export const fileProblem = ({ source, type }: FileBlock): string | undefined => {
  if (type !== "image" && type !== "document") return undefined
  if (source === undefined) return `${type}.source: Field required`
  const { data = "", media_type: mediaType = "" } = source
  if (source.type === "url") {
    return /^https?:\/\/./.test(source.url ?? "") ? undefined : `${type}.source.url: Only HTTPS URLs are supported`
  }
  if (source.type === "text" && type === "document") {
    return mediaType === "text/plain" && data.trim() !== "" ? undefined : "document.source.text: must not be empty"
  }
  if (source.type !== "base64") return `${type}.source: Input tag '${source.type}' found`
  const accepted = type === "image" ? Object.keys(readable) : ["application/pdf"]
  if (!accepted.includes(mediaType)) {
    return `${type}.source.base64.media_type: Input should be one of ${accepted.join(", ")}`
  }
  return type === "image" ? imageProblem(data, mediaType) : documentProblem(data)
}
