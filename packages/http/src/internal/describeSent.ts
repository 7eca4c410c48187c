/**
 * Describes the value that a client sent, shortened, for a message about it.
 */

/** A text is shown with at most so many characters. */
const longest = 40

const show = (value: unknown): string => {
  if (typeof value === "string") {
    return value.length <= longest
      ? JSON.stringify(value)
      : `${JSON.stringify(`${value.slice(0, longest)}…`)} of ${value.length} characters`
  }
  if (Array.isArray(value)) return value.length === 0 ? "an empty array" : "an array"
  return typeof value === "object" && value !== null ? "an object" : String(value)
}

const find = (sent: unknown, path: ReadonlyArray<string | number>): unknown => {
  let found = sent
  for (const key of path) {
    // A query parameter is a text, or an array if it is repeated.
    if (typeof found === "string" && typeof key === "number") continue
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined
    found = Reflect.get(found, key)
  }
  return found
}

/** Adds the value at the path to a message about the expected value. Other messages stay unchanged. */
export const describeSent = (message: string, sent: unknown, path: ReadonlyArray<string | number>): string => {
  const found = message.startsWith("Expected ") ? find(sent, path) : undefined
  return found === undefined ? message : `${message}, got ${show(found)}`
}
