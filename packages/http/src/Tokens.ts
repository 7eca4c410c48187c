/**
 * Static tokens, or no tokens at all on your own machine.
 *
 * Without tokens, requests must be addressed to a loopback name (no DNS rebinding), and the server must listen on a loopback
 * address.
 *
 * @since 0.1.0
 */
import { UserId } from "@perennial/domain/Ids"
import { Config, Effect, Layer, Option, Redacted, Schema } from "effect"
import { Mac } from "effect/crypto"
import { HttpServer, HttpServerRequest } from "effect/http"
import { Authorization, layerVerify } from "./Authorization.ts"
import { isLoopback } from "./internal/origin.ts"
import { parseTokens } from "./internal/parseTokens.ts"
import { fromThisMachine } from "./internal/sameOrigin.ts"
import { CurrentPrincipal, type Principal, type Role } from "./Principal.ts"

/**
 * A token and its user. A user may have several tokens, so that a token can be replaced without an interruption.
 *
 * @since 0.1.0
 * @category models
 */
export interface Token {
  readonly userId: UserId
  readonly secret: Redacted.Redacted
  /** None by default. */
  readonly roles?: ReadonlyArray<Role> | undefined
}

const utf8 = new TextEncoder()

/**
 * Finds the principal of a token: a `verify` for `Authorization.layerVerify`, alone or before another one.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeVerify = (
  tokens: ReadonlyArray<Token>
): (credential: Redacted.Redacted) => Effect.Effect<Option.Option<Principal>> => {
  const known = tokens.map(({ roles, secret, userId }) => ({
    principal: { userId, roles },
    secret: utf8.encode(Redacted.value(secret))
  }))
  return (credential) =>
    Effect.sync(() => {
      const given = utf8.encode(Redacted.value(credential))
      // Every token is compared, so that the time does not tell which token, or which part of it, was right.
      let found = Option.none<Principal>()
      for (const { principal, secret } of known) {
        if (Mac.timingSafeEqual(given, secret)) found = Option.some(principal)
      }
      return found
    })
}

/**
 * Accepts these tokens.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (tokens: ReadonlyArray<Token>): Layer.Layer<Authorization> => layerVerify(makeVerify(tokens))

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

/** Everything on the machine is the user's own. */
const localPrincipal: Principal = { userId: UserId.make("local"), roles: ["operator"] }

const local: Authorization["Service"]["bearer"] = (handler) =>
  Effect.flatMap(
    HttpServerRequest.HttpServerRequest,
    (request) =>
      Effect.andThen(fromThisMachine(request), Effect.provideService(handler, CurrentPrincipal, localPrincipal))
  )

const isLocal = ({ address }: HttpServer.HttpServer["Service"]): boolean =>
  address._tag === "UnixPathAddress" || isLoopback(new URL(HttpServer.formatAddress(address)).hostname)

/**
 * Accepts every client of this machine as the user `local`, who is an operator. Fails where the server listens on an address that other
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
