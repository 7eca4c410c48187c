import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { Layer } from "effect"
import { layerEmpty, sayIsSkipped, url } from "./support/postgres.ts"

if (url === undefined) {
  sayIsSkipped("the contract of the task backend on PostgreSQL")
} else {
  TaskBackendContract.suite("PgTaskBackend", PgTaskBackend.layer.pipe(Layer.provide(layerEmpty(url))), {
    time: "store"
  })
}
