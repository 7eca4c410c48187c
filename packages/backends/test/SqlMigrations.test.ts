/**
 * Databases of earlier versions are migrated, and keep their data.
 */
import { assert, it } from "@effect/vitest"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { ConversationId, MessageId, TaskId, UserId } from "@perennial/domain/Ids"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import type { TaskEvent } from "@perennial/domain/TaskEvent"
import { Effect, Layer, Option, Record } from "effect"
import { Migrator, SqlClient } from "effect/sql"
import * as Dialect from "../src/internal/sqlDialect.ts"
import * as SqlMigrations from "../src/internal/sqlMigrations.ts"
import { layerEmpty } from "./sqliteFile.ts"
import { firstClaim, ids, newTask } from "./support/oneTask.ts"
import { layerEmpty as postgresEmpty, withPostgres } from "./support/postgres.ts"

/** Creates the tables of an earlier version in an empty database. */
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

/** A waiting task of version 3, which has the body of the message in the row of the task. */
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
    Effect.flatMap(TaskBackend, (backend) => backend.claim(ids.taskId, firstClaim)),
    upgraded
  )
  assert.deepStrictEqual(Option.getOrThrow(claim).input.content, [{ type: "text", text: "hello" }])
})

/**
 * Tasks of version 6. It has a column for each value of the spec, stores an error without its code, and gives ends no
 * order.
 */
const carriedValues = Effect.gen(function*() {
  const sql = yield* tablesOf(6)
  const replaces = MessageId.make("a \"quoted\" \\ id/1")
  const columns = "id, conversation_id, user_id, agent_id, position, head, status, last_seq, created_at, updated_at"
  const values = (id: string, status: string, at: number) =>
    sql`${id}, ${`c-${id}`}, 'alice', 'agent', 1, ${status === "queued" ? 1 : 0}, ${status}, 2, ${at}, ${at}`
  yield* sql`INSERT INTO perennial_tasks (${sql.literal(columns)}, metadata, replaces, user_metadata, log_context)
    VALUES (${values("t1", "queued", 1)}, '{"a":"\\u0000"}', ${replaces}, '{"b":[2]}', '{"request":"r"}')`
  yield* sql`INSERT INTO perennial_tasks (${sql.literal(columns)}, user_metadata) VALUES (${
    values("t2", "queued", 2)
  }, '{}')`
  yield* sql`INSERT INTO perennial_tasks (${sql.literal(columns)}, error, finished_at)
    VALUES (${values("t3", "error", 3)}, 'It "broke".', 30)`
  yield* sql`INSERT INTO perennial_tasks (${sql.literal(columns)}, error, finished_at, pruned)
    VALUES (${values("t4", "error", 4)}, 'It broke, too.', 20, 1)`
  const failed: TaskEvent = {
    type: "error",
    taskId: TaskId.make("t3"),
    conversationId: ConversationId.make("c-t3"),
    error: "Broken",
    detail: "It \"broke\".",
    retryable: false
  }
  yield* sql`INSERT INTO perennial_task_events (task_id, seq, at, payload) VALUES ('t3', 2, 30, ${
    JSON.stringify(failed)
  })`
  yield* sql`INSERT INTO perennial_task_events (task_id, seq, at, payload, input)
    VALUES ('t1', 1, 1, '{}', '{"role":"user","content":[{"type":"text","text":"hello"}]}')`
  yield* Effect.provide(
    Effect.gen(function*() {
      const backend = yield* TaskBackend
      const claim = Option.getOrThrow(yield* backend.claim(ids.taskId, firstClaim))
      const shown = { metadata: { a: "\0" }, replaces }
      assert.deepStrictEqual(claim.spec, { ...shown, userMetadata: { b: [2] }, logContext: { request: "r" } })
      const [t4, t3, t2, t1, ...none] = yield* backend.list({ userId: newTask(ids.taskId).userId, limit: 10 })
      assert.deepStrictEqual(none, [])
      assert.deepStrictEqual([t1?.metadata, t1?.replaces], [shown.metadata, replaces])
      assert.strictEqual(t2?.metadata, undefined)
      assert.deepStrictEqual(t3?.error, { code: "Broken", detail: "It \"broke\"." })
      assert.deepStrictEqual(t4?.error, { code: "Unknown", detail: "It broke, too." })
      const [first, second] = yield* backend.ended({ after: 0, limit: 10 })
      assert.deepStrictEqual([first?.task, first?.event], [t4, undefined])
      assert.deepStrictEqual([second?.task, second?.event?.event], [t3, failed])
    }),
    upgraded
  )
})

/** Conversations of version 21, which knows no search. The messages are those of twelve tasks, the oldest without a title. */
const searched = Effect.gen(function*() {
  const sql = yield* tablesOf(21)
  const message = (text: string) => ({ role: "user", content: [{ type: "text", text }] })
  for (const [id, user, title] of [["c1", "alice", null], ["c2", "alice", "My garden"], ["c3", "bob", null]] as const) {
    yield* sql`INSERT INTO perennial_conversations (id, user_id, title, last_position, created_at, updated_at)
      VALUES (${id}, ${user}, ${title}, 12, 1, 1)`
    for (let i = 1; i <= 12; i++) {
      const payload = JSON.stringify({
        id: `${id}t${i}/1`,
        taskId: `${id}t${i}`,
        createdAt: "2026-01-01T00:00:00.000Z",
        message: message(i === 12 ? "an oak" : `tree ${i}`),
        status: "complete"
      })
      yield* sql`INSERT INTO perennial_messages (conversation_id, position, id, payload)
        VALUES (${id}, ${i}, ${`${id}t${i}/1`}, ${id === "c1" && i === 3 ? "damaged" : payload})`
    }
  }
  yield* Effect.provide(
    Effect.gen(function*() {
      const store = yield* ConversationStore
      const find = (text: string, user: string) =>
        Effect.map(
          store.list({ userId: UserId.make(user), text, limit: 10 }),
          (found) => found.map(({ id }) => String(id))
        )
      assert.deepStrictEqual(yield* find("oak tree 11", "alice"), ["c2", "c1"])
      assert.deepStrictEqual(yield* find("garden", "alice"), ["c2"])
      yield* store.delete({ id: ConversationId.make("c3"), userId: UserId.make("bob") })
      yield* store.create({ id: ConversationId.make("c3"), userId: UserId.make("bob") })
      assert.deepStrictEqual(yield* find("oak", "bob"), [])
      assert.deepStrictEqual(yield* sql`SELECT * FROM perennial_unsearched`, [])
    }),
    Layer.fresh(SqlConversationStore.layer)
  )
})

const carried = "a database of version 6 keeps its metadata, replaced messages, log context, errors and ends"
const title = "P1: a task that waits in a database of version 3 is claimed with its message"

const found = "conversations of version 21 are found by their words and their titles"

it.effect(`SQLite: ${found}`, () => Effect.provide(searched, layerEmpty))
it.effect(`SQLite: ${title}`, () => Effect.provide(waitingTask, layerEmpty))
it.effect(`SQLite: ${carried}`, () => Effect.provide(carriedValues, layerEmpty))

withPostgres("PostgreSQL", (url) => {
  it.live(found, () => Effect.provide(searched, postgresEmpty(url)))
  it.live(title, () => Effect.provide(waitingTask, postgresEmpty(url)))
  it.live(carried, () => Effect.provide(carriedValues, postgresEmpty(url)))
})
