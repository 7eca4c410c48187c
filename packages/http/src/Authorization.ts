/**
 * Who is asking: the middleware in front of everything that belongs to a user.
 *
 * Only the declaration is here, so that clients can share it. An application provides one of `Tokens.layer`,
 * `Tokens.layerLocal`, or its own; whichever it is sets `CurrentUser` for the handler (P12).
 *
 * @since 0.1.0
 */
import { Context } from "effect"
import { HttpApiMiddleware, HttpApiSecurity, OpenApi } from "effect/http-api"
import { Forbidden, Unauthorized } from "./Problems.ts"

const describe = (description: string) => HttpApiSecurity.annotateMerge(Context.make(OpenApi.Description, description))

/**
 * The name of the cookie and of the query parameter that may carry the token.
 *
 * @since 0.1.0
 * @category constants
 */
export const tokenKey = "access_token"

/**
 * Finds the user of a request from its credentials, tried in this order: `Authorization: Bearer`, the query parameter
 * `access_token`, the cookie `access_token`.
 *
 * **Details** The last two are for the browser's own `EventSource`, which cannot send headers. A credential that the
 * request lacks arrives as an empty string. When all fail, the client sees why the last one did.
 *
 * @effect-expect-leaking HttpServerRequest | ParsedSearchParams | RouteContext
 * @since 0.1.0
 * @category middleware
 */
export class Authorization extends HttpApiMiddleware.Service<Authorization>()("@perennial/http/Authorization", {
  requiredForClient: true,
  security: {
    bearer: HttpApiSecurity.bearer,
    query: HttpApiSecurity.apiKey({ key: tokenKey, in: "query" }).pipe(
      describe("For `EventSource` without cookies. Addresses end up in logs: prefer the others.")
    ),
    cookie: HttpApiSecurity.apiKey({ key: tokenKey, in: "cookie" }).pipe(
      describe("For `EventSource`. Writes must come from the same origin.")
    )
  },
  error: [Unauthorized, Forbidden]
}) {}
