/**
 * What a client sent, short enough for the sentence that says what is wrong with it.
 */

/** Characters of a text that are shown. */
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
    // Of a query one value is a text, several are an array.
    if (typeof found === "string" && typeof key === "number") continue
    if (typeof found !== "object" || found === null || !Object.hasOwn(found, key)) return undefined
    found = Reflect.get(found, key)
  }
  return found
}

/** Adds what was found at the path to what was expected there; not to a message that says more by itself. */
export const describeSent = (message: string, sent: unknown, path: ReadonlyArray<string | number>): string => {
  const found = message.startsWith("Expected ") ? find(sent, path) : undefined
  return found === undefined ? message : `${message}, got ${show(found)}`
}
