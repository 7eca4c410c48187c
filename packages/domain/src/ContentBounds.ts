/**
 * The bounds of content, wherever it enters: from callers, models, tools and MCP servers (P11).
 *
 * One piece of content that a store cannot parse, or that a model provider refuses, would spoil every later turn of its
 * conversation. Therefore texts are made well-formed, and JSON is bounded in depth, size and numbers.
 *
 * @since 0.1.0
 */
import { Predicate, Schema, SchemaGetter } from "effect"

/**
 * How deep arrays and objects may be nested: 64 levels.
 *
 * **Details** Parsers have limits of their own. Redis and SQLite parse 1,000 levels, and some clients 64.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxDepth = 64

/**
 * Whether arrays and objects are nested deeper than `levels`, `maxDepth` by default.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isTooDeep = (value: unknown, levels = maxDepth): boolean =>
  typeof value === "object" && value !== null &&
  (levels === 0 || Object.values(value).some((child) => isTooDeep(child, levels - 1)))

const hasLargeNumber = (value: unknown): boolean =>
  typeof value === "number"
    ? !Number.isFinite(value)
    : typeof value === "object" && value !== null && Object.values(value).some(hasLargeNumber)

/**
 * Says why JSON is not accepted, as the end of a sentence that begins with its name. Undefined if it is accepted.
 *
 * `maxLength` is in characters of JSON. A parser reads a number such as `1e400` as infinity, which JSON cannot write.
 *
 * **Example**
 *
 * ```ts import.meta.vitest
 * import { ContentBounds } from "@perennial/domain"
 *
 * ContentBounds.jsonProblem({ city: "Oslo" }) // => undefined
 * ContentBounds.jsonProblem(JSON.parse("[1e400]")) // => "has a number that is too large"
 * ContentBounds.jsonProblem("abc", 4) // => "has 5 characters of JSON: at most 4 are accepted"
 * ```
 *
 * @since 0.1.0
 * @category predicates
 */
export const jsonProblem = (json: unknown, maxLength = Number.POSITIVE_INFINITY): string | undefined => {
  if (isTooDeep(json)) return `is nested deeper than ${maxDepth} levels`
  if (hasLargeNumber(json)) return "has a number that is too large"
  if (maxLength === Number.POSITIVE_INFINITY) return undefined
  const { length } = JSON.stringify(json)
  return length > maxLength ? `has ${length} characters of JSON: at most ${maxLength} are accepted` : undefined
}

/**
 * A text without halves of surrogate pairs: U+FFFD takes the place of each.
 *
 * @since 0.1.0
 * @category combinators
 */
export const wellFormed = (text: string): string => text.toWellFormed()

const notAccepted = "[nested too deep]"

type Fields = { readonly [key: string]: Schema.Json }

/**
 * JSON whose texts, keys included, are well-formed, and that is nested at most `maxDepth` levels deep: what is deeper
 * becomes a note.
 *
 * @since 0.1.0
 * @category combinators
 */
export const wellFormedJson = (json: Schema.Json): Schema.Json => boundedJson(json, maxDepth)

const boundedJson = (json: Schema.Json, levels: number): Schema.Json => {
  if (typeof json === "string") return wellFormed(json)
  if (typeof json !== "object" || json === null) return json
  if (levels === 0) return notAccepted
  return isArray(json) ? json.map((child) => boundedJson(child, levels - 1)) : boundedFields(json, levels - 1)
}

const boundedFields = (fields: Fields, levels: number): Fields =>
  Object.fromEntries(Object.entries(fields).map(([key, child]) => [wellFormed(key), boundedJson(child, levels)]))

const isArray = (json: Schema.Json): json is ReadonlyArray<Schema.Json> => Array.isArray(json)

/**
 * The same for the fields of an object.
 *
 * @since 0.1.0
 * @category combinators
 */
export const wellFormedFields = (fields: Fields): Fields => boundedFields(fields, maxDepth - 1)

/**
 * A text that decodes to a well-formed one.
 *
 * @since 0.1.0
 * @category schemas
 */
export const WellFormedText = Schema.String.pipe(Schema.decode({
  decode: SchemaGetter.transform(wellFormed),
  encode: SchemaGetter.passthrough()
}))

/**
 * JSON of at most `maxLength` characters, nested at most `maxDepth` levels deep. It decodes to JSON whose texts are
 * well-formed.
 *
 * @since 0.1.0
 * @category schemas
 */
export const boundedJsonSchema = (maxLength: number) =>
  Schema.Json.check(Schema.makeFilter((json: Schema.Json) => jsonProblem(json, maxLength))).pipe(Schema.decode({
    decode: SchemaGetter.transform(wellFormedJson),
    encode: SchemaGetter.passthrough()
  }))

/**
 * The same for an object.
 *
 * @since 0.1.0
 * @category schemas
 */
export const boundedFieldsSchema = (maxLength: number) =>
  Schema.Record(Schema.String, Schema.Json)
    .check(Schema.makeFilter((fields: Fields) => jsonProblem(fields, maxLength)))
    .pipe(Schema.decode({ decode: SchemaGetter.transform(wellFormedFields), encode: SchemaGetter.passthrough() }))

/**
 * The first `length` characters of a text, one less where they would end with half of a surrogate pair.
 *
 * @since 0.1.0
 * @category combinators
 */
export const truncate = (text: string, length: number): string =>
  text.length <= length ? text : text.slice(0, length).replace(/[\uD800-\uDBFF]$/, "")

/**
 * The bytes of a text in UTF-8 (RFC 3629). Half of a surrogate pair counts as the replacement character.
 *
 * @since 0.1.0
 * @category accessors
 */
export const byteLength = (text: string): number => {
  let bytes = 0
  for (const character of text) {
    const codePoint = character.codePointAt(0) ?? 0
    bytes += codePoint < 0x80 ? 1 : codePoint < 0x800 ? 2 : codePoint < 0x1_0000 ? 3 : 4
  }
  return bytes
}

/**
 * Whether a text has at most `bytes` bytes in UTF-8.
 *
 * @since 0.1.0
 * @category predicates
 */
export const fitsBytes = (text: string, bytes: number): boolean =>
  // One UTF-16 code unit is one to three bytes of UTF-8: the bytes of almost every text need not be counted.
  text.length * 3 <= bytes || (text.length <= bytes && byteLength(text) <= bytes)

/**
 * Whether a path of a URL can name a tool call by this id: 1 to 128 letters, digits, `_`, `-`, `.` and `:`, the first of them
 * not a dot or colon.
 *
 * @since 0.1.0
 * @category predicates
 */
export const isToolCallId = (id: unknown): id is string =>
  Predicate.isString(id) && /^[A-Za-z0-9_-][A-Za-z0-9_.:-]{0,127}$/.test(id)
