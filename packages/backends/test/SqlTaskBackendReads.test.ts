import { assert, it } from "@effect/vitest"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { layerEmpty } from "./sqliteFile.ts"
import { readByItsClaimAlone } from "./support/bodyReads.ts"
import { create, ids } from "./support/oneTask.ts"
import { layerRecording, Statements } from "./support/recordedSql.ts"

const layer = SqlTaskBackend.layer.pipe(
  Layer.provideMerge(layerRecording),
  Layer.provide(layerEmpty),
  Layer.provideMerge(Layer.sync(Statements, () => []))
)

it.effect("P6, P11: only the claim of a task reads the body of its message", () =>
  Effect.gen(function*() {
    const statements = yield* Statements
    yield* readByItsClaimAlone(yield* TaskBackend, () => statements.splice(0).map(({ rows }) => rows))
  }).pipe(Effect.provide(layer)))

it.effect("P11: the row that every append updates does not contain the body", () =>
  Effect.gen(function*() {
    const sql = yield* SqlClient.SqlClient
    yield* create(yield* TaskBackend)
    const [row] = yield* sql`SELECT * FROM perennial_tasks`
    assert.strictEqual(row?.["id"], ids.taskId)
    assert.notInclude(JSON.stringify(row), "hello")
  }).pipe(Effect.provide(layer)))
