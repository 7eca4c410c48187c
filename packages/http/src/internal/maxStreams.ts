import { Context } from "effect"

/** How many event streams a server may have open, unless an option says it. */
export const MaxStreams = Context.Reference<number>("@perennial/http/internal/MaxStreams", {
  defaultValue: () => 10_000
})
