import { assert, it } from "@effect/vitest"
import * as SqliteClient from "@perennial/backends/SqliteClient"
import * as MemoryStore from "@perennial/domain/MemoryStore"
import * as TaskEngineCluster from "@perennial/runtime/TaskEngineCluster"
import * as Testing from "@perennial/runtime/Testing"
import { Context, Effect, Layer } from "effect"
import { SingleRunner } from "effect/cluster"
import { Digest } from "effect/crypto"
import { SqlClient } from "effect/sql"
import { TestClock } from "effect/testing"
import { counting, waiting } from "./support/agents.ts"
import { startRunner } from "./support/clusterRunners.ts"

it.effect("P11: handled messages and their replies are removed, those of unfinished tasks are kept", () =>
  Effect.gen(function*() {
    // Ids of messages count from 2025.
    yield* TestClock.setTime(Date.UTC(2026, 0))
    const sqlite = yield* Layer.build(SqliteClient.layer({ filename: ":memory:" }))
    const cluster = Layer.orDie(Layer.provideMerge(
      SingleRunner.layer({ runnerStorage: "memory", shardingConfig: TaskEngineCluster.shardingConfig() }),
      Layer.merge(Layer.succeedContext(sqlite), Digest.layerWebCrypto)
    ))
    const { agent } = waiting()
    const { manager } = yield* startRunner([counting(3), agent], TaskEngineCluster.layer({ cluster }))
    const sql = Context.get(sqlite, SqlClient.SqlClient)
    const counts = sql<Record<"messages" | "replies", number>>`
      SELECT (SELECT COUNT(*) FROM cluster_messages) AS messages, (SELECT COUNT(*) FROM cluster_replies) AS replies`
    for (let i = 0; i < 50; i++) yield* manager.start({ message: "x", agentId: "counting" })
    yield* manager.start({ message: "x", agentId: "waiting" })
    yield* Testing.adjust("10 seconds")
    assert.deepStrictEqual(yield* counts, [{ messages: 51, replies: 50 }])
    yield* Testing.adjust("80 seconds")
    assert.deepStrictEqual(yield* counts, [{ messages: 1, replies: 0 }])
  }).pipe(Effect.scoped, Effect.provide(MemoryStore.layer)))
