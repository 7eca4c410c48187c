import { assert, it } from "@effect/vitest"
import * as SqliteClient from "@perennial/backends/SqliteClient"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import * as TaskBackendContract from "@perennial/backends/TaskBackendContract"
import { AgentId, ConversationId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { userText } from "@perennial/domain/Message"
import { cancelKey, type NewTask, TaskBackend } from "@perennial/domain/TaskBackend"
import { Duration, Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { join } from "node:path"
import { directory, layerEmpty } from "./sqliteFile.ts"

TaskBackendContract.suite("SqlTaskBackend on SQLite", SqlTaskBackend.layer.pipe(Layer.provide(layerEmpty)))

const id = TaskId.make("t1")
const runnerId = RunnerId.make("runner")
const createWith = (more: Partial<NewTask>) =>
  Effect.flatMap(TaskBackend, (backend) =>
    backend.create({
      id,
      conversationId: ConversationId.make("c1"),
      userId: UserId.make("alice"),
      agentId: AgentId.make("agent"),
      input: userText("hello"),
      ...more
    }, { onBusy: "reject", maxQueued: 0 }))
const create = createWith({})

it.effect("P8, SCENARIO 25: after a restart on SQLite the tasks of the process before have no owner, at once", () =>
  Effect.gen(function*() {
    const filename = join(yield* directory, "test.db")
    const layer = SqlTaskBackend.layer.pipe(Layer.provide(SqliteClient.layer({ filename })))
    yield* Effect.provide(
      Effect.gen(function*() {
        const backend = yield* TaskBackend
        yield* create
        yield* backend.heartbeat(runnerId, Duration.hours(1))
        yield* backend.claim(id, { runnerId, expectedToken: 0 })
        assert.deepStrictEqual(yield* backend.unowned({ limit: 10 }), [])
      }),
      layer
    )
    yield* Effect.provide(
      Effect.gen(function*() {
        const backend = yield* TaskBackend
        assert.strictEqual((yield* backend.unowned({ limit: 10 }))[0]?.token, 1)
        const next = { runnerId: RunnerId.make("next"), expectedToken: 1 }
        const claim = Option.getOrThrow(yield* backend.claim(id, next))
        assert.deepInclude(claim, { attempt: 2, failures: 1 })
      }),
      layer
    )
  }).pipe(Effect.scoped))

it.effect("fields and events that a newer version wrote pass through", () =>
  Effect.gen(function*() {
    const backend = yield* TaskBackend
    const sql = yield* SqlClient.SqlClient
    yield* create
    const newer = [
      { type: "text", taskId: "t1", conversationId: "c1", content: "hi", language: "en" },
      { type: "from_the_future", taskId: "t1", deep: { er: [1] } }
    ]
    for (const [i, event] of newer.entries()) {
      yield* sql`INSERT INTO perennial_task_events (task_id, seq, at, payload)
        VALUES ('t1', ${i + 2}, 7, ${JSON.stringify(event)})`
    }
    yield* sql`UPDATE perennial_tasks SET last_seq = 3`
    const page = yield* backend.events(id, { after: 1, limit: 10, maxBytes: 10_000 })
    assert.deepStrictEqual(page.events.map((stored): unknown => stored.event), [
      newer[0],
      { type: "unknown", raw: newer[1] }
    ])
  }).pipe(Effect.provide(SqlTaskBackend.layer.pipe(Layer.provideMerge(layerEmpty)))))

it.effect("retention takes what only an owner needed", () =>
  Effect.gen(function*() {
    const backend = yield* TaskBackend
    const sql = yield* SqlClient.SqlClient
    yield* createWith({ userMetadata: { b: 2 }, logContext: { request: "r" } })
    yield* backend.putIntent(id, { key: cancelKey, value: {} })
    yield* backend.prune({ finishedBefore: Number.MAX_SAFE_INTEGER, limit: 10 })
    assert.deepStrictEqual(yield* sql`SELECT user_metadata, log_context FROM perennial_tasks`, [
      { user_metadata: null, log_context: null }
    ])
    assert.deepStrictEqual(yield* sql`SELECT * FROM perennial_task_events`, [])
    assert.deepStrictEqual(yield* sql`SELECT * FROM perennial_task_intents`, [])
  }).pipe(Effect.provide(SqlTaskBackend.layer.pipe(Layer.provideMerge(layerEmpty)))))

it.effect("a log that cannot be read is an error of the backend", () =>
  Effect.gen(function*() {
    const backend = yield* TaskBackend
    const sql = yield* SqlClient.SqlClient
    yield* create
    yield* sql`UPDATE perennial_task_events SET payload = '{"type":"text"}'`
    const error = yield* Effect.flip(backend.events(id, { after: 0, limit: 10, maxBytes: 10_000 }))
    assert.deepInclude(error, { _tag: "TaskBackendError", operation: "events" })
  }).pipe(Effect.provide(SqlTaskBackend.layer.pipe(Layer.provideMerge(layerEmpty)))))
