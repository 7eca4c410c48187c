import { assert, it } from "@effect/vitest"
import * as SqliteClient from "@perennial/backends/SqliteClient"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import { UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, Layer, Option } from "effect"
import { SqlClient } from "effect/sql"
import { join } from "node:path"
import { directory, layerEmpty } from "./sqliteFile.ts"
import { readByItsClaimAlone } from "./support/bodyReads.ts"
import { create, ids, runnerId } from "./support/oneTask.ts"
import { explain, layerRecording, Statements } from "./support/recordedSql.ts"

const layer = SqlTaskBackend.layer.pipe(
  Layer.provideMerge(layerRecording),
  Layer.provide(layerEmpty),
  Layer.provideMerge(Layer.sync(Statements, () => []))
)

it.effect("P6, P11: the body of a message is read by the claim of its task, and by nothing else", () =>
  Effect.gen(function*() {
    const statements = yield* Statements
    yield* readByItsClaimAlone(yield* TaskBackend, () => statements.splice(0).map(({ rows }) => rows))
  }).pipe(Effect.provide(layer)))

it.effect("P11: the row that every append writes again does not hold the body", () =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* create(yield* TaskBackend)
    const [row] = yield* sql`SELECT * FROM perennial_tasks`
    assert.strictEqual(row?.["id"], ids.taskId)
    assert.notInclude(JSON.stringify(row), "hello")
  }).pipe(Effect.provide(layer)))

it.effect("P6, P11: a list reads no more of a user's tasks than it may answer with", () =>
  Effect.gen(function*() {
    const backend = yield* TaskBackend
    const options = { userId: UserId.make("alice"), limit: 10 }
    const plan = (filter: Partial<Parameters<typeof backend.list>[0]>) =>
      Effect.map(
        explain(backend.list({ ...options, ...filter })),
        (steps) => steps.map((step) => step.replace("SEARCH perennial_tasks USING INDEX ", ""))
      )
    const { conversationId, taskId: before } = ids
    const active = ["queued", "running"] as const
    assert.deepStrictEqual(yield* plan({}), ["perennial_tasks_user (user_id=?)"])
    assert.deepStrictEqual(yield* plan({ before }), ["perennial_tasks_user (user_id=? AND id<?)"])
    const ofConversation = ["perennial_tasks_of_conversation (conversation_id=?)"]
    assert.deepStrictEqual(yield* plan({ conversationId }), ofConversation)
    assert.deepStrictEqual(yield* plan({ conversationId, status: ["error"] }), ofConversation)
    assert.deepStrictEqual(yield* plan({ conversationId, before }), [
      "perennial_tasks_of_conversation (conversation_id=? AND id<?)"
    ])
    const ofActive = ["perennial_tasks_active (user_id=?)"]
    assert.deepStrictEqual(yield* plan({ status: active }), ofActive)
    assert.deepStrictEqual(yield* plan({ status: ["running"] }), ofActive)
    assert.deepStrictEqual(yield* plan({ status: active, before }), ["perennial_tasks_active (user_id=? AND id<?)"])
    assert.deepStrictEqual(yield* plan({ status: ["running", "error"] }), ["perennial_tasks_user (user_id=?)"])
  }).pipe(Effect.provide(layer)))

it.effect("P1: a database of an earlier version is brought up to date, with the tasks that wait in it", () =>
  Effect.gen(function*() {
    const client = SqliteClient.layer({ filename: join(yield* directory, "test.db") })
    const store = SqlTaskBackend.layer.pipe(Layer.provideMerge(client))
    yield* Effect.provide(
      Effect.gen(function*() {
        const sql = yield* SqlClient.SqlClient
        yield* create(yield* TaskBackend)
        yield* sql`ALTER TABLE perennial_tasks ADD COLUMN input TEXT`
        yield* sql`UPDATE perennial_tasks SET input = (SELECT input FROM perennial_task_events WHERE seq = 1)`
        yield* sql`ALTER TABLE perennial_task_events DROP COLUMN input`
        yield* sql`DROP INDEX perennial_tasks_of_conversation`
        yield* sql`DROP INDEX perennial_tasks_active`
        yield* sql`DROP INDEX perennial_conversations_newest`
        yield* sql`CREATE INDEX perennial_conversations_user ON perennial_conversations (user_id, id)`
        yield* sql`DELETE FROM perennial_migrations WHERE migration_id > 3`
      }),
      store
    )
    const claim = yield* Effect.provide(
      Effect.flatMap(TaskBackend, (backend) => backend.claim(ids.taskId, { runnerId, expectedToken: 0 })),
      store
    )
    assert.deepStrictEqual(Option.getOrThrow(claim).input.content, [{ type: "text", text: "hello" }])
  }).pipe(Effect.scoped))
