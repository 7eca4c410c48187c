import { DateTime } from "effect"

let last: DateTime.Utc | undefined

/** A time from milliseconds since 1970. Times of what happens together are one object: the last one is kept. */
export const utc = (millis: number): DateTime.Utc =>
  last?.epochMilliseconds === millis ? last : last = DateTime.makeUnsafe(millis)
