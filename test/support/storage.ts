/**
 * The stores that several processes can share, by their address.
 */
import { PgClient } from "@effect/sql-pg"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as RedisClient from "@perennial/backends/RedisClient"
import * as RedisConversationStore from "@perennial/backends/RedisConversationStore"
import * as RedisTaskBackend from "@perennial/backends/RedisTaskBackend"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import { Layer, Logger, Redacted } from "effect"

const postgres = (url: string) =>
  Layer.mergeAll(PgTaskBackend.layer, SqlConversationStore.layer).pipe(
    Layer.provide(PgClient.layer({ url: Redacted.make(url), maxConnections: 10 }))
  )

const redis = (url: string) =>
  Layer.mergeAll(RedisTaskBackend.layer, RedisConversationStore.layer).pipe(
    // The backend tells of connections that fail; the client would tell of each once more.
    Layer.provide(RedisClient.layer({ url }).pipe(Layer.provide(Logger.layer([]))))
  )

export const layer = (url: string) => {
  const made: Layer.Layer<
    Layer.Success<ReturnType<typeof postgres>>,
    Layer.Error<ReturnType<typeof postgres> | ReturnType<typeof redis>>
  > = url.startsWith("redis:") ? redis(url) : postgres(url)
  return made
}
