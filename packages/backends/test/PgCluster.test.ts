import { assert, it } from "@effect/vitest"
import * as PgCluster from "@perennial/backends/PgCluster"
import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
import { Context, Effect, Exit, Layer, Logger, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { runnerPort } from "../../../test/support/engine.ts"
import { endSessions, makeDatabase, readOnly, withPostgres } from "./support/postgres.ts"

withPostgres("a runner", (server) => {
  it.live("P8: whose connections may only read after a fail-over ends them, also the one of its locks", () =>
    Effect.gen(function*() {
      const { name, url } = yield* makeDatabase(server)
      const maxConnections = 6
      const cluster = PgCluster.layer({
        url,
        maxConnections,
        address: { host: "127.0.0.1", port: yield* runnerPort },
        shardingConfig: TaskEngineCluster.shardingConfig()
      })
      const sql = Context.get(yield* Layer.build(cluster), SqlClient.SqlClient)
      const write = sql`UPDATE cluster_runners SET last_heartbeat = NOW()`
      const held = yield* Scope.make()
      yield* readOnly(server, name, true)
      yield* endSessions(server, name)
      // It is held over the fail-over, as the connection of the locks is.
      const reserved = yield* sql.reserve.pipe(Scope.provide(held), Effect.retry({ times: maxConnections }))
      const heartbeat = reserved.executeRaw("UPDATE cluster_runners SET last_heartbeat = NOW()", [])
      assert.isTrue(Exit.isFailure(yield* Effect.exit(write)))
      yield* readOnly(server, name, false)
      assert.isTrue(Exit.isFailure(yield* Effect.exit(heartbeat)))
      yield* Scope.close(held, Exit.void)
      yield* Effect.retry(write, { times: maxConnections })
      yield* Effect.all(Array.from({ length: maxConnections - 1 }, () => write), { concurrency: "unbounded" }).pipe(
        Effect.retry({ times: maxConnections })
      )
    }).pipe(Effect.scoped, Effect.provide(Logger.layer([]))))

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
