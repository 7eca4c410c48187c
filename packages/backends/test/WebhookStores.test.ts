import * as RedisWebhookStore from "@perennial/backends/RedisWebhookStore"
import * as SqlWebhookStore from "@perennial/backends/SqlWebhookStore"
import * as WebhookStoreContract from "@perennial/backends/WebhookStoreContract"
import * as MemoryWebhookStore from "@perennial/domain/MemoryWebhookStore"
import { Layer } from "effect"
import { layerEmpty as sqliteEmpty } from "./sqliteFile.ts"
import { layerHurried } from "./support/hurried.ts"
import { layerEmpty as postgresEmpty, withPostgres } from "./support/postgres.ts"
import { layerEmpty as redisEmpty, withRedis } from "./support/redis.ts"

WebhookStoreContract.suite("MemoryWebhookStore", MemoryWebhookStore.layer)

WebhookStoreContract.suite(
  "SqlWebhookStore on SQLite",
  SqlWebhookStore.layer.pipe(Layer.provide(sqliteEmpty))
)

withPostgres(
  "the contract of the webhook store on PostgreSQL",
  (url) =>
    WebhookStoreContract.suite(
      "SqlWebhookStore",
      SqlWebhookStore.layer.pipe(Layer.provide(postgresEmpty(url)), Layer.merge(layerHurried))
    )
)

withRedis(
  "the contract of the webhook store on Redis",
  (url) =>
    WebhookStoreContract.suite(
      "RedisWebhookStore",
      redisEmpty(url, (prefix) => RedisWebhookStore.layerWith({ prefix }))
    )
)
