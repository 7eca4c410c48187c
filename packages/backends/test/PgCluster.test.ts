import { assert, it } from "@effect/vitest"
import * as PgCluster from "@perennial/backends/PgCluster"
import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
import { Effect, Exit, Layer, Logger, Scope } from "effect"
import { runnerPort } from "../../../test/support/engine.ts"
import { makeDatabase, withPostgres } from "./support/postgres.ts"

withPostgres("a runner", (server) => {
  it.live("that ends in order does not log the connections of others, nor what it interrupts", () => {
    const logged: Array<unknown> = []
    return Effect.gen(function*() {
      const { url } = yield* makeDatabase(server)
      const address = { host: "127.0.0.1", port: yield* runnerPort }
      const scope = yield* Scope.make()
      const cluster = PgCluster.layer({ url, address, shardingConfig: TaskEngineCluster.shardingConfig() })
      yield* Layer.buildWithScope(cluster, scope)
      const socket = new WebSocket(`ws://${address.host}:${address.port}/`)
      yield* Effect.callback<void>((resume) => socket.addEventListener("open", () => resume(Effect.void)))
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(logged, [])
    }).pipe(
      Effect.scoped,
      Effect.provide(Logger.layer([Logger.make(({ cause, logLevel, message }) => {
        // Warnings are about the database, which may be busy.
        if (logLevel === "Info") logged.push({ message, cause })
      })]))
    )
  })
})
