/** How long a handler may take before its response begins. A layer of routes has the setting for all their handlers. */
import { Context, Duration } from "effect"

/** Longer than a request may take to arrive, and longer than a store may take to fail. */
export const ResponseTimeout = Context.Reference<Duration.Duration>("@perennial/http/internal/responseTimeout", {
  defaultValue: () => Duration.minutes(2)
})
