/**
 * Every list and every sweep searches an index for exactly the rows that it returns, on both dialects. Its cost does not
 * grow with the number of stored rows (P11).
 */
import { PgClient } from "@effect/sql-pg"
import { assert, it } from "@effect/vitest"
import * as SqlConversationStore from "@perennial/backends/SqlConversationStore"
import type { SqliteFileInUse } from "@perennial/backends/SqliteClient"
import * as SqlTaskBackend from "@perennial/backends/SqlTaskBackend"
import type { UnusableStore } from "@perennial/backends/UnusableStore"
import { ConversationStore } from "@perennial/domain/ConversationStore"
import { AgentId, ConversationId, MessageId, RunnerId, TaskId, UserId } from "@perennial/domain/Ids"
import { cancelKey } from "@perennial/domain/Intent"
import { userText } from "@perennial/domain/Message"
import { TaskStatus } from "@perennial/domain/Task"
import { TaskBackend } from "@perennial/domain/TaskBackend"
import { DateTime, Duration, Effect, Layer } from "effect"
import { SqlClient, type SqlError } from "effect/sql"
import { layerEmpty } from "./sqliteFile.ts"
import { pgSearches, sqliteSearches } from "./support/plans.ts"
import { layerEmpty as postgresEmpty, withPostgres } from "./support/postgres.ts"
import { layerRecording, layerRecordingWith, type Recorded, recorded, Statements } from "./support/recordedSql.ts"

const tasks = 20_000
/** The number of tasks, and of conversations, of other users. All of them are newer than Alice's. */
const others = 2_000

const message = JSON.stringify({
  id: "m/1",
  taskId: "m",
  createdAt: "2026-01-01T00:00:00.000Z",
  message: { role: "user", content: [{ type: "text", text: "hello" }] },
  status: "complete"
})

const numbers = (count: number) => `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`

/** Ended tasks, then 3,000 tasks of three live runners, 300 tasks of a dead runner, and 300 unclaimed tasks. */
const fill = Effect.gen(function*() {
  const sql = yield* SqlClient.SqlClient
  const insertTasks = (user: string, first: string, count: number) =>
    sql.unsafe(`INSERT INTO perennial_tasks (id, conversation_id, user_id, agent_id, position, head, status, runner_id,
        token, last_seq, created_at, updated_at, started_at, finished_at)
      ${
      numbers(count)
    } SELECT '${first}' || (100000 + i), '${first}' || (i % 200), '${user}', 'agent' || (i % 40), i, 0,
        CASE WHEN i % 5000 = 7 THEN 'error' WHEN i % 100 = 3 THEN 'cancelled' ELSE 'completed' END, NULL,
        1, 10, i, i, i, i FROM n`)
  yield* insertTasks("alice", "a", tasks)
  yield* insertTasks("bob", "b", others)
  yield* sql.unsafe(`INSERT INTO perennial_tasks (id, conversation_id, user_id, agent_id, position, head, status,
      runner_id, token, last_seq, created_at, updated_at)
    ${numbers(3_600)} SELECT 'c' || (100000 + i), 'c' || i, 'carol', 'agent', 1, 1,
      CASE WHEN i > 3300 THEN 'queued' ELSE 'running' END,
      CASE WHEN i > 3300 THEN NULL WHEN i > 3000 THEN 'dead' ELSE 'live' || (i % 3) END, 1, 10, i, i FROM n`)
  yield* sql.unsafe(`INSERT INTO perennial_task_queues (conversation_id, user_id, last_position)
    ${numbers(tasks)} SELECT 'a' || i, 'alice', 100 FROM n`)
  yield* sql.unsafe(`INSERT INTO perennial_runners (id, expires_at)
    VALUES ('live0', 9000000000000), ('live1', 9000000000000), ('live2', 9000000000000), ('dead', 1)`)
  for (const [user, first, count] of [["alice", "a", tasks], ["bob", "b", others]] as const) {
    yield* sql.unsafe(`INSERT INTO perennial_conversations (id, user_id, created_at, updated_at)
      ${numbers(count)} SELECT '${first}' || i, '${user}', i, i FROM n`)
  }
  yield* sql.unsafe(`INSERT INTO perennial_messages (conversation_id, position, id, payload)
    ${numbers(tasks)} SELECT 'a' || (i % 20), i, 'm' || i, '${message}' FROM n`)
  yield* sql.unsafe(`INSERT INTO perennial_task_events (task_id, seq, at, payload)
    ${numbers(tasks)} SELECT 'a' || (100000 + i % 100), i, i, '{"type":"text","content":"x"}' FROM n`)
  yield* sql.unsafe(`INSERT INTO perennial_task_intents (task_id, key, ordinal, value)
    ${numbers(tasks)} SELECT 'a' || (100000 + i), 'cancel', 1, '{}' FROM n`)
  yield* sql.unsafe(`INSERT INTO perennial_conversation_words (conversation_id, word)
    ${numbers(tasks)} SELECT 'a' || i, 'word' || (i % 50) FROM n`)
  yield* sql.unsafe(`INSERT INTO perennial_unsearched (user_id, conversation_id)
    ${numbers(others)} SELECT 'user' || (i % 1000), 'b' || i FROM n`)
  yield* sql.unsafe("ANALYZE")
})

type Explain = (statement: Recorded) => Effect.Effect<ReadonlyArray<string>, SqlError.SqlError, SqlClient.SqlClient>

/** The index searches of each statement of an operation. */
const searchesOf = <E, R>(explain: Explain, operation: Effect.Effect<unknown, E, R>) =>
  Effect.flatMap(recorded(operation), (statements) => Effect.forEach(statements, explain))

const alice = UserId.make("alice")
const page = { userId: alice, limit: 20 }

const taskLists = Effect.fnUntraced(function*(explain: Explain) {
  const backend = yield* TaskBackend
  const statuses: ReadonlyArray<ReadonlyArray<TaskStatus> | undefined> = [
    undefined,
    ["error"],
    ["queued", "running"],
    ["running", "error"],
    ["completed", "error", "cancelled"]
  ]
  for (const status of statuses) {
    for (const conversationId of [undefined, ConversationId.make("a7")]) {
      for (const before of [undefined, TaskId.make("a110000")]) {
        const searches = yield* searchesOf(explain, backend.list({ ...page, status, conversationId, before }))
        const index = conversationId === undefined
          ? "perennial_tasks_of_user_by_status: user_id, status"
          : "perennial_tasks_of_conversation_by_status: conversation_id, user_id, status"
        const each = before === undefined ? index : `${index}, id`
        const filter = { status, conversationId, before }
        assert.deepStrictEqual({ ...filter, searches }, {
          ...filter,
          searches: [(status ?? TaskStatus.literals).map(() => each)]
        })
      }
    }
  }
})

/** The lists of an agent's tasks, of what waits, the oldest tasks first, and the numbers of tasks. */
const filteredLists = Effect.fnUntraced(function*(explain: Explain) {
  const backend = yield* TaskBackend
  const searches = (filter: Partial<Parameters<typeof backend.list>[0]>) =>
    Effect.map(searchesOf(explain, backend.list({ ...page, ...filter })), (all) => all.flat())
  const rare = AgentId.make("rare")
  assert.deepStrictEqual(yield* searches({ agentId: rare, status: ["running"] }), [
    "perennial_tasks_of_agent: user_id, agent_id, status"
  ])
  assert.deepStrictEqual(yield* searches({ status: ["running"], order: "oldest", after: TaskId.make("a110000") }), [
    "perennial_tasks_of_user_by_status: user_id, status, id"
  ])
  const [top = ""] = yield* searches({ status: ["running"], withoutChildren: true })
  assert.isTrue(top.startsWith("perennial_tasks_of_user_by_status: user_id, status"), top)
  const [waiting = ""] = yield* searches({ waiting: true })
  assert.isTrue(waiting.startsWith("perennial_tasks_waiting: user_id"), waiting)
  const counted = (yield* searchesOf(explain, backend.counts({ userId: alice }))).flat()
  const names = new Set(counted.map((search) => search.replace(/ \(then .*/, "")))
  assert.deepStrictEqual([...names].toSorted(), [
    "perennial_tasks_of_user_by_status: user_id, status",
    "perennial_tasks_waiting: user_id"
  ])
})

/** What operators see: the lists of all users' tasks, their numbers, the throughput, and the runners. */
const records = Effect.fnUntraced(function*(explain: Explain) {
  const backend = yield* TaskBackend
  const searches = (filter: Partial<Parameters<typeof backend.records>[0]>) =>
    Effect.map(searchesOf(explain, backend.records({ limit: 20, ...filter })), (all) => all.flat())
  const before = TaskId.make("a110000")
  for (const status of TaskStatus.literals) {
    assert.deepStrictEqual(yield* searches({ status: [status] }), ["perennial_tasks_recorded: status"])
    assert.deepStrictEqual(yield* searches({ status: [status], before }), ["perennial_tasks_recorded: status, id"])
  }
  assert.deepStrictEqual(yield* searches({ agentId: AgentId.make("rare"), status: ["running"] }), [
    "perennial_tasks_recorded_of_agent: agent_id, status"
  ])
  assert.deepStrictEqual(yield* searches({ userId: alice, status: ["error"], before }), [
    "perennial_tasks_of_user_by_status: user_id, status, id"
  ])
  const ofConversation = yield* searches({ conversationId: ConversationId.make("a7"), status: ["error"] })
  assert.includeMembers(ofConversation, [
    "perennial_task_queues_pkey: conversation_id",
    "perennial_tasks_of_conversation_by_status: conversation_id, user_id, status"
  ])
  // The index has only what waits, in order: it needs no condition.
  const [waiting = ""] = yield* searches({ waiting: true })
  assert.isTrue(waiting.startsWith("perennial_tasks_recorded_waiting: "), waiting)
  const [owned = ""] = yield* searches({ runner: RunnerId.make("live1"), status: ["running"] })
  assert.isTrue(owned.startsWith("perennial_tasks_of_runner: runner_id"), owned)
  const counted = indexes(yield* searchesOf(explain, backend.countRecords({}))).flat()
  assert.deepStrictEqual(counted, ["perennial_tasks_recorded: status", "perennial_tasks_recorded_waiting: "])
  // Both read an index alone, and no more rows than they count.
  const all = indexes(yield* searchesOf(explain, backend.throughput({}))).flat()
  assert.deepStrictEqual(all, ["perennial_tasks_begun: started_at", "perennial_tasks_finished: finished_at"])
  const mine = indexes(yield* searchesOf(explain, backend.throughput({ userId: alice }))).flat()
  assert.deepStrictEqual(mine, [
    "perennial_tasks_begun_of_user: user_id, started_at",
    "perennial_tasks_finished_of_user: user_id, finished_at"
  ])
  const runners = indexes(yield* searchesOf(explain, backend.runners({ limit: 20 }))).flat()
  assert.include(runners, "perennial_tasks_of_runner: runner_id")
})

/** From a task of a conversation to the next one: the place of the first, and then the next place. */
const nextTasks = Effect.fnUntraced(function*(explain: Explain) {
  const backend = yield* TaskBackend
  const of = { conversationId: ConversationId.make("a7"), userId: alice }
  const next = "perennial_tasks_accepted: conversation_id, user_id, position"
  assert.deepStrictEqual(yield* searchesOf(explain, backend.nextTask(of)), [[next]])
  const [place = [], following] = yield* searchesOf(explain, backend.nextTask({ ...of, after: TaskId.make("a110007") }))
  assert.isTrue(place.every((search) => search.startsWith("perennial_tasks_pkey: id")), place.join("; "))
  assert.deepStrictEqual(following, [next])
})

/** The conversations of child tasks are passed over while the index is read. */
const withoutFilter = (searches: ReadonlyArray<ReadonlyArray<string>>) =>
  searches.map((each) => each.map((search) => search.replace(/ \(then id(, text)?\)$/, "")))

const conversationLists = Effect.fnUntraced(function*(explain: Explain) {
  const store = yield* ConversationStore
  const newest = "perennial_conversations_newest: user_id"
  assert.deepStrictEqual(withoutFilter(yield* searchesOf(explain, store.list(page))), [[newest]])
  const [searches = []] = withoutFilter(
    yield* searchesOf(
      explain,
      store.list({ ...page, before: { id: ConversationId.make("a100"), at: DateTime.makeUnsafe(100) } })
    )
  )
  assert.include(searches, `${newest}, created_at, id`)
  const active = "perennial_conversations_active: user_id"
  const order = "updatedAt"
  assert.deepStrictEqual(withoutFilter(yield* searchesOf(explain, store.list({ ...page, order }))), [[active]])
  const [later = []] = withoutFilter(
    yield* searchesOf(
      explain,
      store.list({ ...page, order, before: { id: ConversationId.make("a100"), at: DateTime.makeUnsafe(100) } })
    )
  )
  assert.include(later, `${active}, updated_at, id`)
  // Each conversation of the order is looked up by each word.
  for (const before of [undefined, { id: ConversationId.make("a100"), at: DateTime.makeUnsafe(100) }]) {
    for (const [order, index] of [["createdAt", newest], ["updatedAt", active]] as const) {
      const [earlier, found = []] = yield* searchesOf(explain, store.list({ ...page, order, before, text: "tree oak" }))
      // Conversations of an earlier version get their words first.
      assert.deepStrictEqual(earlier, ["perennial_unsearched_pkey: user_id"])
      const word = "perennial_conversation_words_pkey: conversation_id, word"
      assert.deepStrictEqual(found.filter((search) => search.startsWith("perennial_conversation_words")), [word, word])
      assert.isTrue(found.some((search) => search.startsWith(index)), found.join("; "))
    }
  }
  const key = { id: ConversationId.make("a7"), userId: alice }
  for (const after of [undefined, MessageId.make("m27")]) {
    const [messages = []] = yield* searchesOf(explain, store.messages(key, { after, limit: 20 }))
    assert.isTrue(messages.some((search) => /^perennial_messages_pkey: conversation_id,.* position/.test(search)))
  }
  // The first statement finds the conversation, and the second one the place of the page.
  for (const after of [undefined, MessageId.make("m19987")]) {
    const newest = yield* searchesOf(explain, store.messages(key, { after, order: "newest", limit: 20 }))
    const replaced = yield* searchesOf(explain, store.replaced(key, { after, limit: 20 }))
    for (const all of [newest, replaced]) {
      assert.deepStrictEqual(all.at(-1)?.length, 1)
      assert.match(all.at(-1)?.[0] ?? "", /^perennial_messages_pkey: conversation_id, position/)
    }
  }
})

/** The searches of each statement, sorted and without filters: the order of searches and the filters differ between the dialects. */
const indexes = (searches: ReadonlyArray<ReadonlyArray<string>>) =>
  searches.map((statement) => [...new Set(statement.map((search) => search.replace(/ \(then .*/, "")))].toSorted())

const sweeps = Effect.fnUntraced(function*(explain: Explain) {
  const backend = yield* TaskBackend
  const anyAgent = { limit: 20 }
  const oneAgent = { limit: 20, agentIds: [AgentId.make("agent")], staleFor: Duration.days(1) }
  for (const filter of [anyAgent, oneAgent]) {
    const [owners = [], heads = []] = indexes(yield* searchesOf(explain, backend.unowned(filter)))
    assert.isTrue(owners.some((search) => search.startsWith("perennial_tasks_of_runner: runner_id")))
    // The index `perennial_tasks_unclaimed` has only unclaimed heads, in order: it needs no condition.
    assert.includeMembers(heads, ["perennial_tasks_of_runner: runner_id", "perennial_tasks_unclaimed: "])
  }
  const pruning = indexes(yield* searchesOf(explain, backend.prune({ finishedFor: Duration.days(1), limit: 20 })))
  assert.deepStrictEqual(pruning.flat(), [
    "perennial_tasks_retention: finished_at",
    "perennial_tasks_pkey: id",
    "perennial_task_events_pkey: task_id",
    "perennial_task_intents_pkey: task_id"
  ])
  const ends = indexes(yield* searchesOf(explain, backend.ended({ after: 0, limit: 20 }))).flat()
  const names = ends.map((search) => search.startsWith("perennial_tasks_unnumbered") ? "unnumbered" : search)
  assert.sameMembers([...new Set(names)], [
    "perennial_tasks_ended: end_cursor",
    "perennial_task_events_pkey: task_id, seq",
    "unnumbered",
    "perennial_tasks_pkey: id"
  ])
})

/** The rounds of heads that begin to wait: here of a task that becomes the head, by the cancel of the task before it. */
const rounds = Effect.fnUntraced(function*(explain: Explain) {
  const backend = yield* TaskBackend
  const conversationId = ConversationId.make("new")
  for (const id of ["new1", "new2"]) {
    const task = { id: TaskId.make(id), conversationId, userId: UserId.make("carol"), agentId: AgentId.make("agent") }
    yield* backend.create({ ...task, input: userText("hello"), spec: {} }, { onBusy: "enqueue", maxQueued: 10 })
  }
  const cancel = backend.putIntent(TaskId.make("new1"), { key: cancelKey, value: {} })
  const statements = (yield* recorded(cancel)).filter(({ sql }) => sql.includes("MIN(round)"))
  const searches = (yield* Effect.forEach(statements, explain)).flat()
  assert.isTrue(searches.some((search) => search.startsWith("perennial_tasks_unclaimed: ")), searches.join("; "))
  const ofUser = searches.some((search) => search.startsWith("perennial_tasks_unclaimed_of_user: user_id"))
  assert.isTrue(ofUser, searches.join("; "))
})

/** The statement that counts the active tasks of a user. On PostgreSQL it is in a function, which hides its plan. */
const counting = Effect.fnUntraced(function*(userId: UserId) {
  const sql = yield* SqlClient.SqlClient
  const backend = yield* TaskBackend
  const task = { id: TaskId.make(`${userId}1`), conversationId: ConversationId.make(`counted-${userId}`), userId }
  // A conversation that is busy is no case for a batched statement.
  const busy = { ...task, agentId: AgentId.make("agent"), input: userText("hello"), spec: {} }
  yield* backend.create(busy, { onBusy: "enqueue", maxQueued: 10 })
  // Carol has too many active tasks, and is refused.
  const start = backend.create({ ...busy, id: TaskId.make(`${userId}2`) }, {
    onBusy: "enqueue",
    maxQueued: 10,
    maxActive: 20
  })
  const statements = yield* recorded(Effect.result(start))
  const counts = statements.filter((statement) => statement.sql.includes(" AS active"))
  return yield* sql.onDialectOrElse({
    pg: () =>
      Effect.gen(function*() {
        assert.isTrue(counts.every((statement) => statement.sql.includes("perennial_active_tasks(")))
        const [row] = yield* sql.unsafe<{ readonly source: string }>(
          `SELECT prosrc AS source FROM pg_proc WHERE oid = 'perennial_active_tasks'::regproc`
        )
        const [, inner = ""] = /RETURN \((.*)\);/s.exec(row?.source ?? "") ?? []
        const text = inner.replaceAll("of_user", "$1").replaceAll("most", "$2")
        return [{ sql: text, params: [userId, 20], rows: [] }]
      }),
    orElse: () => Effect.succeed(counts)
  })
})

const activeTasks = Effect.fnUntraced(function*(explain: Explain) {
  for (const user of ["alice", "carol"]) {
    const statements = yield* counting(UserId.make(user))
    assert.isNotEmpty(statements)
    for (const statement of statements) {
      const searches = new Set(yield* explain(statement))
      assert.deepStrictEqual([...searches], ["perennial_tasks_of_user_by_status: user_id, status"])
    }
  }
})

const test = (
  mode: string,
  client: Layer.Layer<SqlClient.SqlClient, SqliteFileInUse | SqlError.SqlError | UnusableStore, Statements>,
  explain: Explain
) =>
  it.live(`P11: lists and sweeps search indexes, ${mode}`, () =>
    Effect.gen(function*() {
      yield* fill
      yield* taskLists(explain)
      yield* filteredLists(explain)
      yield* records(explain)
      yield* nextTasks(explain)
      yield* conversationLists(explain)
      yield* sweeps(explain)
      yield* rounds(explain)
      yield* activeTasks(explain)
    }).pipe(Effect.provide(
      Layer.mergeAll(SqlTaskBackend.layer, SqlConversationStore.layer).pipe(
        Layer.provideMerge(client),
        Layer.provideMerge(Layer.sync(Statements, () => []))
      )
    )), 120_000)

test("SQLite", layerRecording.pipe(Layer.provide(layerEmpty)), sqliteSearches)

withPostgres("PostgreSQL", (url) => {
  const client = layerRecordingWith(PgClient.makeCompiler()).pipe(Layer.provide(postgresEmpty(url)))
  for (const mode of ["custom", "generic"] as const) {
    test(`${mode} plans`, client, (statement) => pgSearches(statement, mode))
  }
})
