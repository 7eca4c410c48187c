import { Context } from "effect"

/** The URL at which clients reach the routes, if a proxy changes it. */
export const PublicUrl = Context.Reference<string | undefined>("@perennial/http/internal/PublicUrl", {
  defaultValue: () => undefined
})
