/**
 * Signed tokens of an identity provider: JSON Web Tokens (RFC 7519), checked as RFC 8725 recommends.
 *
 * Needs the package `jose`.
 *
 * @since 0.1.0
 */
import { UserId } from "@perennial/domain/Ids"
import { Data, DateTime, Duration, Effect, type Layer, Option, Redacted, Schema } from "effect"
import { createLocalJWKSet, createRemoteJWKSet, errors, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose"
import * as Authorization from "./Authorization.ts"
import type { Principal, Role } from "./Principal.ts"
import { Unavailable } from "./Problems.ts"

/**
 * The keys that sign tokens: a shared secret of at least 32 bytes (HS256), a set of public keys, or the URL of such a set
 * (RS256, PS256, ES256, EdDSA).
 *
 * **Details** A set behind a URL is kept for ten minutes. A token whose key is not in it makes the server read the set again,
 * at most once in the cooldown (30 seconds by default), so that keys can be rotated.
 *
 * @since 0.1.0
 * @category models
 */
export type Keys =
  | { readonly secret: Redacted.Redacted }
  | { readonly jwks: JSONWebKeySet }
  | { readonly jwksUrl: string | URL; readonly cooldown?: Duration.Input | undefined }

/**
 * Which tokens are accepted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  readonly keys: Keys
  /** The claim `iss` of every token. */
  readonly issuer: string
  /** The claim `aud` of every token contains this. */
  readonly audience: string
  /** The claim that has the id of the user; `sub` by default. */
  readonly userClaim?: string | undefined
  /** The roles of the user, from the claims of the token; none by default. */
  readonly rolesOf?: ((claims: JWTPayload) => ReadonlyArray<Role>) | undefined
  /** How far the clocks of the issuer and of this server may differ; 5 seconds by default. */
  readonly clockTolerance?: Duration.Input | undefined
}

const publicKeys = ["RS256", "PS256", "ES256", "EdDSA"]

const verifierOf = (keys: Keys) => {
  // Each kind of key has its own algorithms, so that a public key never counts as a shared secret (RFC 8725, section 3.1).
  if ("secret" in keys) {
    const secret = new TextEncoder().encode(Redacted.value(keys.secret))
    return { algorithms: ["HS256"], key: () => secret }
  }
  if ("jwks" in keys) return { algorithms: publicKeys, key: createLocalJWKSet(keys.jwks) }
  const cooldownDuration = Duration.toMillis(keys.cooldown ?? "30 seconds")
  return { algorithms: publicKeys, key: createRemoteJWKSet(new URL(keys.jwksUrl), { cooldownDuration }) }
}

class TokenRefused extends Data.TaggedError("TokenRefused")<{ readonly cause: unknown }> {}
class KeysUnreadable extends Data.TaggedError("KeysUnreadable")<{ readonly cause: unknown }> {}

/** A set of keys that cannot be fetched has one of these codes, or it is an error of `fetch`. */
const keyFailures = new Set(["ERR_JWKS_TIMEOUT", "ERR_JOSE_GENERIC", "ERR_JWKS_INVALID"])

const toError = (cause: unknown): TokenRefused | KeysUnreadable =>
  cause instanceof errors.JOSEError && !keyFailures.has(cause.code)
    ? new TokenRefused({ cause })
    : new KeysUnreadable({ cause })

const isUserId = Schema.is(UserId)

const unavailable = new Unavailable({ detail: "The keys of the identity provider could not be read. Try again." })

/**
 * Checks tokens, and finds the principal of each: a `verify` for `Authorization.layerVerify`.
 *
 * **Details** A token must be signed with an accepted algorithm, and must have the claims `iss`, `aud`, `exp` and the user's.
 * `nbf` is checked where a token has it. The principal expires with its token.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeVerify = (
  { audience, clockTolerance = "5 seconds", issuer, keys, rolesOf, userClaim = "sub" }: Options
): (credential: Redacted.Redacted) => Effect.Effect<Option.Option<Principal>, Unavailable> => {
  const { algorithms, key } = verifierOf(keys)
  const tolerance = Duration.toMillis(clockTolerance)
  const toPrincipal = (claims: JWTPayload): Option.Option<Principal> => {
    const { exp, [userClaim]: userId } = claims
    return isUserId(userId) && exp !== undefined
      ? Option.some({ userId, roles: rolesOf?.(claims), expiresAt: exp * 1_000 + tolerance })
      : Option.none()
  }

  return Effect.fnUntraced(function*(credential) {
    const now = yield* DateTime.now
    return yield* Effect.tryPromise({
      try: () =>
        jwtVerify(Redacted.value(credential), key, {
          algorithms,
          issuer,
          audience,
          clockTolerance: tolerance / 1_000,
          currentDate: DateTime.toDateUtc(now),
          requiredClaims: ["exp", userClaim]
        }),
      catch: toError
    }).pipe(
      Effect.map(({ payload }) => toPrincipal(payload)),
      Effect.catchTags({
        TokenRefused: ({ cause }) => Effect.as(Effect.logDebug("A token was refused.", cause), Option.none()),
        KeysUnreadable: ({ cause }) =>
          Effect.andThen(
            Effect.logError("The keys of the identity provider could not be read.", cause),
            Effect.fail(unavailable)
          )
      })
    )
  })
}

/**
 * Accepts the tokens of an identity provider.
 *
 * **Example**
 *
 * ```ts
 * import * as Jwt from "@perennial/http/Jwt"
 *
 * const users = Jwt.layer({
 *   issuer: "https://login.example.com/",
 *   audience: "https://agents.example.com",
 *   keys: { jwksUrl: "https://login.example.com/.well-known/jwks.json" }
 * })
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<Authorization.Authorization> =>
  Authorization.layerVerify(makeVerify(options))
