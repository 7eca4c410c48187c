/**
 * Which files a user's message may carry: images, documents, anything that a model may be able to read.
 *
 * Checked where a task is started, not where a stored message is read, so that the bounds may change (P11).
 *
 * @since 0.1.0
 */
import { Option, Schema } from "effect"
import type { FilePart, UserMessage } from "./Message.ts"

/**
 * How many files one message may have.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxFiles = 10

/**
 * How large the files of one message may be together, decoded, in bytes: 5 MiB. Files at a URL do not count.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxBytes = 5 * 1024 * 1024

const maxUrlLength = 2_048
const maxNameLength = 255

/** RFC 6838, section 4.2, without parameters. */
const mediaType = /^[\w!#$&^.+-]{1,127}\/[\w!#$&^.+-]{1,127}$/
const base64 = /^[A-Za-z0-9+/]+={0,2}$/

const parseUrl = Schema.decodeOption(Schema.URLFromString)

const isHttpUrl = (url: string): boolean =>
  url.length <= maxUrlLength &&
  Option.exists(parseUrl(url), ({ protocol }) => protocol === "http:" || protocol === "https:")

const bytesOf = ({ data }: FilePart): number => {
  if (data === undefined) return 0
  const padding = data.endsWith("==") ? 2 : data.endsWith("=") ? 1 : 0
  return data.length / 4 * 3 - padding
}

const fileProblem = ({ data, mediaType: type, name, url }: FilePart): string | undefined => {
  if (!mediaType.test(type)) {
    return "whose `mediaType` is not a media type: write it like `image/png`, without parameters"
  }
  if (name !== undefined && name.length > maxNameLength) {
    return `whose \`name\` is longer than ${maxNameLength} characters`
  }
  if (url !== undefined && !isHttpUrl(url)) {
    return `whose \`url\` cannot be fetched: use http or https, and at most ${maxUrlLength} characters`
  }
  if (data !== undefined && (data.length % 4 !== 0 || !base64.test(data))) {
    return "whose `data` is not base64 as in RFC 4648, section 4: without line breaks, with padding, not empty"
  }
  return undefined
}

/**
 * Says why the files of a message are not accepted, as the end of a sentence that begins with "The message". Undefined if
 * the files are accepted.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { MessageFiles } from "@perennial/domain"
 *
 * const image = { type: "file", mediaType: "image/png", data: "iVBORw0KGgo=" } as const
 * const files = Array.from({ length: 10 }, () => image)
 * MessageFiles.problemOf({ role: "user", content: [image] }) // => undefined
 * MessageFiles.problemOf({ role: "user", content: [image, ...files] }) // => "has 11 files: at most 10 are accepted"
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const problemOf = (message: UserMessage): string | undefined => {
  const files = message.content.filter((part) => part.type === "file")
  if (files.length > maxFiles) return `has ${files.length} files: at most ${maxFiles} are accepted`
  let bytes = 0
  for (const [at, file] of files.entries()) {
    const problem = fileProblem(file)
    if (problem !== undefined) return `has a file (number ${at + 1}) ${problem}`
    bytes += bytesOf(file)
  }
  return bytes > maxBytes
    ? `has files of ${bytes} bytes together: at most ${maxBytes} are accepted; give larger ones by their \`url\``
    : undefined
}
