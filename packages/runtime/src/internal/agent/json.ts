/** What tools give away, as the log can hold it: nobody has checked it. */
import { Result, type Schema } from "effect"

export interface Json {
  readonly value: Schema.Json
  /** The value, written. */
  readonly text: string
}

/** What `JSON.stringify` says on its first line; what a `toJSON` throws besides is nobody's business. */
const whyOf = (error: unknown): string => {
  const [line = ""] = error instanceof TypeError ? error.message.split("\n") : []
  return line
}

/** What JSON makes of a value: dates are text, `undefined` is absent, or null at the top. A failure says why it cannot. */
export const toJson = (value: unknown): Result.Result<Json, string> =>
  Result.try({
    try: () => {
      const text = JSON.stringify(value) ?? "null"
      return { value: JSON.parse(text) as Schema.Json, text }
    },
    catch: whyOf
  })
