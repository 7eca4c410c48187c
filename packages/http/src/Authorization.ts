/**
 * The middleware that finds the user of a request. All endpoints for tasks and conversations have it.
 *
 * An application provides `Tokens.layer`, `Jwt.layer`, `Tokens.layerLocal`, or `layerVerify` with a check of its own. The layer
 * sets `CurrentUser` for the handler (P12).
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { Context, Effect, Layer, Option, Predicate, Redacted } from "effect"
import { HttpEffect, HttpServerRequest, HttpServerRespondable, HttpServerResponse } from "effect/http"
import { HttpApiMiddleware, HttpApiSecurity, OpenApi } from "effect/http-api"
import { fromOwnPage } from "./internal/sameOrigin.ts"
import { CurrentPrincipal, type Principal } from "./Principal.ts"
import { Forbidden, Unauthorized, Unavailable } from "./Problems.ts"

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
    bearer: HttpApiSecurity.bearer.pipe(describe("A token of the user. Prefer this header to the other credentials.")),
    query: HttpApiSecurity.apiKey({ key: tokenKey, in: "query" }).pipe(
      describe("For an `EventSource` without cookies. Proxies log URLs: prefer a ticket.")
    ),
    cookie: HttpApiSecurity.apiKey({ key: tokenKey, in: "cookie" }).pipe(
      describe("For an `EventSource`. A request other than GET and HEAD must come from the same origin.")
    )
  },
  error: [Unauthorized, Forbidden, Unavailable]
}) {}

/**
 * Marks an endpoint, or a group of endpoints, that needs no user. An endpoint without this mark and without `Authorization`
 * stops the start of the server (P12).
 *
 * @since 0.1.0
 * @category annotations
 */
export const Public = Context.Reference<boolean>("@perennial/http/Authorization/Public", { defaultValue: () => false })

/** RFC 6750, section 3: the error code only where the request had a credential. */
const challengeOf = (wasGiven: boolean): string => wasGiven ? `Bearer error="invalid_token"` : "Bearer"

/** Decided at the response, because another credential of the same request may still be accepted. */
const challenge = (wasGiven: boolean) =>
  HttpEffect.appendPreResponseHandler((_, response) =>
    Effect.succeed(
      response.status === 401 && (wasGiven || response.headers["www-authenticate"] === undefined)
        ? HttpServerResponse.setHeader(response, "www-authenticate", challengeOf(wasGiven))
        : response
    )
  )

const unauthorized = (wasGiven: boolean) =>
  Effect.andThen(
    challenge(wasGiven),
    Effect.fail(
      new Unauthorized({
        detail: wasGiven
          ? "The token is not valid here, or not any more. Get another one."
          : "Send `Authorization: Bearer <token>` with a token of this server."
      })
    )
  )

/**
 * Accepts the credentials that `verify` finds a principal for.
 *
 * **Details** The credential may be in `Authorization: Bearer`, in the query parameter or in the cookie `access_token`.
 * `verify` gets each credential of the request in this order, until it finds a principal; it never gets an empty one. A write
 * with a cookie must come from a page of this server (no cross-site request forgery). A request without a principal is
 * answered 401 with a challenge (RFC 6750). If `verify` cannot decide, it fails with `Unavailable`, which is answered 503.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVerify = (
  verify: (credential: Redacted.Redacted) => Effect.Effect<Option.Option<Principal>, Unavailable>
): Layer.Layer<Authorization> => {
  /** The URL may have a ticket, which was checked before. */
  const ticketed = Effect.filterOrElse(CurrentPrincipal, Predicate.isNotUndefined, () => unauthorized(false))
  /**
   * The principal, or the answer that the check cannot decide. A failure would make the middleware try the next credential,
   * whose own failure would be the answer.
   */
  const find = (
    credential: Redacted.Redacted
  ): Effect.Effect<
    Principal | HttpServerResponse.HttpServerResponse,
    Unauthorized,
    HttpServerRequest.HttpServerRequest
  > =>
    Redacted.value(credential) === "" ? ticketed : verify(credential).pipe(
      Effect.flatMap(Option.match({ onNone: () => unauthorized(true), onSome: Effect.succeed })),
      Effect.catchTag("Unavailable", HttpServerRespondable.toResponse)
    )
  const provide = <A, E, R>(handler: Effect.Effect<A, E, R>, principal: Principal) =>
    Effect.updateContext(
      handler,
      (context: Context.Context<R>) =>
        context.pipe(Context.add(CurrentUser, principal.userId), Context.add(CurrentPrincipal, principal))
    )
  const accept: Authorization["Service"]["bearer"] = Effect.fnUntraced(function*(handler, { credential }) {
    const found = yield* find(credential)
    return HttpServerResponse.isHttpServerResponse(found) ? found : yield* provide(handler, found)
  })
  const acceptCookie: Authorization["Service"]["cookie"] = Effect.fnUntraced(function*(handler, { credential }) {
    const found = yield* find(credential)
    if (HttpServerResponse.isHttpServerResponse(found)) return found
    yield* fromOwnPage(yield* HttpServerRequest.HttpServerRequest)
    return yield* provide(handler, found)
  })
  return Layer.succeed(Authorization, { bearer: accept, query: accept, cookie: acceptCookie })
}
