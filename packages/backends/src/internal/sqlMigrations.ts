/**
 * The tables of both SQL stores. A migration is never changed: it has run somewhere.
 */
import { Effect, Layer, Record, Schema } from "effect"
import { Migrator, type SqlClient, type SqlError } from "effect/sql"
import { UnusableStore } from "../UnusableStore.ts"
import * as PgFunctions from "./pgFunctions.ts"
import { type Dialect, forStore } from "./sqlDialect.ts"
import { readRows } from "./sqlRows.ts"

/** A migration, for the dialect of the database. */
type Migrate = (dialect: Dialect) => Effect.Effect<void, SqlError.SqlError>

const tasks: Migrate = Effect.fnUntraced(function*({ sql, types: { byKey, id, millis, updated } }) {
  yield* sql`CREATE TABLE perennial_task_queues (
    conversation_id ${id} PRIMARY KEY, user_id ${id} NOT NULL, last_position INTEGER NOT NULL)`
  yield* sql`CREATE TABLE perennial_tasks (
    id ${id} PRIMARY KEY, conversation_id ${id} NOT NULL, user_id ${id} NOT NULL, agent_id TEXT NOT NULL,
    position INTEGER NOT NULL, head INTEGER NOT NULL, status TEXT NOT NULL, error TEXT,
    input TEXT NOT NULL, user_metadata TEXT, metadata TEXT, log_context TEXT,
    idempotency_key TEXT, request_hash TEXT,
    runner_id ${id}, token INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0,
    failures INTEGER NOT NULL DEFAULT 0, last_seq INTEGER NOT NULL, intents INTEGER NOT NULL DEFAULT 0,
    pruned INTEGER NOT NULL DEFAULT 0, created_at ${millis} NOT NULL, updated_at ${millis} NOT NULL,
    started_at ${millis}, claimed_at ${millis}, finished_at ${millis}) ${updated}`
  yield* sql`CREATE UNIQUE INDEX perennial_tasks_one_head ON perennial_tasks (conversation_id) WHERE head = 1`
  yield* sql`CREATE UNIQUE INDEX perennial_tasks_idempotency ON perennial_tasks (user_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL`
  yield* sql`CREATE INDEX perennial_tasks_heads ON perennial_tasks (created_at, id) WHERE head = 1`
  yield* sql`CREATE INDEX perennial_tasks_conversation ON perennial_tasks (conversation_id, position)`
  yield* sql`CREATE INDEX perennial_tasks_user ON perennial_tasks (user_id, id)`
  yield* sql`CREATE INDEX perennial_tasks_owned ON perennial_tasks (runner_id) WHERE runner_id IS NOT NULL`
  yield* sql`CREATE INDEX perennial_tasks_retention ON perennial_tasks (finished_at, id)
    WHERE finished_at IS NOT NULL AND pruned = 0`
  yield* sql`CREATE TABLE perennial_task_events (
    task_id ${id} NOT NULL, seq INTEGER NOT NULL, at ${millis} NOT NULL, payload TEXT NOT NULL,
    PRIMARY KEY (task_id, seq)) ${byKey}`
  yield* sql`CREATE TABLE perennial_task_intents (
    task_id ${id} NOT NULL, key TEXT NOT NULL, ordinal INTEGER NOT NULL, value TEXT NOT NULL,
    PRIMARY KEY (task_id, key)) ${byKey}`
  yield* sql`CREATE TABLE perennial_runners (id ${id} PRIMARY KEY, expires_at ${millis} NOT NULL)`
})

const conversations: Migrate = Effect.fnUntraced(function*({ sql, types: { id, millis, updated } }) {
  yield* sql`CREATE TABLE perennial_conversations (
    id ${id} PRIMARY KEY, user_id ${id} NOT NULL, title TEXT, last_position INTEGER NOT NULL DEFAULT 0,
    created_at ${millis} NOT NULL, updated_at ${millis} NOT NULL) ${updated}`
  yield* sql`CREATE INDEX perennial_conversations_user ON perennial_conversations (user_id, id)`
  yield* sql`CREATE TABLE perennial_messages (
    conversation_id ${id} NOT NULL, position INTEGER NOT NULL, id ${id} NOT NULL, payload TEXT NOT NULL,
    PRIMARY KEY (conversation_id, position), UNIQUE (conversation_id, id))`
})

const replaces: Migrate = Effect.fnUntraced(function*({ sql, types: { id } }) {
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN replaces ${id}`
})

/**
 * The body of a message is beside its `ack`, out of the row that every append writes again: SQLite goes through all of a
 * row to reach its last column. A task that has ended is not claimed any more.
 */
const inputs: Migrate = Effect.fnUntraced(function*({ sql }) {
  yield* sql`ALTER TABLE perennial_task_events ADD COLUMN input TEXT`
  yield* sql`UPDATE perennial_task_events SET input = (SELECT input FROM perennial_tasks WHERE id = task_id)
    WHERE seq = 1 AND task_id IN (SELECT id FROM perennial_tasks WHERE finished_at IS NULL)`
  yield* sql`ALTER TABLE perennial_tasks DROP COLUMN input`
})

/** For lists: of a conversation, and of what is active of a user's many tasks. */
const lists: Migrate = Effect.fnUntraced(function*({ sql }) {
  yield* sql`CREATE INDEX perennial_tasks_of_conversation ON perennial_tasks (conversation_id, id)`
  yield* sql`CREATE INDEX perennial_tasks_active ON perennial_tasks (user_id, id) WHERE finished_at IS NULL`
})

/** For lists of conversations, newest first: clients bring ids of their own, which say nothing about time. */
const newest: Migrate = Effect.fnUntraced(function*({ sql }) {
  yield* sql`CREATE INDEX perennial_conversations_newest ON perennial_conversations (user_id, created_at, id)`
  yield* sql`DROP INDEX perennial_conversations_user`
})

/**
 * Each list has an index with all its filters. The index of active tasks leaves out those that have ended, which are the
 * most tasks of a long conversation; heads without an owner and owned tasks are apart.
 */
const filters: Migrate = Effect.fnUntraced(function*({ sql, types: { listedId } }) {
  yield* sql`CREATE INDEX perennial_tasks_of_user_by_status ON perennial_tasks (user_id, status, ${listedId})`
  yield* sql`CREATE INDEX perennial_tasks_of_conversation_by_status
    ON perennial_tasks (conversation_id, user_id, status, ${listedId})`
  yield* sql`CREATE INDEX perennial_tasks_queue ON perennial_tasks (conversation_id, position) WHERE finished_at IS NULL`
  yield* sql`CREATE INDEX perennial_tasks_unclaimed ON perennial_tasks (created_at, id)
    WHERE head = 1 AND runner_id IS NULL`
  yield* sql`CREATE INDEX perennial_tasks_of_runner ON perennial_tasks (runner_id, created_at, id)
    WHERE runner_id IS NOT NULL`
  for (const index of ["user", "active", "of_conversation", "conversation", "heads", "owned"]) {
    yield* sql`DROP INDEX ${sql(`perennial_tasks_${index}`)}`
  }
})

/**
 * Values that a store only carries are one text, a claim and an error are known by an id and a code, and ends have an
 * order. An end of before has its code where it still has its log, and gets its number when a reader asks for it.
 */
const specs: Migrate = Effect.fnUntraced(function*({ sql, types: { id, millis, plainField } }) {
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN spec TEXT NOT NULL DEFAULT '{}'`
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN error_code TEXT`
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN claim_id ${id}`
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN end_cursor ${millis}`
  // An id of a message has no control characters: these are all the escapes that it may need.
  const replaces = sql.literal(`',"replaces":"' || REPLACE(REPLACE(replaces, '\\', '\\\\'), '"', '\\"') || '"'`)
  yield* sql`UPDATE perennial_tasks SET spec = '{' || SUBSTR(
      COALESCE(',"metadata":' || metadata, '') || COALESCE(${replaces}, '')
        || COALESCE(',"userMetadata":' || user_metadata, '') || COALESCE(',"logContext":' || log_context, ''),
      2) || '}'
    WHERE metadata IS NOT NULL OR replaces IS NOT NULL OR user_metadata IS NOT NULL OR log_context IS NOT NULL`
  yield* sql`UPDATE perennial_tasks SET error_code = (SELECT ${plainField("payload", "error")}
      FROM perennial_task_events WHERE task_id = id AND seq = last_seq) WHERE status = 'error'`
  for (const column of ["metadata", "replaces", "user_metadata", "log_context"]) {
    yield* sql`ALTER TABLE perennial_tasks DROP COLUMN ${sql(column)}`
  }
  yield* sql`CREATE INDEX perennial_tasks_ended ON perennial_tasks (end_cursor) WHERE end_cursor IS NOT NULL`
  yield* sql`CREATE INDEX perennial_tasks_unnumbered ON perennial_tasks (finished_at, id)
    WHERE finished_at IS NOT NULL AND end_cursor IS NULL`
  // One row: the last number, which stays when the task with that number is deleted.
  yield* sql`CREATE TABLE perennial_ends (last_cursor ${millis} NOT NULL)`
  yield* sql`INSERT INTO perennial_ends (last_cursor) VALUES (0)`
})

/** A message is due by the clock of the store; a message of a disabled webhook is never due. */
const webhooks: Migrate = Effect.fnUntraced(function*({ sql, types: { id, millis, updated } }) {
  yield* sql`CREATE TABLE perennial_webhooks (
    id ${id} PRIMARY KEY, user_id ${id} NOT NULL, settings TEXT NOT NULL, created_at ${millis} NOT NULL,
    disabled_at ${millis}, disabled_reason TEXT)`
  yield* sql`CREATE INDEX perennial_webhooks_of_user ON perennial_webhooks (user_id, created_at, id)`
  yield* sql`CREATE TABLE perennial_webhook_deliveries (
    webhook_id ${id} NOT NULL, id ${id} NOT NULL, body TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0,
    last_error TEXT, created_at ${millis} NOT NULL, due_at ${millis}, PRIMARY KEY (webhook_id, id)) ${updated}`
  yield* sql`CREATE INDEX perennial_webhook_deliveries_due ON perennial_webhook_deliveries (due_at, id)
    WHERE due_at IS NOT NULL`
  yield* sql`CREATE INDEX perennial_webhook_deliveries_listed
    ON perennial_webhook_deliveries (webhook_id, created_at, id)`
  // One row: the cursor of the ends that were turned into messages.
  yield* sql`CREATE TABLE perennial_webhook_cursor (cursor_at ${millis} NOT NULL)`
  yield* sql`INSERT INTO perennial_webhook_cursor (cursor_at) VALUES (0)`
})

/** What the record of a task shows of its log. The next append of an active task writes it. */
const summaries: Migrate = Effect.fnUntraced(function*({ sql }) {
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN summary TEXT`
})

/** Heads wait in rounds, so that the order is fair between users. */
const rounds: Migrate = Effect.fnUntraced(function*({ sql }) {
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN round INTEGER NOT NULL DEFAULT 0`
  for (const index of ["unclaimed", "of_runner"]) yield* sql`DROP INDEX ${sql(`perennial_tasks_${index}`)}`
  yield* sql`CREATE INDEX perennial_tasks_unclaimed ON perennial_tasks (round, created_at, id)
    WHERE head = 1 AND runner_id IS NULL`
  yield* sql`CREATE INDEX perennial_tasks_unclaimed_of_user ON perennial_tasks (user_id, round)
    WHERE head = 1 AND runner_id IS NULL`
  yield* sql`CREATE INDEX perennial_tasks_of_runner ON perennial_tasks (runner_id, round, created_at, id)
    WHERE runner_id IS NOT NULL`
})

/** Whom a message is about. A message of before arrives, or its webhook is disabled, within three days. */
const deliveryUsers: Migrate = Effect.fnUntraced(function*({ sql, types: { id } }) {
  yield* sql`ALTER TABLE perennial_webhook_deliveries ADD COLUMN user_id ${id}`
})

/** What only PostgreSQL has. */
const onPostgres =
  (create: (sql: SqlClient.SqlClient) => Effect.Effect<void, SqlError.SqlError>): Migrate => ({ sql }) =>
    sql.onDialectOrElse({ pg: () => create(sql), orElse: () => Effect.void })

/** For lists of conversations by their last activity, with the beginning of their newest message. */
const activity: Migrate = Effect.fnUntraced(function*({ sql }) {
  yield* sql`ALTER TABLE perennial_conversations ADD COLUMN preview TEXT`
  yield* sql`CREATE INDEX perennial_conversations_active ON perennial_conversations (user_id, updated_at, id)`
})

/** For lists by agent, and for lists of what waits for a person. A title may look like a call that waits, until the next summary. */
const inbox: Migrate = Effect.fnUntraced(function*({ sql, types: { listedId } }) {
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN waiting INTEGER NOT NULL DEFAULT 0`
  yield* sql`UPDATE perennial_tasks SET waiting = 1 WHERE finished_at IS NULL AND summary LIKE '%"waiting":%'`
  yield* sql`CREATE INDEX perennial_tasks_waiting ON perennial_tasks (user_id, ${listedId})
    WHERE waiting = 1 AND finished_at IS NULL`
  yield* sql`CREATE INDEX perennial_tasks_of_agent ON perennial_tasks (user_id, agent_id, status, ${listedId})`
})

/** The trace that a message of a webhook belongs to. */
const deliveryTraces: Migrate = Effect.fnUntraced(function*({ sql }) {
  yield* sql`ALTER TABLE perennial_webhook_deliveries ADD COLUMN traceparent TEXT`
})

/** How a task lost its last owner: a renewal of a lease is the last sign of life of an owner that crashes. */
const losses: Migrate = Effect.fnUntraced(function*({ sql, types: { millis } }) {
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN lost_reason TEXT`
  yield* sql`ALTER TABLE perennial_tasks ADD COLUMN lost_at ${millis}`
  yield* sql`ALTER TABLE perennial_runners ADD COLUMN renewed_at ${millis}`
})

/** For readers of conversations: tasks in the order in which they were accepted. */
const positions: Migrate = Effect.fnUntraced(function*({ sql }) {
  yield* sql`CREATE INDEX perennial_tasks_accepted ON perennial_tasks (conversation_id, user_id, position)`
})

/** Whether a person has chosen the title of a conversation. */
const chosenTitles: Migrate = Effect.fnUntraced(function*({ sql }) {
  yield* sql`ALTER TABLE perennial_conversations ADD COLUMN title_chosen INTEGER NOT NULL DEFAULT 0`
})

/** The words of each conversation, by which it is found. */
const conversationWords: Migrate = Effect.fnUntraced(function*({ sql, types: { byKey, id } }) {
  yield* sql`CREATE TABLE perennial_conversation_words (
    conversation_id ${id} NOT NULL, word ${id} NOT NULL, PRIMARY KEY (conversation_id, word)) ${byKey}`
})

/** Conversations that are stored without their words. The first search of their user adds the words. */
const unsearched: Migrate = Effect.fnUntraced(function*({ sql, types: { byKey, id } }) {
  yield* sql`CREATE TABLE perennial_unsearched (
    user_id ${id} NOT NULL, conversation_id ${id} NOT NULL, PRIMARY KEY (user_id, conversation_id)) ${byKey}`
  yield* sql`INSERT INTO perennial_unsearched (user_id, conversation_id)
    SELECT user_id, id FROM perennial_conversations WHERE last_position > 0 OR title IS NOT NULL`
})

/**
 * For operators: lists of all users' tasks, the tasks that began or ended in the last hour, and what runners say about
 * themselves. A list of one user has no condition on the position, so that PostgreSQL never takes an index of all users for it.
 */
const records: Migrate = Effect.fnUntraced(function*({ sql, types: { listedId, millis } }) {
  yield* sql`CREATE INDEX perennial_tasks_recorded ON perennial_tasks (status, ${listedId}) WHERE position > 0`
  yield* sql`CREATE INDEX perennial_tasks_recorded_of_agent ON perennial_tasks (agent_id, status, ${listedId})
    WHERE position > 0`
  yield* sql`CREATE INDEX perennial_tasks_recorded_waiting ON perennial_tasks (${listedId})
    WHERE waiting = 1 AND finished_at IS NULL AND position > 0`
  for (const user of ["", "user_id, "]) {
    const name = user === "" ? "" : "_of_user"
    yield* sql`CREATE INDEX ${sql(`perennial_tasks_begun${name}`)}
      ON perennial_tasks (${sql.literal(user)}started_at) WHERE started_at IS NOT NULL AND position > 0`
    yield* sql`CREATE INDEX ${sql(`perennial_tasks_finished${name}`)}
      ON perennial_tasks (${sql.literal(user)}finished_at, status) WHERE finished_at IS NOT NULL AND position > 0`
  }
  yield* sql`ALTER TABLE perennial_runners ADD COLUMN since ${millis}`
  yield* sql`ALTER TABLE perennial_runners ADD COLUMN about TEXT`
})

export const migrations: Readonly<Record<string, Migrate>> = {
  "1_tasks": tasks,
  "2_conversations": conversations,
  "3_replaces": replaces,
  "4_inputs": inputs,
  "5_lists": lists,
  "6_newest": newest,
  "7_filters": filters,
  "8_specs": specs,
  "9_webhooks": webhooks,
  "10_summaries": summaries,
  "11_rounds": rounds,
  "12_delivery_users": deliveryUsers,
  "13_active_tasks": onPostgres(PgFunctions.activeTasks),
  "14_rate_limits": onPostgres(PgFunctions.rateLimits),
  "15_activity": activity,
  "16_inbox": inbox,
  "17_delivery_traces": deliveryTraces,
  "18_losses": losses,
  "19_positions": positions,
  "20_active_tasks_by_index": onPostgres(PgFunctions.activeTasksByIndex),
  "21_chosen_titles": chosenTitles,
  "22_conversation_words": conversationWords,
  "23_unsearched": unsearched,
  "24_records": records
}

export const table = "perennial_migrations"

/** The version of the tables that this version of the stores knows. */
const known = Math.max(...Object.keys(migrations).map((name) => Number.parseInt(name)))

const readVersions = readRows(Schema.Struct({ version: Schema.NullOr(Schema.Int) }))

/** Refuses the tables of a newer version: this version would not keep their invariants. */
const refuseNewer = Effect.fnUntraced(function*({ sql }: Dialect) {
  const [row] = yield* readVersions(sql`SELECT MAX(migration_id) AS version FROM ${sql(table)}`).pipe(
    // The migrator made the column: its values are integers.
    Effect.catchTag("CodecError", Effect.die)
  )
  const version = row?.version ?? known
  if (version > known) {
    return yield* new UnusableStore({
      problem:
        `The tables of the database have version ${version}, and this version of Perennial knows ${known} at most. `
        + "Start the newer version of Perennial."
    })
  }
})

/** Brings the tables of a usable database up to date. Safe in several processes at once. */
const migrate = Effect.fnUntraced(function*(dialect: Dialect) {
  yield* dialect.refuseUnusable
  yield* Migrator.make({})({
    table,
    loader: Migrator.fromRecord(Record.map(migrations, (migration) => migration(dialect)))
  })
  yield* refuseNewer(dialect)
})

/** Brings the tables up to date, for both stores at once. */
export const layer: Layer.Layer<
  never,
  SqlError.SqlError | Migrator.MigrationError | UnusableStore,
  SqlClient.SqlClient
> = Layer.effectDiscard(Effect.flatMap(forStore("Perennial"), migrate))
