/**
 * The handlers of the account: who the user is, and the cookie of a browser.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { Clock, Duration, Effect, type Layer } from "effect"
import { HttpServerRequest, HttpServerResponse } from "effect/http"
import { HttpApiBuilder, type HttpApiGroup } from "effect/http-api"
import { Api } from "./Api.ts"
import { type Authorization, tokenKey } from "./Authorization.ts"
import { LinkBase } from "./internal/linkBase.ts"
import { isAddressedToLoopback } from "./internal/origin.ts"
import { PublicUrl } from "./internal/publicUrl.ts"
import { fromOwnPage } from "./internal/sameOrigin.ts"
import { CurrentPrincipal } from "./Principal.ts"
import { InvalidRequest, type RefusalLimit, type RequestLimit, type RequestProblems } from "./Problems.ts"

/** A cookie with a token that does not end. */
const longest = Duration.days(30)

const bearer = /^bearer +(\S+)$/i

/**
 * @since 0.1.0
 * @category handlers
 */
export const layer: Layer.Layer<
  HttpApiGroup.Service<"perennial", "account">,
  never,
  Authorization | RequestLimit | RefusalLimit | RequestProblems
> = HttpApiBuilder.group(
  Api,
  "account",
  Effect.fnUntraced(function*(handlers) {
    const base = yield* LinkBase
    const publicUrl = yield* PublicUrl
    const path = new URL(base, "http://localhost").pathname

    /** A browser sends a `Secure` cookie over https, and not all browsers send it to a loopback address without https. */
    const attributes = (request: HttpServerRequest.HttpServerRequest) => ({
      httpOnly: true,
      sameSite: "strict" as const,
      path,
      secure: publicUrl === undefined ? !isAddressedToLoopback(request) : publicUrl.startsWith("https:")
    })

    return handlers.handleAll({
      me: () =>
        Effect.gen(function*() {
          const { expiresAt, roles = [] } = (yield* CurrentPrincipal) ?? {}
          return { userId: yield* CurrentUser, roles, ...(expiresAt === undefined ? undefined : { expiresAt }) }
        }),
      signIn: Effect.fnUntraced(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        yield* Effect.provideService(fromOwnPage(request), PublicUrl, publicUrl)
        const token = bearer.exec(request.headers["authorization"] ?? "")?.[1]
        if (token === undefined) {
          const message = "is missing: send `Bearer` and the token that the cookie shall keep"
          return yield* new InvalidRequest({
            detail: `headers.authorization: ${message}`,
            errors: [{ path: ["headers", "authorization"], message }]
          })
        }
        const principal = yield* CurrentPrincipal
        const left = (principal?.expiresAt ?? Infinity) - (yield* Clock.currentTimeMillis)
        const maxAge = Duration.min(longest, Duration.millis(Math.max(0, left)))
        return HttpServerResponse.setCookieUnsafe(HttpServerResponse.empty({ status: 204 }), tokenKey, token, {
          ...attributes(request),
          maxAge
        })
      }),
      signOut: Effect.fnUntraced(function*() {
        const request = yield* HttpServerRequest.HttpServerRequest
        yield* Effect.provideService(fromOwnPage(request), PublicUrl, publicUrl)
        return HttpServerResponse.expireCookieUnsafe(
          HttpServerResponse.empty({ status: 204 }),
          tokenKey,
          attributes(request)
        )
      })
    })
  })
)
