/**
 * How many requests a user may make: a token bucket of effect's `RateLimiter` for each user.
 *
 * Without one of these layers the number of requests is not bounded. The layers differ in where they count: `layerMemory`
 * counts in the process, `layer` in the store of the `RateLimiter` that an application provides, such as Redis, which
 * several processes share.
 *
 * @since 0.1.0
 */
import { Context, Duration, Effect, Layer } from "effect"
import { Digest } from "effect/crypto"
import { HttpEffect, HttpServerResponse } from "effect/http"
import { RateLimiter } from "effect/persistence"
import { type Count, RequestCounter } from "./internal/requestCounter.ts"
import * as WebhookCrypto from "./internal/webhookCrypto.ts"
import { RateLimited } from "./Problems.ts"

/**
 * How many requests are accepted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** How many requests a user may make in a window, 1 or more. A user who was idle may make all of them at once. */
  readonly requests: number
  /** One minute by default. A user gets `requests` back in this time, evenly. */
  readonly window?: Duration.Input | undefined
}

const setHeaders = (headers: Readonly<Record<string, string>>) =>
  HttpEffect.appendPreResponseHandler((_, response) => Effect.succeed(HttpServerResponse.setHeaders(response, headers)))

const toSeconds = (duration: Duration.Duration): number => Math.max(1, Math.ceil(Duration.toSeconds(duration)))

const utf8 = new TextEncoder()

/** If the store does not answer for so long, the request is accepted. */
const patience = "1 second"

/** Draft 10 of "RateLimit header fields for HTTP": `q` and `w` are the policy, `r` and `t` what is left of it. */
const makeCount = (limiter: RateLimiter.RateLimiter, digest: Digest.Digest["Service"], options: Options): Count => {
  const limit = options.requests
  const window = Duration.fromInputUnsafe(options.window ?? "1 minute")
  const policy = { "ratelimit-policy": `"requests";q=${limit};w=${toSeconds(window)}` }
  const left = (remaining: number, after: Duration.Duration) => ({
    ...policy,
    ratelimit: `"requests";r=${Math.floor(remaining)};t=${toSeconds(after)}`
  })

  const refuse = Effect.fnUntraced(function*(after: Duration.Duration) {
    const retryAfterSeconds = toSeconds(after)
    yield* setHeaders({ ...left(0, after), "retry-after": String(retryAfterSeconds) })
    return yield* new RateLimited({
      limit,
      retryAfterSeconds,
      detail: `At most ${limit} requests in ${toSeconds(window)} seconds. Try again in ${retryAfterSeconds} seconds.`
    })
  })

  // A store keeps a digest: a count that outlives the deletion of its user does not name the user.
  return (name) =>
    digest.digestHex(Digest.sha256, utf8.encode(name)).pipe(
      Effect.flatMap((key) => limiter.consume({ key, limit, window, algorithm: "token-bucket" })),
      Effect.timeoutOrElse({
        duration: patience,
        orElse: () => Effect.logWarning("A rate limit was not counted: no answer.")
      }),
      Effect.flatMap((result) =>
        result === undefined ? Effect.void : setHeaders(left(result.remaining, result.resetAfter))
      ),
      Effect.catchTag("RateLimiterError", ({ reason }) =>
        reason._tag === "RateLimitExceeded"
          ? refuse(reason.retryAfter)
          : Effect.logWarning("A rate limit was not counted.", reason))
    )
}

/**
 * Bounds the requests of each user with the `RateLimiter` of an application, and for each address the requests that are
 * answered 401. `/health` and `/ready` are not counted.
 *
 * **Details** A request over the limit is answered 429 `rate-limited` with `Retry-After`. Every counted response has the
 * headers `RateLimit` and `RateLimit-Policy`. A request that the store of the limiter cannot count is accepted, and the log
 * gets a warning.
 *
 * docs/http.md shows it with a Redis that several processes share.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<never, never, RateLimiter.RateLimiter> =>
  Layer.effect(
    RequestCounter,
    Effect.gen(function*() {
      return makeCount(yield* RateLimiter.RateLimiter, yield* Digest.Digest, options)
    })
  ).pipe(Layer.provide(WebhookCrypto.layer))

/** effect's store in memory never forgets a key. A new one takes its place after this many keys. */
const maxKeys = 100_000

const layerLimiter = Layer.effect(
  RateLimiter.RateLimiter,
  Effect.gen(function*() {
    const scope = yield* Effect.scope
    const fresh = Effect.map(
      Layer.buildWithScope(Layer.fresh(RateLimiter.layer.pipe(Layer.provide(RateLimiter.layerStoreMemory))), scope),
      Context.get(RateLimiter.RateLimiter)
    )
    let limiter = yield* fresh
    const keys = new Set<string>()
    const current = Effect.fnUntraced(function*(key: string) {
      if (keys.size >= maxKeys && !keys.has(key)) {
        keys.clear()
        limiter = yield* fresh
      }
      keys.add(key)
      return limiter
    })
    return {
      ...limiter,
      consume: (options) => Effect.flatMap(current(options.key), (limiter) => limiter.consume(options))
    }
  })
)

/**
 * `layer` with counts in the memory of the process: several processes together accept as many times the requests.
 *
 * **Details** It remembers 100,000 users and addresses. One more begins all counts anew.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (options: Options): Layer.Layer<never> => layer(options).pipe(Layer.provide(layerLimiter))
