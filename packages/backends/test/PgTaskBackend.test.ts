import { PgClient } from "@effect/sql-pg"
import * as PgTaskBackend from "@perennial/backends/PgTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Context, Effect, Layer, type Redacted } from "effect"
import { layerEmpty, makeSchema, withPostgres } from "./support/postgres.ts"

const processes = (url: Redacted.Redacted) =>
  Effect.gen(function*() {
    const client = PgClient.layer(yield* makeSchema(url))
    const process = Layer.build(Layer.fresh(PgTaskBackend.layer.pipe(Layer.provide(client))))
    return [Context.get(yield* process, TaskBackend), Context.get(yield* process, TaskBackend)] as const
  })

withPostgres(
  "the contract of the task backend on PostgreSQL",
  (url) =>
    TaskBackendContract.suite("PgTaskBackend", PgTaskBackend.layer.pipe(Layer.provide(layerEmpty(url))), {
      time: "store",
      processes: processes(url)
    })
)
