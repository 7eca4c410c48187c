/** Values of tools and applications as the log can hold them. Their types were not checked. */
import * as ContentBounds from "@perennial/domain/ContentBounds"
import { Result, type Schema } from "effect"

export interface Json {
  readonly value: Schema.Json
  /** The value, written. */
  readonly text: string
}

/** A sentence about what `JSON.stringify` has thrown. What a `toJSON` has thrown may be secret. */
const whyOf = (error: unknown): string => {
  if (error instanceof RangeError) return "It is nested too deep."
  const [line = ""] = error instanceof TypeError ? error.message.split("\n") : []
  return line
}

const toBounded = (text: string): Result.Result<Json, string> => {
  // `JSON.stringify` has written it.
  const value = JSON.parse(text) as Schema.Json
  if (ContentBounds.isTooDeep(value)) return Result.fail("It is nested too deep.")
  // In JSON, halves of surrogate pairs are escaped.
  if (!/\\ud[89a-f]/.test(text)) return Result.succeed({ value, text })
  const wellFormed = ContentBounds.wellFormedJson(value)
  return Result.succeed({ value: wellFormed, text: JSON.stringify(wellFormed) })
}

/**
 * The JSON of a value: dates are text, `undefined` is absent, or null at the top. A failure is a sentence that says why
 * there is none.
 */
export const toJson = (value: unknown): Result.Result<Json, string> =>
  Result.flatMap(Result.try({ try: () => JSON.stringify(value) ?? "null", catch: whyOf }), toBounded)
