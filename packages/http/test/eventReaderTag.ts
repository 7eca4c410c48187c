import type { Refused } from "@perennial/http/EventReader"

/** Maps the error of `EventReader` to the error tag that the typed client uses for the same problem. */
export const tagOf = (error: unknown) => {
  const type = (error as Partial<Refused>).problem?.type ?? "urn:perennial:problem:unknown"
  const words = type.slice("urn:perennial:problem:".length).split("-")
  return { _tag: words.map((word) => word.charAt(0).toUpperCase() + word.slice(1)).join("") }
}
