/**
 * How many requests a user may make. Processes that share a PostgreSQL or a Redis count together; a single process counts in
 * memory.
 */
import * as PgRateLimiterStore from "@perennial/backends/PgRateLimiterStore"
import * as PgStore from "@perennial/backends/PgStore"
import * as RedisClient from "@perennial/backends/RedisClient"
import type { StoreSetting } from "@perennial/backends/StoreSetting"
import * as RateLimit from "@perennial/http/RateLimit"
import { Layer, Redacted } from "effect"
import { RateLimiter } from "effect/persistence"
import type { ServerConfig } from "./ServerConfig.ts"

const postgres = (url: Redacted.Redacted) =>
  Layer.provide(
    PgRateLimiterStore.layer,
    PgStore.layerClient({ url, maxConnections: 2, applicationName: "evergreen" })
  )

const redis = (url: Redacted.Redacted) =>
  Layer.provide(
    RateLimiter.layerStoreRedis({ prefix: "perennial:requests:" }),
    RedisClient.layer({ url: Redacted.value(url) })
  )

/** Counts on connections of its own: a busy store does not delay the count. */
const shared = (
  { type, url }: Extract<StoreSetting, { readonly url: unknown }>
): Layer.Layer<RateLimiter.RateLimiterStore, Layer.Error<ReturnType<typeof postgres> | ReturnType<typeof redis>>> =>
  type === "postgres" ? postgres(url) : redis(url)

export const layer = (
  { maxRequests, store }: ServerConfig
): Layer.Layer<never, Layer.Error<ReturnType<typeof shared>>> => {
  if (maxRequests === undefined) return Layer.empty
  if (!("url" in store)) return RateLimit.layerMemory({ requests: maxRequests })
  return RateLimit.layer({ requests: maxRequests }).pipe(
    Layer.provide(RateLimiter.layer),
    Layer.provide(shared(store))
  )
}
