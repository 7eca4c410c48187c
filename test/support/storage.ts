/**
 * The store of a URL: PostgreSQL or Redis, which several processes can share.
 */
import * as PgStore from "@perennial/backends/PgStore"
import * as RedisStore from "@perennial/backends/RedisStore"
import type { Layer } from "effect"

export const layer = (url: string) => {
  const made: Layer.Layer<
    Layer.Success<ReturnType<typeof PgStore.layer>>,
    Layer.Error<ReturnType<typeof PgStore.layer> | ReturnType<typeof RedisStore.layer>>
  > = url.startsWith("redis:") ? RedisStore.layer({ url }) : PgStore.layer({ url })
  return made
}
