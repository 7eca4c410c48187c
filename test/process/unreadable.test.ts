/**
 * A server whose store has a message that cannot be read, or that a newer version wrote (P8).
 */
import { NodeRedis, NodeServices } from "@effect/platform-node"
import { PgClient } from "@effect/sql-pg"
import { assert, describe, it } from "@effect/vitest"
import * as SqliteClient from "@perennial/backends/SqliteClient"
import { TaskId } from "@perennial/domain/Ids"
import { FakeAnthropic, type Reply } from "@perennial/runtime/FakeAnthropic"
import { Effect, Layer, Redacted, type Scope } from "effect"
import { join } from "node:path"
import { makeDatabase, withPostgres } from "../../packages/backends/test/support/postgres.ts"
import { sayIsSkipped } from "../../packages/backends/test/support/redis.ts"
import * as RedisServer from "../../packages/backends/test/support/redisServer.ts"
import { spoilRedis, spoilSql } from "../../packages/backends/test/support/spoil.ts"
import * as Rest from "../support/rest.ts"
import * as Server from "../support/server.ts"
import * as Sse from "../support/sse.ts"
import { directory } from "../support/stores.ts"

/** A store, and how to replace the text of a message while no server runs. */
interface Database {
  readonly url: string
  readonly spoil: (id: string, text: string) => Effect.Effect<void>
}

const answer: Reply = { actions: [{ text: ["All ", "is ", "well."] }] }
const begins: Reply = { actions: [{ text: ["All ", "was "] }, { hang: true }] }

const layer = Layer.merge(FakeAnthropic.layer, NodeServices.layer)

const suite = (database: Effect.Effect<Database, never, Scope.Scope>) => {
  it.live("ends the task with an error, goes on with the conversation, and deletes it", () =>
    Effect.gen(function*() {
      const fake = yield* FakeAnthropic
      const { spoil, url } = yield* database
      const env = {
        PERENNIAL_STORE: url,
        ANTHROPIC_API_KEY: "test",
        ANTHROPIC_BASE_URL: fake.url,
        PERENNIAL_MODEL: "claude-test"
      }
      const start = Server.start({ env })
      const before = yield* start
      yield* fake.push(begins)
      const started = (message: string) =>
        Rest.start(before.address, { message, conversationId: "c1", onBusy: "enqueue" })
      const running = yield* started("How is it?")
      const damaged = yield* started("This cannot be read.")
      const newer = yield* started("This is spoken.")
      yield* fake.nextRequest
      yield* before.kill
      yield* spoil(running, `{"role":"user"}`)
      yield* spoil(damaged, `{"role":"assistant"}`)
      yield* spoil(newer, `{"role":"user","content":[{"type":"audio","data":"x"}]}`)

      yield* fake.push(answer)
      const { address } = yield* start
      for (const id of [running, damaged]) {
        const { events } = yield* Sse.read(`${address}/tasks/${id}/events`)
        Sse.assertExact(events)
        assert.deepInclude(events.at(-1)?.data, { type: "error", error: "TaskUnreadable" })
        const { body } = yield* Rest.get(`${address}/tasks/${id}`)
        assert.deepInclude(body, { status: "error", attempt: id === running ? 2 : 1 })
      }
      const { events } = yield* Sse.read(`${address}/tasks/${newer}/events`)
      assert.strictEqual(events.at(-1)?.data.type, "done")
      const { body } = yield* Rest.get(`${address}/conversations/c1/messages`)
      assert.deepInclude(JSON.stringify(body.items), `{"type":"audio","data":"x"}`)
      assert.strictEqual((yield* Rest.send("DELETE", `${address}/conversations/c1`)).status, 204)
    }).pipe(Effect.provide(layer)))
}

describe("SQLite", () => {
  suite(Effect.map(directory, (path): Database => {
    const filename = join(path, "test.db")
    return {
      url: `sqlite:${filename}`,
      spoil: (id, text) =>
        Effect.provide(
          Effect.flatMap(spoilSql, (spoil) => spoil({ part: "input", taskId: TaskId.make(id) }, text)),
          Layer.orDie(SqliteClient.layer({ filename }))
        )
    }
  }))
})

withPostgres("PostgreSQL", (server) =>
  suite(Effect.map(makeDatabase(server), ({ url }): Database => ({
    url,
    spoil: (id, text) =>
      Effect.provide(
        Effect.flatMap(spoilSql, (spoil) => spoil({ part: "input", taskId: TaskId.make(id) }, text)),
        Layer.orDie(PgClient.layer({ url: Redacted.make(url), maxConnections: 1 }))
      )
  }))))

if (!RedisServer.isInstalled) sayIsSkipped("unreadable messages on Redis")
describe.skipIf(!RedisServer.isInstalled)("Redis", { timeout: 120_000 }, () => {
  suite(Effect.map(RedisServer.ownServer, ({ url }): Database => ({
    url,
    spoil: (id, text) =>
      Effect.provide(
        Effect.flatMap(spoilRedis("perennial:"), (spoil) => spoil({ part: "input", taskId: TaskId.make(id) }, text)),
        Layer.orDie(NodeRedis.layer({ url }))
      )
  })))
})
