import { assert, it } from "@effect/vitest"
import * as SqliteClient from "@perennial/backends/SqliteClient"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { ClaimId, RunnerId } from "@perennial/domain/Ids"
import { cancelKey } from "@perennial/domain/Intent"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskSpec } from "@perennial/domain/TaskSpec"
import { Context, Duration, Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { join } from "node:path"
import { directory, layerEmpty } from "./sqliteFile.ts"
import { begin, firstClaim, ids, newTask, runnerId, text } from "./support/oneTask.ts"
import { spoilSql } from "./support/spoil.ts"

TaskBackendContract.suite("SqlTaskBackend on SQLite", SqlTaskBackend.layer.pipe(Layer.provide(layerEmpty)), {
  spoilable: Effect.flatMap(
    Layer.build(Layer.fresh(SqlTaskBackend.layer.pipe(Layer.provideMerge(layerEmpty)))),
    (context) =>
      Effect.map(Effect.provide(spoilSql, context), (spoil) => ({ backend: Context.get(context, TaskBackend), spoil }))
  )
})

const id = ids.taskId
const createWith = (spec: TaskSpec) =>
  Effect.flatMap(TaskBackend, (backend) => backend.create({ ...newTask(id), spec }, { onBusy: "reject", maxQueued: 0 }))
const create = createWith({})

it.effect("P8, SCENARIO 25: after a restart on SQLite the tasks of the earlier process are without an owner at once", () =>
  Effect.gen(function*() {
    const filename = join(yield* directory, "test.db")
    const layer = SqlTaskBackend.layer.pipe(Layer.provide(SqliteClient.layer({ filename })))
    yield* Effect.provide(
      Effect.gen(function*() {
        const backend = yield* TaskBackend
        yield* create
        yield* backend.heartbeat(runnerId, Duration.hours(1))
        yield* backend.claim(id, firstClaim)
        assert.deepStrictEqual(yield* backend.unowned({ limit: 10 }), [])
      }),
      layer
    )
    yield* Effect.provide(
      Effect.gen(function*() {
        const backend = yield* TaskBackend
        assert.strictEqual((yield* backend.unowned({ limit: 10 }))[0]?.token, 1)
        const next = { runnerId: RunnerId.make("next"), claimId: ClaimId.make("next"), expectedToken: 1 }
        const claim = Option.getOrThrow(yield* backend.claim(id, next))
        assert.deepInclude(claim, { attempt: 2, failures: 1 })
      }),
      layer
    )
  }).pipe(Effect.scoped))

it.effect("fields and events that a newer version wrote are returned unchanged", () =>
  Effect.gen(function*() {
    const backend = yield* TaskBackend
    const sql = yield* SqlClient.SqlClient
    yield* create
    const newer = [
      { type: "text", content: "hi", language: "en" },
      { type: "from_the_future", deep: { er: [1] } }
    ]
    for (const [i, event] of newer.entries()) {
      yield* sql`INSERT INTO perennial_task_events (task_id, seq, at, payload)
        VALUES ('t1', ${i + 2}, 7, ${JSON.stringify(event)})`
    }
    yield* sql`UPDATE perennial_tasks SET last_seq = 3`
    const page = yield* backend.events(id, { after: 1, limit: 10, maxBytes: 10_000 })
    assert.deepStrictEqual(page.events.map((stored): unknown => stored.event), [
      { ...newer[0], ...ids },
      { type: "unknown", raw: { ...newer[1], ...ids } }
    ])
  }).pipe(Effect.provide(SqlTaskBackend.layer.pipe(Layer.provideMerge(layerEmpty)))))

it.effect("retention removes the data that only an owner needs", () =>
  Effect.gen(function*() {
    const backend = yield* TaskBackend
    const sql = yield* SqlClient.SqlClient
    yield* createWith({ metadata: { a: 1 }, userMetadata: { b: 2 }, logContext: { request: "r" } })
    yield* backend.putIntent(id, { key: cancelKey, value: {} })
    yield* backend.prune({ finishedFor: Duration.zero, limit: 10 })
    assert.deepStrictEqual(yield* sql`SELECT spec FROM perennial_tasks`, [{ spec: "{\"metadata\":{\"a\":1}}" }])
    assert.deepStrictEqual(yield* sql`SELECT * FROM perennial_task_events`, [])
    assert.deepStrictEqual(yield* sql`SELECT * FROM perennial_task_intents`, [])
  }).pipe(Effect.provide(SqlTaskBackend.layer.pipe(Layer.provideMerge(layerEmpty)))))

it.effect("a stored event does not repeat the ids that its row has", () =>
  Effect.gen(function*() {
    const backend = yield* TaskBackend
    const sql = yield* SqlClient.SqlClient
    const claim = yield* begin(backend)
    yield* backend.append([{ claim, events: [text(2)] }])
    assert.deepStrictEqual(yield* sql`SELECT payload FROM perennial_task_events WHERE seq = 2`, [
      { payload: "{\"type\":\"text\",\"content\":\"hi\"}" }
    ])
  }).pipe(Effect.provide(SqlTaskBackend.layer.pipe(Layer.provideMerge(layerEmpty)))))
