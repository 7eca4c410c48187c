/** The time for which a provider asks clients to wait. */
import { DateTime, Duration, Option, Predicate } from "effect"
import type { AiError } from "effect/ai"

/** RFC 9110, section 10.2.3: seconds or a date; Anthropic and others also know `retry-after-ms`. */
export const fromHeaders = (
  header: (name: "retry-after" | "retry-after-ms") => string,
  nowMillis: number
): Duration.Duration | undefined => {
  const millis = Number.parseFloat(header("retry-after-ms"))
  if (millis >= 0) return Duration.millis(millis)
  const value = header("retry-after")
  if (value === "") return undefined
  const seconds = Number(value)
  if (!Number.isNaN(seconds)) return Duration.seconds(Math.max(0, seconds))
  return Option.getOrUndefined(Option.map(
    DateTime.make(value),
    (date) => Duration.millis(Math.max(0, DateTime.toEpochMillis(date) - nowMillis))
  ))
}

/** Reads the time from the error, or from the response that the error was made of. */
export const fromError = (error: AiError.AiError, nowMillis: number): Duration.Duration | undefined => {
  if (error.retryAfter !== undefined) return error.retryAfter
  const headers = "http" in error.reason ? error.reason.http?.response?.headers : undefined
  return headers === undefined ? undefined : fromHeaders((name) => {
    const value = headers[name]
    return Predicate.isString(value) ? value : ""
  }, nowMillis)
}
