/**
 * Databases that an earlier version made are brought up to date, with the data that they hold.
 */
import { assert, it } from "@effect/vitest"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { Effect, Layer, Option, Record } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import * as Dialect from "../src/internal/sqlDialect.ts"
import * as SqlMigrations from "../src/internal/sqlMigrations.ts"
import { layerEmpty } from "./sqliteFile.ts"
import { ids, runnerId } from "./support/oneTask.ts"
import { layerEmpty as postgresEmpty, withPostgres } from "./support/postgres.ts"

/** Makes the tables as they were in a version, in an empty database. */
const tablesOf = Effect.fnUntraced(function*(version: number) {
  const dialect = yield* Dialect.forStore("test")
  const migrations = Record.filter(SqlMigrations.migrations, (_, name) => Number.parseInt(name) <= version)
  yield* Migrator.make({})({
    table: SqlMigrations.table,
    loader: Migrator.fromRecord(Record.map(migrations, (migrate) => migrate(dialect)))
  })
  return yield* SqlClient.SqlClient
})

const upgraded = Layer.fresh(SqlTaskBackend.layer)

/** Of version 3: the body of the message is in the row of the task. */
const waitingTask = Effect.gen(function*() {
  const sql = yield* tablesOf(3)
  const input = JSON.stringify({ role: "user", content: [{ type: "text", text: "hello" }] })
  yield* sql`INSERT INTO perennial_task_queues (conversation_id, user_id, last_position) VALUES ('c1', 'alice', 1)`
  yield* sql`INSERT INTO perennial_tasks (id, conversation_id, user_id, agent_id, position, head, status, input, last_seq,
      created_at, updated_at)
    VALUES ('t1', 'c1', 'alice', 'agent', 1, 1, 'queued', ${input}, 1, 1, 1)`
  yield* sql`INSERT INTO perennial_task_events (task_id, seq, at, payload)
    VALUES ('t1', 1, 1, '{"type":"ack","taskId":"t1","conversationId":"c1","messageId":"t1/1"}')`
  const claim = yield* Effect.provide(
    Effect.flatMap(TaskBackend, (backend) => backend.claim(ids.taskId, { runnerId, expectedToken: 0 })),
    upgraded
  )
  assert.deepStrictEqual(Option.getOrThrow(claim).input.content, [{ type: "text", text: "hello" }])
})

const title = "P1: a task that waits in a database of version 3 is claimed with its message"

it.effect(`SQLite: ${title}`, () => Effect.provide(waitingTask, layerEmpty))

withPostgres("PostgreSQL", (url) => {
  it.live(title, () => Effect.provide(waitingTask, postgresEmpty(url)))
})
