/**
 * Two ways to know the user of a request: static tokens, or none at all on a machine of one's own.
 *
 * Cookies count on writes only if the page that sends them was served by this server (no cross-site request forgery).
 * Without tokens, requests must be addressed to a loopback name (no DNS rebinding), and writes of browsers must come
 * from this server's own pages; such a server must listen on a loopback address only.
 *
 * @since 0.1.0
 */
import { CurrentUser } from "@perennial/domain/CurrentUser"
import { UserId } from "@perennial/domain/Ids"
import { Config, Effect, Layer, Option, Redacted, Schema, SchemaIssue } from "effect"
import { HttpEffect, HttpServerRequest, HttpServerResponse } from "effect/http"
import { Authorization } from "./Authorization.ts"
import { isAddressedToLoopback, isSameOrigin, isWrite } from "./internal/origin.ts"
import { Forbidden, Unauthorized } from "./Problems.ts"

/**
 * A token and the user it stands for. A user may have several, so that they can be changed without a pause.
 *
 * @since 0.1.0
 * @category models
 */
export interface Token {
  readonly userId: UserId
  readonly secret: Redacted.Redacted
}

/** Takes the same time wherever the first difference is. The length of a secret is not one. */
const equals = (given: string, secret: string): boolean => {
  let difference = given.length ^ secret.length
  for (let i = 0; i < secret.length; i++) difference |= secret.charCodeAt(i) ^ given.charCodeAt(i)
  return difference === 0
}

// Another credential of the same request may still be accepted: the response knows.
const challenge = HttpEffect.appendPreResponseHandler((_, response) =>
  Effect.succeed(
    response.status === 401 ? HttpServerResponse.setHeader(response, "www-authenticate", "Bearer") : response
  )
)

const unauthorized = Effect.andThen(
  challenge,
  Effect.fail(new Unauthorized({ detail: "Send `Authorization: Bearer <token>` with a token of this server." }))
)

const foreignOrigin = Effect.fail(
  new Forbidden({ detail: "Writes are accepted only from pages that this server itself has served." })
)

/**
 * Accepts these tokens.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (tokens: ReadonlyArray<Token>): Layer.Layer<Authorization> => {
  const find = (given: Redacted.Redacted): Option.Option<UserId> => {
    const text = Redacted.value(given)
    let found = Option.none<UserId>()
    if (text === "") return found
    for (const { secret, userId } of tokens) if (equals(text, Redacted.value(secret))) found = Option.some(userId)
    return found
  }
  const verify: Authorization["Service"]["bearer"] = (handler, { credential }) =>
    Option.match(find(credential), {
      onNone: () => unauthorized,
      onSome: (userId) => Effect.provideService(handler, CurrentUser, userId)
    })

  return Layer.succeed(Authorization, {
    bearer: verify,
    query: verify,
    cookie: Effect.fnUntraced(function*(handler, options) {
      const request = yield* HttpServerRequest.HttpServerRequest
      const foreign = isWrite(request) && !Option.getOrElse(isSameOrigin(request), () => false)
      if (foreign && Option.isSome(find(options.credential))) return yield* foreignOrigin
      return yield* verify(handler, options)
    })
  })
}

const foreignHost = Effect.fail(
  new Forbidden({ detail: "A server without tokens answers only requests to localhost, 127.0.0.1 or [::1]." })
)

const local: Authorization["Service"]["bearer"] = (handler) =>
  Effect.flatMap(HttpServerRequest.HttpServerRequest, (request): ReturnType<typeof local> => {
    if (!isAddressedToLoopback(request)) return foreignHost
    return isWrite(request) && !Option.getOrElse(isSameOrigin(request), () => true) ? foreignOrigin : handler
  })

/**
 * Accepts everybody who can reach the loopback address, as the user `local`.
 *
 * **Gotchas** Only for servers that listen on a loopback address.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerLocal: Layer.Layer<Authorization> = Layer.succeed(Authorization, {
  bearer: local,
  query: local,
  cookie: local
})

/** Never shows the value: it holds secrets. */
const invalid = (name: string, entry: number, problem: string) =>
  Effect.fail(
    new Config.ConfigError(
      new Schema.SchemaError(
        new SchemaIssue.InvalidValue({
          message: `${name}: entry ${entry} ${problem}. Expected <user>:<token>, separated by commas.`
        })
      )
    )
  )

const parse = Effect.fnUntraced(function*(name: string, text: string) {
  const tokens: Array<Token> = []
  const seen = new Set<string>()
  for (const [i, entry] of text.split(",").entries()) {
    const at = entry.indexOf(":")
    const user = entry.slice(0, at).trim()
    const secret = entry.slice(at + 1).trim()
    if (at === -1) return yield* invalid(name, i + 1, "has no `:`")
    if (!Schema.is(UserId)(user)) {
      return yield* invalid(name, i + 1, "has no user of 1 to 200 characters, or one with a control character")
    }
    if (secret === "") return yield* invalid(name, i + 1, "has an empty token")
    if (seen.has(secret)) return yield* invalid(name, i + 1, "repeats the token of another entry")
    seen.add(secret)
    tokens.push({ userId: user, secret: Redacted.make(secret) })
  }
  return tokens
})

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
        : Effect.asSome(parse(name, Redacted.value(value)))
    )
  )
