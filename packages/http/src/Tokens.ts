/**
 * Three ways to know the user of a request: a check of your own, static tokens, or none at all on your own machine.
 *
 * A credential counts as a header, in the query or as a cookie. A write with a cookie must come from a page of this server
 * (no cross-site request forgery). Without tokens, requests must be addressed to a loopback name (no DNS rebinding), and
 * the server must listen on a loopback address.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import type { UserId } from "@perennial/domain/Ids"
import { Config, Effect, Layer, Option, Redacted, Schema } from "effect"
import { Mac } from "effect/crypto"
import { HttpEffect, HttpServer, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Authorization } from "./Authorization.ts"
import { isLoopback } from "./internal/origin.ts"
import { parseTokens } from "./internal/parseTokens.ts"
import { fromOwnPage, fromThisMachine } from "./internal/sameOrigin.ts"
import { Unauthorized } from "./Problems.ts"

/**
 * A token and its user. A user may have several tokens, so that a token can be replaced without an interruption.
 *
 * @since 0.1.0
 * @category models
 */
export interface Token {
  readonly userId: UserId
  readonly secret: Redacted.Redacted
}

// Decided at the response, because another credential of the same request may still be accepted.
const challenge = HttpEffect.appendPreResponseHandler((_, response) =>
  Effect.succeed(
    response.status === 401 ? HttpServerResponse.setHeader(response, "www-authenticate", "Bearer") : response
  )
)

const unauthorized = Effect.andThen(
  challenge,
  Effect.fail(new Unauthorized({ detail: "Send `Authorization: Bearer <token>` with a token of this server." }))
)

/**
 * Accepts the credentials that `verify` finds a user for, such as signed tokens of an identity provider.
 *
 * **Details** `verify` gets the credential of the header, of the query and of the cookie, in this order, until it finds a
 * user; it never gets an empty one.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerVerify = (
  verify: (credential: Redacted.Redacted) => Effect.Effect<Option.Option<UserId>>
): Layer.Layer<Authorization> => {
  const userOf = Effect.fnUntraced(function*(credential: Redacted.Redacted) {
    const userId = Redacted.value(credential) === "" ? Option.none() : yield* verify(credential)
    return Option.isSome(userId) ? userId.value : yield* unauthorized
  })
  const accept: Authorization["Service"]["bearer"] = (handler, { credential }) =>
    Effect.flatMap(userOf(credential), (userId) => Effect.provideService(handler, CurrentUser, userId))
  const acceptCookie: Authorization["Service"]["cookie"] = Effect.fnUntraced(function*(handler, { credential }) {
    const userId = yield* userOf(credential)
    yield* fromOwnPage(yield* HttpServerRequest.HttpServerRequest)
    return yield* Effect.provideService(handler, CurrentUser, userId)
  })
  return Layer.succeed(Authorization, { bearer: accept, query: accept, cookie: acceptCookie })
}

const utf8 = new TextEncoder()

/**
 * Accepts these tokens.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (tokens: ReadonlyArray<Token>): Layer.Layer<Authorization> => {
  const known = tokens.map(({ secret, userId }) => ({ userId, secret: utf8.encode(Redacted.value(secret)) }))
  return layerVerify((credential) =>
    Effect.sync(() => {
      const given = utf8.encode(Redacted.value(credential))
      // Every token is compared, so that the time does not tell which token, or which part of it, was right.
      let found = Option.none<UserId>()
      for (const { secret, userId } of known) if (Mac.timingSafeEqual(given, secret)) found = Option.some(userId)
      return found
    })
  )
}

/**
 * `layerLocal` is used with a server that other machines may reach.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotLoopback extends Schema.TaggedError<NotLoopback>()("NotLoopback", { address: Schema.String }) {
  override get message() {
    return `A server without users must listen on a loopback address such as 127.0.0.1, not on ${this.address}. Use Tokens.layer to serve others.`
  }
}

const local: Authorization["Service"]["bearer"] = (handler) =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    (request) => Effect.andThen(fromThisMachine(request), handler)
  )

const isLocal = ({ address }: HttpServer.HttpServer["Service"]): boolean =>
  address._tag === "UnixPathAddress" || isLoopback(new URL(HttpServer.formatAddress(address)).hostname)

/**
 * Accepts every client of this machine as the user `local`. Fails where the server listens on an address that other
 * machines may reach (P12).
 *
 * @since 0.1.0
 * @category layers
 */
export const layerLocal: Layer.Layer<Authorization, NotLoopback, HttpServer.HttpServer> = Layer.effect(
  Authorization,
  Effect.gen(function*() {
    const server = yield* HttpServer.HttpServer
    if (!isLocal(server)) return yield* new NotLoopback({ address: HttpServer.formatAddress(server.address) })
    return Authorization.of({ bearer: local, query: local, cookie: local })
  })
)

/**
 * Reads tokens from a variable, `PERENNIAL_TOKENS` by default: `alice:secret1,bob:secret2`. None when it is not set, or
 * empty.
 *
 * @since 0.1.0
 * @category config
 */
export const config = (name = "PERENNIAL_TOKENS"): Config.Config<Option.Option<ReadonlyArray<Token>>> =>
  Config.Redacted(name).pipe(
    Config.withDefault(Redacted.make("")),
    Config.mapEffect((value) =>
      Redacted.value(value).trim() === ""
        ? Effect.succeedNone
        : Effect.asSome(parseTokens(name, Redacted.value(value)))
    )
  )
