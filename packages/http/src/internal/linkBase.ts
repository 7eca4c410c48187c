import { Context } from "effect"

/**
 * What comes before `/tasks/<id>` in a link that the server sends: nothing, the prefix of the routes, or their public URL.
 */
export const LinkBase = Context.Reference<string>("@perennial/http/internal/LinkBase", { defaultValue: () => "" })
