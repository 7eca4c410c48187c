/**
 * The middleware that finds the user of a request. All endpoints for tasks and conversations have it.
 *
 * This module has only the declaration, so that clients can share it. An application provides `Tokens.layer`,
 * `Tokens.layerLocal`, or a layer of its own. The layer sets `CurrentUser` for the handler (P12).
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
 * **Details** The query parameter and the cookie are for the browser's own `EventSource`, which cannot send headers. A
 * credential that the request does not have is an empty string. If all credentials fail, the client gets the last failure.
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
