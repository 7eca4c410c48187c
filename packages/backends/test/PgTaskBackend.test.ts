import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { Layer } from "effect"
import { layerEmpty, withPostgres } from "./support/postgres.ts"

withPostgres(
  "the contract of the task backend on PostgreSQL",
  (url) =>
    TaskBackendContract.suite("PgTaskBackend", PgTaskBackend.layer.pipe(Layer.provide(layerEmpty(url))), {
      time: "store"
    })
)
