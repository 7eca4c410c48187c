import { describe } from "@effect/vitest"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { Layer } from "effect"
import { layerEmpty, sayIsSkipped, url } from "./support/postgres.ts"

if (url === undefined) {
  sayIsSkipped("the contract of the task backend on PostgreSQL")
} else {
  const layer = PgTaskBackend.layer.pipe(Layer.provide(layerEmpty(url)))
  // A server that others use, too.
  describe("on PostgreSQL", { timeout: 30_000 }, () => {
    TaskBackendContract.suite("PgTaskBackend", layer, { time: "store" })
  })
}
