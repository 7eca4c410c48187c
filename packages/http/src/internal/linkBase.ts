import { Context } from "effect"

/**
 * The beginning of a link, before `/tasks/<id>`: nothing, the prefix of the routes, or their public URL.
 */
export const LinkBase = Context.Reference<string>("@perennial/http/internal/LinkBase", { defaultValue: () => "" })
