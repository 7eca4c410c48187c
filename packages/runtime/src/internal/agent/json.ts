/** Values that tools return, as JSON for the log. No schema has checked them. */
import { Result, type Schema } from "effect"

export interface Json {
  readonly value: Schema.Json
  /** The value, written. */
  readonly text: string
}

/** The first line of an error of `JSON.stringify`. The text of other errors, which a `toJSON` may throw, stays private. */
const whyOf = (error: unknown): string => {
  const [line = ""] = error instanceof TypeError ? error.message.split("\n") : []
  return line
}

/** A value as JSON: dates are text, `undefined` is absent, or null at the top. A failure says why JSON cannot write it. */
export const toJson = (value: unknown): Result.Result<Json, string> =>
  Result.try({
    try: () => {
      const text = JSON.stringify(value) ?? "null"
      return { value: JSON.parse(text) as Schema.Json, text }
    },
    catch: whyOf
  })
